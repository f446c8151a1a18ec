"""contrib/fleet as it is shipped: HAProxy and keepalived before two exeats; one dies, drains, is upgraded, or loses its HAProxy or its host.

      client            proxy1                       proxy2                       internet
      10.20.8.5         10.20.0.11  203.0.113.16     10.20.0.12  203.0.113.17     1.2.3.10
          |                 |                            |                            |
       ===+=================+============================+============================+===      10.20.0.10 is on proxy1 or on proxy2"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import ssl
import tempfile
import threading
import time
import unittest

import harness
import network
import telling
from harness import SANITIZED, wait_until
from proc import is_gone
from watching import Door

setUpModule = telling.setUpModule

FLEET = network.TOP / "contrib" / "fleet"
NAME, ORIGIN = "fleet.example", "1.2.3.10"
SHARED = "10.20.0.10"
HOSTS = {"proxy1": ("10.20.0.11", "203.0.113.16"), "proxy2": ("10.20.0.12", "203.0.113.17")}
CLIENTS = [f"10.20.8.{last}" for last in range(5, 25)]
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
HAPROXY, KEEPALIVED = shutil.which("haproxy", path=PATH), shutil.which("keepalived", path=PATH)

# What README.md promises, in seconds.
NOTICED = 3 * (3 if SANITIZED else 1)
TAKEN_OVER = 5

# A server under a sanitizer takes seconds to be there after an upgrade, in which HAProxy's checks wait.
CHECKS = {"timeout check 1s": "timeout check 20s"} if SANITIZED else {}


def changed(text, words):
    """The text with words in place of others, each of which must stand in it."""
    for old, new in words.items():
        assert old in text, f"{old} is not in the file that is shipped"
        text = text.replace(old, new)
    return text


class Proxy(contextlib.ExitStack):
    """One host of the fleet, by the files that are shipped."""

    def __init__(self, name, segment, directory, hosts):
        super().__init__()
        self.name, (self.address, self.source) = name, HOSTS[name]
        self.directory = pathlib.Path(directory, name)
        self.directory.mkdir()
        self.namespace, self.hosts = segment[name], hosts
        self.metrics = Door(f"{self.address}:9128")

    def start_exeat(self):
        with self.namespace.inside():
            self.exeat = harness.Exeat(self.directory, self.exeat_text())
        self.callback(self.exeat.stop, signal.SIGINT)

    def exeat_text(self):
        own = {"proxy1\n": f"{self.name}\nworkers = 2\n", "address = 10.20.0.11": f"address = {self.address}",
               "metrics = 10.20.0.11": f"metrics = {self.address}", "203.0.113.16": self.source}
        test = {"@buildkite": NAME, "unix:/run/exeat": f"unix:{self.directory}", "/var/log/exeat": str(self.directory)}
        return changed((FLEET / "exeat.conf").read_text(), {**own, **test}) + f"[dns]\nhosts_file = {self.hosts}\n"

    def run(self, what, *command):
        log = self.enter_context(open(self.directory / f"{what}.log", "ab"))
        process = self.namespace.start(*command, stdout=log, stderr=log)
        self.callback(process.wait)
        self.callback(process.terminate)  # either then ends at once, with its own children
        return process

    def start_haproxy(self):
        """With next to no patience for silence but in tunnels, which shows that theirs is another."""
        config, self.stats = self.directory / "haproxy.cfg", self.directory / "haproxy.sock"
        config.write_text(changed((FLEET / "haproxy.cfg").read_text(), {
            "/run/haproxy/admin.sock": str(self.stats), "maxconn 40000": "maxconn 1000",
            "timeout client 1m": "timeout client 1s", "timeout server 1m": "timeout server 1s", **CHECKS}))
        self.haproxy = self.run("haproxy", HAPROXY, "-db", "-f", str(config))
        wait_until("HAProxy", lambda: self.stats.exists() or self.haproxy.poll() is not None)
        assert self.haproxy.poll() is None, self.log("haproxy")

    def start_keepalived(self):
        """Four times as hasty as it is shipped."""
        config = self.directory / "keepalived.conf"
        config.write_text(changed((FLEET / "keepalived.conf").read_text(), {"advert_int 1": "advert_int 0.25"}))
        pids = [f"--{which}={self.directory / which}.pid" for which in ("pid", "vrrp_pid")]
        self.keepalived = self.run("keepalived", KEEPALIVED, "-n", "-l", "-G", "-P", "-f", str(config), "-i", self.name, *pids)

    def log(self, what):
        return (self.directory / f"{what}.log").read_text()

    def holds_address(self):
        return f" {SHARED}/" in self.namespace.ip("-o", "-4", "address", "show").stdout

    def states(self):
        """What its HAProxy thinks of each server, and how often it found it down."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.stats))
            sock.sendall(b"show stat exeats 4 -1\n")
            lines = harness.receive_all(sock).decode().splitlines()
        keys = lines[0].lstrip("# ").split(",")
        rows = [dict(zip(keys, line.split(","))) for line in lines[1:] if line]
        return {row["svname"]: (row["status"], int(row["chkdown"])) for row in rows}

    def finds_up(self, *names):
        return {name for name, (status, _) in self.states().items() if status == "UP"} == set(names)

    def clients(self):
        """From whom it took tunnels, by its records."""
        return [record["client_ip"] for record in self.exeat.decisions() if record["verdict"] == "allow"]


class Load:
    """Clients that ask, one after the other, until they are told to stop."""

    def __init__(self, story, clients):
        self.story, self.clients, self.faults, self.count, self.over = story, clients, [], 0, False
        self.thread = threading.Thread(target=self.ask)

    def ask(self):
        while not self.over:
            client = self.clients[self.count % len(self.clients)]
            ran = self.story.curl(client)
            self.count += 1
            if ran.returncode != 0:
                self.faults.append((client, ran.stderr.strip()))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()


@unittest.skipIf(HAPROXY is None, "SKIPPED: haproxy is not installed: contrib/packages installs it")
class Fleet(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="fleet-")))
        self.lay_segment()
        self.authority = harness.Certificate.make(self.directory, NAME)
        with self.segment["internet"].inside():
            self.origin = harness.TlsOrigin(self.authority, ORIGIN, 443)
        self.addCleanup(self.origin.close)
        hosts = self.directory / "hosts"
        hosts.write_text(f"{ORIGIN} {NAME}\n")
        self.proxies = {name: self.enterContext(Proxy(name, self.segment, self.directory, hosts)) for name in HOSTS}
        for proxy in self.proxies.values():
            proxy.start_exeat()
            proxy.start_haproxy()
        for proxy in self.proxies.values():
            wait_until("HAProxy to find both", lambda proxy=proxy: proxy.finds_up(*HOSTS))

    def lay_segment(self):
        self.segment = {}
        for name in ("switch", "client", *HOSTS, "internet"):
            self.segment[name] = network.Namespace(name)
            self.addCleanup(self.segment[name].close)
        network.join(self.segment["switch"], [
            (self.segment["client"], "eth0", [f"{address}/16" for address in CLIENTS]),
            *((self.segment[name], "eth0", (f"{address}/16", source)) for name, (address, source) in HOSTS.items()),
            (self.segment["internet"], "eth0", (ORIGIN,))])
        for name in HOSTS:
            self.segment[name].ip("route", "add", f"{ORIGIN}/32", "dev", "eth0")
        self.segment["internet"].ip("route", "add", "203.0.113.0/24", "dev", "eth0")

    def give_address(self):
        """Where a story is about exeats alone, the address stays."""
        self.segment["proxy1"].ip("address", "add", f"{SHARED}/16", "dev", "eth0")

    # -- clients --

    def curl(self, client, *words):
        """A build's request through the fleet."""
        return self.segment["client"].run(
            "curl", "-sS", "-m", "10", "--interface", client, "-x", f"http://{SHARED}:3128", "--cacert", str(self.authority.path),
            "--resolve", f"{NAME}:443:{ORIGIN}", "-o", "/dev/null", *words, f"https://{NAME}/", check=False)

    def assert_served(self, client):
        ran = self.curl(client)
        self.assertEqual(0, ran.returncode, ran.stderr)

    def open_tunnel(self, client):
        with self.segment["client"].inside():
            sock = socket.create_connection((SHARED, 3128), harness.PATIENCE, (client, 0))
        sock.sendall(f"CONNECT {NAME}:443 HTTP/1.1\r\n\r\n".encode())
        self.assertEqual(200, harness.Exeat.read_head(sock)[0])
        tls = self.authority.client_context().wrap_socket(sock, server_hostname=NAME)
        self.addCleanup(tls.close)
        self.assert_tunnel(tls)
        return tls

    def assert_tunnel(self, tls):
        tls.sendall(f"GET /tunnel HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        said = b""
        while not said.endswith(b"/tunnel\n"):
            said += tls.recv(4096) or self.fail(f"the tunnel has ended: {said}")

    def assert_cut(self, tls):
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self.assertEqual(b"", tls.recv(4096))

    def spread(self):
        """Everybody asks once, and is recorded by the own address. Returns the clients of each exeat: both have some."""
        for client in CLIENTS:
            self.assert_served(client)
        clients = {name: proxy.clients() for name, proxy in self.proxies.items()}
        self.assertEqual(sorted(CLIENTS), sorted([*clients["proxy1"], *clients["proxy2"]]))
        self.assertTrue(clients["proxy1"] and clients["proxy2"], clients)
        return clients

    def assert_sources(self):
        """Each exeat's tunnels come from HAProxy, and leave from the exeat's own address."""
        for proxy in self.proxies.values():
            allowed = [record for record in proxy.exeat.decisions() if record["verdict"] == "allow"]
            self.assertEqual({(proxy.source, HOSTS["proxy1"][0])}, {(record["egress_ip"], record["peer_ip"]) for record in allowed})

    # -- stories --

    def test_one_dies(self):
        self.give_address()
        clients, gone, other = self.spread(), self.proxies["proxy2"], self.proxies["proxy1"]
        self.assert_sources()
        lost, kept = self.open_tunnel(clients["proxy2"][0]), self.open_tunnel(clients["proxy1"][0])
        children = gone.exeat.children().values()
        gone.exeat.process.kill()
        for pid in children:
            wait_until("its end", lambda pid=pid: is_gone(pid))
        began = time.monotonic()
        self.assert_served(clients["proxy2"][0])  # not even the first one notices
        self.assert_cut(lost)
        wait_until("HAProxy to see it", lambda: other.finds_up("proxy1"))
        self.assertLess(time.monotonic() - began, NOTICED)
        for client in clients["proxy2"]:
            self.assert_served(client)
        self.assert_tunnel(kept)
        gone.start_exeat()
        wait_until("HAProxy to see it again", lambda: other.finds_up(*HOSTS))
        before = len(gone.clients())
        self.assert_served(clients["proxy2"][0])
        self.assertEqual(clients["proxy2"][:1], gone.clients()[before:], "its clients come back")

    def test_one_drains(self):
        self.give_address()
        clients, leaving, other = self.spread(), self.proxies["proxy2"], self.proxies["proxy1"]
        tunnel = self.open_tunnel(clients["proxy2"][0])
        with Load(self, clients["proxy2"]) as load:
            leaving.exeat.process.send_signal(signal.SIGTERM)
            wait_until("HAProxy to see it", lambda: other.finds_up("proxy1"))
            self.assertNotIn("draining", leaving.exeat.log_text(), "it was seen before the delay was over")
            wait_until("nobody to be let in", lambda: "draining: open connections: " in leaving.exeat.log_text())
        self.assertEqual([], load.faults)
        self.assertGreater(load.count, 5)
        self.assert_tunnel(tunnel)  # silent for longer than `timeout client`
        tunnel.close()
        self.assertEqual(0, leaving.exeat.process.wait(harness.PATIENCE))
        self.assertEqual([], [r["reason"] for r in leaving.exeat.decisions() if r["verdict"] == "deny"])

    def test_one_is_upgraded(self):
        self.give_address()
        clients, new, other = self.spread(), self.proxies["proxy2"], self.proxies["proxy1"]
        tunnel = self.open_tunnel(clients["proxy2"][0])
        with Load(self, clients["proxy2"]) as load:
            new.exeat.process.send_signal(signal.SIGUSR2)
            wait_until("another server", lambda: "upgraded: generation 2 serves" in new.exeat.log_text())
            before = len(new.clients())
            wait_until("tunnels by it", lambda: len(new.clients()) > before + 10)
        self.assertEqual([], load.faults)
        self.assert_tunnel(tunnel)
        self.assertEqual({"proxy1": ("UP", 0), "proxy2": ("UP", 0)}, {name: other.states()[name] for name in HOSTS})

    @unittest.skipIf(SANITIZED, "who has the address is not exeat's doing")
    @unittest.skipIf(KEEPALIVED is None, "SKIPPED: keepalived is not installed: contrib/packages installs it")
    def test_the_address_moves(self):
        one, two = self.proxies.values()
        one.start_keepalived()
        wait_until("proxy1 to have the address", one.holds_address)
        two.start_keepalived()
        self.assert_served(CLIENTS[0])
        tunnel = self.open_tunnel(CLIENTS[0])
        one.haproxy.kill()
        began = time.monotonic()
        self.assert_cut(tunnel)
        wait_until("proxy2 to have the address", lambda: two.holds_address() and not one.holds_address())
        self.assertLess(time.monotonic() - began, TAKEN_OVER)
        kept = self.open_tunnel(CLIENTS[0])
        one.start_haproxy()
        wait_until("proxy1 to be well again", lambda: "Entering BACKUP STATE" in one.log("keepalived").partition("Entering FAULT STATE")[2])
        well = time.monotonic()
        wait_until("time to take it", lambda: time.monotonic() - well > 4 * 0.25)  # as one that is master for want of adverts would
        self.assert_tunnel(kept)
        self.assertTrue(two.holds_address() and not one.holds_address(), "it came back without need")
        two.namespace.ip("link", "set", "eth0", "down")
        began = time.monotonic()
        wait_until("proxy1 to have the address", one.holds_address)
        self.assert_served(CLIENTS[0])
        self.assertLess(time.monotonic() - began, TAKEN_OVER)


if __name__ == "__main__":
    unittest.main()
