"""Reloads: what is taken, what is refused, who is cut and who never notices."""

import calendar
import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

from harness import EXEAT, PATIENCE, SANITIZED, SEEN, HeldPort, client_hello, echoes, long_story, policy, receive_all, receive_exactly, wait_until
from proc import descriptors, is_gone, links, processor_waits
from test_admin import BOTH, WatchedStory
from tunnels import NAME, TunnelStory
from watching import difference, sample

OTHER = "other.example.test"

# What ends a tunnel, at most, after the reload was asked for; sanitized programs take what they take.
REVOKED_WITHIN = 10 if SANITIZED else 1


class ReloadStory(TunnelStory):
    def setUp(self):
        super().setUp()
        self.read_to, self.found = 0, []
        self.hosts.write_text(f"127.0.0.1 {NAME} {OTHER}\n")

    def text(self):
        return self.proxy.config.read_text()

    def write(self, text, path=None):
        """As an editor does: the file is another one, whole, from one moment to the next."""
        path = pathlib.Path(path or self.proxy.config)
        new = path.with_suffix(".new")
        new.write_text(text)
        new.rename(path)

    def reloads(self):
        """All so far; what was read before is not read again."""
        with open(self.proxy.audit_path, "rb") as lines:
            lines.seek(self.read_to)
            whole = lines.read().rpartition(b"\n")
        self.read_to += len(whole[0] + whole[1])
        self.found += [json.loads(line) for line in whole[0].splitlines() if b'"event":"reload"' in line]
        return self.found

    def hang_up(self):
        self.proxy.process.send_signal(signal.SIGHUP)

    def await_reload(self, count):
        return wait_until("the record of the reload", lambda: self.reloads()[count - 1:])[-1]

    def reload(self, text=None):
        """Gives the record of it, when it is on file: every worker goes by it then."""
        count = len(self.reloads()) + 1
        if text is not None:
            self.write(text)
        self.hang_up()
        return self.await_reload(count)

    def change(self, old, new):
        """Reloads with `new` in place of `old`."""
        self.assertIn(old, self.text())
        record = self.reload(self.text().replace(old, new))
        self.assertNotIn("refused", record["detail"])
        return record

    def status(self, host, **how):
        sock, status, _ = self.proxy.connect(host, self.origin.port, **how)
        sock.close()
        return status

    def await_port(self, name):
        """Where that listener is; the file is written behind the record."""
        def find():
            ports = dict(line.split(None, 1) for line in self.proxy.ports_path.read_text().splitlines())
            return name in ports and int(ports[name].rsplit(":", 1)[1])
        return wait_until(f"the port of {name}", find)

    def digest(self):
        return next(r["policy"] for r in reversed(self.proxy.records()) if r["event"] in ("start", "reload"))


class Taken(ReloadStory):
    def test_what_is_new_holds_and_tunnels_stay(self):
        self.start()
        tunnel, before = self.open_tunnel(), self.digest()
        self.assertEqual(403, self.status(OTHER))
        record = self.reload(self.text() + f"\n[rule more]\nto = {OTHER}\nport = {self.origin.port}\nsni = off\n")
        self.assertEqual(f"policy {record['policy']} in place of {before}: rule more added", record["detail"])
        self.assertEqual(200, self.status(OTHER))
        self.assert_echo(tunnel)
        self.assertEqual(record["policy"], self.proxy.wait_decision(host=OTHER, verdict="allow")["policy"])
        tunnel.close()
        close = self.proxy.wait_records("the close", lambda rs: next((r for r in rs if r["event"] == "close" and r["host"] == NAME), None))
        self.assertEqual(before, close["policy"], "the policy that let it out")

    def test_a_comment_changes_nothing(self):
        self.start()
        before = self.digest()
        record = self.reload("# said in passing\n" + self.text())
        self.assertEqual((before, f"policy {before} stays: nothing changed"), (record["policy"], record["detail"]))

    def test_listed_files_are_read_again(self):
        patterns, networks = self.directory / "more.hosts", self.directory / "few.txt"
        patterns.write_text("nobody.example.test\n")
        networks.write_text("127.0.0.5\n")
        self.start(extra=f"[hosts more]\nhost_file = {patterns}\n[clients few]\nfrom_file = {networks}\n"
                         f"[rule more]\nto = @more\nfrom = few\nsni = off\nport = {self.origin.port}\n")
        patterns.write_text(f"{OTHER}\n")
        self.assertIn(f"hosts more host: added {OTHER}, removed nobody.example.test", self.reload()["detail"])
        self.assertEqual(403, self.status(OTHER))
        networks.write_text("127.0.0.5\n127.0.0.1\n")
        self.assertIn("clients few from: added 127.0.0.1/32", self.reload()["detail"])
        self.assertEqual(200, self.status(OTHER))

    def test_what_takes_a_restart_is_said_and_stays(self):
        self.start()
        other = self.directory / "other.jsonl"
        text = self.text().replace("workers = 2", "workers = 5").replace("name = test", "name = renamed").replace(str(self.proxy.audit_path), str(other))
        record = self.reload(text)
        for option in ("exeat name", "exeat workers", "audit file"):
            self.assertIn(f"{option} changed, which takes a restart", record["detail"])
        self.await_log("[exeat] workers: takes a restart; until then it stays as it was at the start (warning)")
        self.assertEqual("test", record["instance"])
        self.kill("server")
        self.proxy.wait_records("another start", lambda rs: sum(r["event"] == "start" for r in rs) == 2)
        wait_until("a tunnel", self.tunnel_works)
        self.assertEqual({"test"}, {r["instance"] for r in self.proxy.records()})
        self.assertFalse(other.exists())

    def test_the_last_of_many_wins(self):
        self.start()
        text, count = self.text(), 30
        for i in range(count):
            self.write(text + f"[rule turn-{i}]\nto = turn-{i}.example.test\n")
            self.hang_up()
        last = f"rule turn-{count - 1} added"
        self.proxy.wait_records("the last one", lambda rs: [r for r in rs if r["event"] == "reload" and last in r["detail"]])

    def test_a_server_that_was_killed_comes_back_with_it(self):
        self.start()
        self.reload(self.text() + f"\n[rule more]\nto = {OTHER}\nport = {self.origin.port}\nsni = off\n[listen second]\naddress = 127.0.0.1:0\n")
        digest = self.digest()
        wait_until("where it listens now", lambda: "(second)" in self.proxy.log_text())
        self.assertEqual(2, self.proxy.log_text().count("listening on"), "what was there before is not said again")
        self.kill("server")
        self.assertEqual(200, self.status(OTHER))
        self.assertEqual(digest, self.proxy.wait_decision(host=OTHER)["policy"])
        with socket.create_connection(("127.0.0.1", self.await_port("second")), PATIENCE) as sock:
            sock.sendall(f"CONNECT {OTHER}:{self.origin.port} HTTP/1.1\r\n\r\n".encode())
            self.assertEqual(200, self.proxy.read_head(sock)[0])
        self.assertIn("rule more removed", self.change("[rule more]", "[rule again]")["detail"])

    def test_all_that_come_before_the_server_is_back_are_recorded(self):
        self.start()
        text, journal = self.text(), self.proxy.children()["journal"]
        os.kill(journal, signal.SIGSTOP)  # without it no server is ready
        self.kill("server")
        for i in (1, 2):
            self.write(text + f"[rule turn-{i}]\nto = turn-{i}.example.test\n")
            self.hang_up()
            wait_until("its end", lambda count=i: self.proxy.log_text().count("reloaded:") == count)
        os.kill(journal, signal.SIGCONT)
        self.await_reload(2)
        self.assertEqual([True, True], [f"rule turn-{i} added" in record["detail"] for i, record in enumerate(self.reloads(), 1)])


class Refused(ReloadStory):
    def assert_refused(self, text, *faults):
        tunnel, before = self.open_tunnel(), self.digest()
        logged = len(self.proxy.log_text())
        record = self.reload(text)
        self.assertEqual(before, record["policy"])
        self.assertRegex(record["detail"], rf"^policy {before} stays; refused( sha256:[0-9a-f]+)?, {len(faults)} fault")
        for fault in (*faults, "the reload is refused"):
            wait_until(f"the log to say {fault!r}", lambda fault=fault: fault in self.proxy.log_text()[logged:])
        self.assert_echo(tunnel)
        self.assertTrue(self.tunnel_works())
        return record

    def test_with_all_its_faults(self):
        self.start()
        self.assert_refused(self.text() + "[rule a]\nto = @nowhere\n[rule b]\nport = 0\n[wrong]\n", "there is no list @nowhere", "[rule b] to: is missing",
                            "[rule b] port:", "[wrong]: no such section")

    def test_with_an_expectation_that_fails(self):
        self.start()
        record = self.assert_refused(self.text() + "[expect e]\nfrom = 127.0.0.1\nallow = nobody.example.test\n", "[expect e] allow: nobody.example.test")
        self.assertRegex(record["detail"], "refused sha256:")

    def test_with_an_address_that_somebody_else_has(self):
        self.start()
        record = self.assert_refused(self.text() + f"[listen clash]\naddress = 127.0.0.1:{self.origin.port}\n",
                                     f"[listen clash] address: cannot listen on 127.0.0.1:{self.origin.port}: Address already in use")
        self.assertRegex(record["detail"], "refused sha256:")

    def test_without_the_file(self):
        self.start()
        text = self.text()
        self.proxy.config.unlink()
        self.hang_up()
        self.await_reload(1)
        self.write(text)
        self.assertTrue(self.tunnel_works())


class Revoked(ReloadStory):
    RULE = f"to = {NAME}"

    def assert_ends(self, tunnel, began, words):
        tunnel.settimeout(PATIENCE)
        self.assertEqual(b"", receive_all(tunnel))
        self.assertLess(time.monotonic() - began, REVOKED_WITHIN)
        close = self.proxy.wait_records("its close", lambda rs: next((r for r in rs if r["event"] == "close" and r["end"] == "policy_revoked"), None))
        self.assertIn(words, close["detail"])
        return close

    def assert_revoked(self, old, new, words):
        tunnel = self.open_tunnel()
        self.assertIn(old, self.text())
        began = time.monotonic()
        self.write(self.text().replace(old, new))
        self.hang_up()
        close = self.assert_ends(tunnel, began, words)
        record = self.await_reload(1)
        self.assertIn(record["policy"], close["detail"], "by which policy")

    def test_by_a_rule_that_goes(self):
        self.start()
        self.assert_revoked(self.RULE, f"to = {OTHER}", "default_deny")

    def test_by_a_rule_that_denies(self):
        self.start()
        self.assert_revoked("[rule test]", f"[rule no]\nto = {NAME}\nport = {self.origin.port}\naction = deny\n[rule test]", "rule_deny by [rule no] at ")

    def test_by_its_client(self):
        self.start()
        self.assert_revoked("from = 127.0.0.0/8 ::1", "from = 192.0.2.0/24", "client_unknown")

    def test_by_another_route(self):
        self.start()
        self.assert_revoked("[route nat]", "[route out]", "it would take another way, route out")

    def test_by_its_source(self):
        self.start()
        self.assert_revoked("[route nat]", "[route nat]\nsource = 127.0.0.9", "127.0.0.1 is no source of route nat")

    def test_by_where_it_ends(self):
        self.start()
        self.assert_revoked("addresses = 127.0.0.0/8", "addresses = 127.0.0.9", "route nat does not accept 127.0.0.1")

    def test_by_a_hello_that_nobody_read(self):
        self.proxy = self.exeat(policy(NAME, port=self.origin.port, hosts=self.hosts, rule="sni = off"))
        self.assert_revoked("sni = off", "sni = match", "a ClientHello is demanded, and none was read")

    def test_not_when_it_is_to_keep(self):
        self.start()
        tunnel = self.open_tunnel()
        self.reload(self.text().replace(self.RULE, f"to = {OTHER}").replace("workers = 2", "workers = 2\non_revoke = keep"))
        self.assertEqual(403, self.status(NAME))
        self.assert_echo(tunnel)
        began = time.monotonic()
        self.write(self.text().replace("keep", "cut"))
        self.hang_up()
        self.assert_ends(tunnel, began, "default_deny")

    def test_all_of_very_many(self):
        """… and none of those beside them."""
        self.start(extra=f"[rule more]\nto = {OTHER}\nport = {self.origin.port}\n")
        tunnels = [self.open_tunnel() for _ in range(300)]
        beside, status, _ = self.proxy.connect(OTHER, self.origin.port)
        self.addCleanup(beside.close)
        self.assertTrue(status == 200 and echoes(beside, client_hello(OTHER)))
        began = time.monotonic()
        self.write(self.text().replace(f"to = {NAME}\n", "to = nobody.example.test\n"))
        self.hang_up()
        for tunnel in tunnels:
            self.assertEqual(b"", receive_all(tunnel))
        self.assertLess(time.monotonic() - began, REVOKED_WITHIN)
        self.assert_echo(beside)
        self.proxy.wait_records("every close", lambda rs: sum(r["end"] == "policy_revoked" for r in rs) == 300)


class OnTheWay(ReloadStory):
    """Those who are no tunnel yet are judged again before their decision is recorded."""

    def invited(self):
        """The 200 is out, and no hello has come."""
        return self.connect()

    def test_one_that_is_not_allowed_any_more(self):
        self.start()
        sock = self.invited()
        record = self.change(f"to = {NAME}", f"to = {OTHER}")
        sock.sendall(client_hello(NAME))
        self.assertEqual(b"\x15\x03", receive_all(sock)[:2], "an alert")
        decision = self.proxy.wait_decision(host=NAME)
        self.assertEqual(("deny", "policy_revoked", "policy", record["policy"]), tuple(decision[k] for k in ("verdict", "reason", "class", "policy")))
        self.assertIn("default_deny", decision["detail"])
        self.assertEqual(b"", self.origin.payload)

    def test_one_that_goes_another_way(self):
        self.start()
        sock = self.invited()
        self.change("[route nat]", "[route out]")
        sock.sendall(client_hello(NAME))
        receive_all(sock)
        self.assertIn("it would take another way, route out", self.proxy.wait_decision(host=NAME, reason="policy_revoked")["detail"])

    def test_one_that_is_still_allowed(self):
        self.start()
        sock = self.invited()
        record = self.change("[rule test]", f"[rule first]\nto = {NAME}\nport = {self.origin.port}\n[rule test]")
        self.assert_echo(sock, client_hello(NAME))
        decision = self.proxy.wait_decision(host=NAME)
        self.assertEqual(("allow", "first", record["policy"]), tuple(decision[k] for k in ("verdict", "rule", "policy")))

    def test_one_that_has_said_nothing(self):
        self.start()
        with self.proxy.dial() as early, self.proxy.dial() as late:
            record = self.change(f"to = {NAME}", f"to = {OTHER}")
            for sock, host, status in ((early, NAME, 403), (late, OTHER, 200)):
                sock.sendall(f"CONNECT {host}:{self.origin.port} HTTP/1.1\r\n\r\n".encode())
                self.assertEqual(status, self.proxy.read_head(sock)[0])
            self.assertEqual(record["policy"], self.proxy.wait_decision(host=NAME)["policy"])


class Listeners(ReloadStory):
    LISTEN = "[listen second]\naddress = 127.0.0.1:0\n"

    def ask(self, sock):
        sock.sendall(f"CONNECT {NAME}:{self.origin.port} HTTP/1.1\r\n\r\n".encode())
        return self.proxy.read_head(sock)[0]

    def test_come_and_go(self):
        self.start()
        self.reload(self.text() + self.LISTEN)
        port = self.await_port("second")
        self.assertEqual(self.proxy.port, self.await_port("explicit"))
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock, socket.create_connection(("127.0.0.1", port), PATIENCE) as waiting:
            self.assertEqual(200, self.ask(sock))
            self.change(self.LISTEN, "")
            self.assert_echo(sock, client_hello(NAME))
            self.assertEqual(200, self.ask(waiting), "it had connected before")
        self.assertEqual("second", self.proxy.wait_decision(host=NAME)["listener"])

        def is_closed():
            try:
                socket.create_connection(("127.0.0.1", port), 0.3).close()
            except ConnectionRefusedError:
                return True
            except TimeoutError:
                pass
            return False
        wait_until("the end of the listener", is_closed)
        self.assertTrue(self.tunnel_works())

    def test_none_comes_for_which_the_server_has_no_descriptors(self):
        """All of them or nothing: a socket that nobody serves would let clients wait."""
        self.start()
        server = self.proxy.children()["server"]
        ports = [self.use(HeldPort("127.0.0.1")).number for _ in range(6)]
        more = "".join(f"[listen more{port}]\naddress = 127.0.0.1:{port}\n" for port in ports)
        limit = resource.prlimit(server, resource.RLIMIT_NOFILE)
        resource.prlimit(server, resource.RLIMIT_NOFILE, (descriptors(server) + 6, limit[1]))  # one for the file, some for sockets
        self.assertIn("descriptors", self.reload(self.text() + more)["detail"])
        for port in ports:
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), PATIENCE)
        resource.prlimit(server, resource.RLIMIT_NOFILE, limit)
        self.assertNotIn("refused", self.reload()["detail"])
        for port in ports:
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
                self.assertEqual(200, self.ask(sock))

    def test_one_that_goes_resets_nobody(self):
        """Clients come one after the other until nobody is there: each that was let in is answered."""
        self.start()
        self.reload(self.text() + self.LISTEN)
        port, outcomes, begun = self.await_port("second"), [], threading.Event()

        def come():
            while True:
                try:
                    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
                        begun.set()
                        outcomes.append(self.ask(sock))
                except ConnectionRefusedError:
                    return
                except OSError as error:
                    outcomes.append(error)
                    return
        clients = [threading.Thread(target=come) for _ in range(8)]
        for client in clients:
            client.start()
        begun.wait(PATIENCE)
        self.change(self.LISTEN, "")
        for client in clients:
            client.join(PATIENCE)
        self.assertFalse(any(client.is_alive() for client in clients))
        self.assertEqual({200}, set(outcomes))

    def test_change_their_names(self):
        self.start(extra=self.LISTEN)
        port = self.await_port("second")
        self.change(self.LISTEN, f"[listen second]\naddress = 127.0.0.1:{port}\n")  # another one to the supervisor, and the port is our own
        self.change("[listen second]", "[listen renamed]")

        def come_in():
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
                self.assertEqual(200, self.ask(sock))
                self.assert_echo(sock, client_hello(NAME))
            self.proxy.wait_decision(host=NAME)
            return self.proxy.decisions()[-1]["listener"]
        # one that the kernel still gives to a socket from before the first change comes in by its old name
        wait_until("the new name", lambda: come_in() == "renamed")


class Ended(ReloadStory):
    def test_while_a_reload_is_under_way(self):
        """What was offered is not taken any more: nobody would serve at the addresses that are new."""
        self.start(sandbox=SEEN)
        server = self.proxy.children()["server"]

        def candidates():
            return sum("exeat-configuration" in link for link in links(self.proxy.process.pid).values())
        os.kill(server, signal.SIGSTOP)
        self.addCleanup(lambda: is_gone(server) or os.kill(server, signal.SIGCONT))
        self.write(self.text() + Listeners.LISTEN)
        self.hang_up()
        wait_until("the offer", lambda: candidates() == 2)
        self.proxy.process.send_signal(signal.SIGINT)
        wait_until("the stop", lambda: "stopping" in self.proxy.log_text())
        os.kill(server, signal.SIGCONT)
        self.assertEqual(0, self.proxy.process.wait(PATIENCE))
        self.assertNotIn("reloaded:", self.proxy.log_text())
        self.assertEqual([], self.reloads())


class Watched(ReloadStory):
    def start_watching(self, extra=""):
        self.proxy = self.exeat("[exeat]\nname = test\nworkers = 2\nwatch = on\ninclude = conf.d/*.conf\n" +
                                policy(NAME, port=self.origin.port, hosts=self.hosts, extra=extra))

    def test_a_file_that_changes(self):
        self.start_watching()
        self.write(self.text() + f"[rule more]\nto = {OTHER}\n")
        self.assertIn("rule more added", self.await_reload(1)["detail"])
        self.write(self.text() + "[nonsense\n")
        self.assertIn("refused", self.await_reload(2)["detail"])
        self.write(self.text().replace("[nonsense\n", "").replace("watch = on", "watch = off"))
        self.assertIn("exeat watch changed", self.await_reload(3)["detail"])
        self.assertEqual(3, len(self.reloads()), "once for each change")

    def test_a_file_that_a_pattern_names(self):
        (self.directory / "conf.d").mkdir()
        self.start_watching()
        self.write(f"[rule more]\nto = {OTHER}\n", self.directory / "conf.d/more.conf")
        self.assertIn("rule more added", self.await_reload(1)["detail"])


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static const volatile struct {
    long ahead, stands; /* when it stands: at what */
} *set;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CLOCK_AHEAD");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = fd >= 0 ? mmap(NULL, sizeof(*set), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    set = page != MAP_FAILED ? page : NULL;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock != CLOCK_REALTIME || set == NULL)
        return result;
    now->tv_sec += set->ahead;
    const long stands = set->stands;
    if (stands != 0)
        *now = (struct timespec){.tv_sec = stands};
    return result;
}
"""


@unittest.skipIf(SANITIZED, "a sanitizer wants to be the first library")
@unittest.skipIf(shutil.which("cc") is None, "there is no compiler, to make a clock that can be set")
class Expired(ReloadStory):
    """With a wall clock of our own, which stands still a second before midnight until it is let go."""

    STANDS = calendar.timegm((2031, 3, 31, 23, 59, 59))

    def stop_clock(self):
        self.clock.write_bytes(struct.pack("=qq", 0, self.STANDS))

    def let_clock_go(self):
        with open(self.clock, "r+b", buffering=0) as page:
            page.write(struct.pack("=q", self.STANDS - int(time.time())))
            page.write(struct.pack("=q", 0))

    def setUp(self):
        super().setUp()
        source, library, self.clock = self.directory / "clock.c", self.directory / "clock.so", self.directory / "ahead"
        source.write_text(CLOCK)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self.library = library

    def start(self, keep=False):
        self.stop_clock()
        text = policy(NAME, port=self.origin.port, hosts=self.hosts, rule="expires = 2031-03-31\n",
                      extra=f"[rule more]\nto = {OTHER}\nport = {self.origin.port}\n")
        self.proxy = self.exeat(f"[exeat]\nname = test\nworkers = 2\non_revoke = {'keep' if keep else 'cut'}\n{text}",
                                environment={"LD_PRELOAD": str(self.library), "CLOCK_AHEAD": str(self.clock)})

    def test_at_midnight(self):
        self.start()
        tunnel = self.open_tunnel()
        beside, _, _ = self.proxy.connect(OTHER, self.origin.port)
        self.addCleanup(beside.close)
        self.assertTrue(echoes(beside, client_hello(OTHER)))
        self.let_clock_go()
        tunnel.settimeout(PATIENCE)
        self.assertEqual(b"", receive_all(tunnel))
        close = self.proxy.wait_records("its close", lambda rs: next((r for r in rs if r["event"] == "close"), None))
        self.assertEqual(("policy_revoked", "2031-04-01T00:00:0"), (close["end"], close["time"][:18]))
        self.assertIn("rule_expired by [rule test] at ", close["detail"])
        self.assert_echo(beside)
        self.assertEqual(403, self.status(NAME))

    def test_not_when_it_is_to_keep(self):
        self.start(keep=True)
        tunnel = self.open_tunnel()
        self.let_clock_go()
        wait_until("the day after", lambda: self.status(NAME) == 403)
        self.assert_echo(tunnel)


HANG = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int open(const char *path, int flags, ...)
{
    static int (*real)(const char *, int, ...);
    va_list more;
    va_start(more, flags);
    int mode = va_arg(more, int);
    va_end(more);
    if (real == NULL)
        real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    const char *marker = getenv("HANG_WHEN");
    const size_t len = strlen(path);
    while (len > 6 && strcmp(path + len - 6, ".hosts") == 0 && marker != NULL && access(marker, F_OK) == 0)
        pause();
    return real(path, flags, mode);
}
"""


@unittest.skipIf(SANITIZED, "a sanitizer wants to be the first library")
@unittest.skipIf(shutil.which("cc") is None, "there is no compiler, to make a disk that hangs")
class Hanging(ReloadStory):
    """A list on a disk, or a server of files, that does not answer any more."""

    def test_a_file_that_never_comes_keeps_nobody_from_stopping(self):
        source, library, marker = self.directory / "hang.c", self.directory / "hang.so", self.directory / "hangs"
        source.write_text(HANG)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        (self.directory / "more.hosts").write_text("more.example\n")
        self.start("[hosts more]\nhost_file = more.hosts\n[rule more]\nto = @more\n", sandbox="off",
                   environment={"LD_PRELOAD": str(library), "HANG_WHEN": str(marker)})
        tunnel = self.open_tunnel()
        marker.touch()
        threads = len(os.listdir(f"/proc/{self.proxy.process.pid}/task"))
        self.hang_up()
        wait_until("the thread that reads", lambda: len(os.listdir(f"/proc/{self.proxy.process.pid}/task")) > threads)
        self.assert_echo(tunnel)
        self.assertEqual(0, self.proxy.stop(), self.proxy.log_text())
        self.assertIn("still being read", self.proxy.log_text())


# How many reloads the long story has: all of them take some minutes.
RELOADS = int(os.environ.get("EXEAT_RELOADS", 20 if SANITIZED else 100))

# A tunnel that stands still for longer has stalled; not where everything is slower.
STALL = 2 if SANITIZED else 0.1


@long_story
class Asked(WatchedStory, ReloadStory):
    """Through the admin socket: by the page, by the command; and what else is told there after a reload."""

    MORE = f"[rule more]\nto = {OTHER}\n"
    BROKEN = "[rule broken]\nto = @nowhere\nroute = nowhere\n"

    def ask(self, text=None):
        """(status, answer) of the page."""
        if text is not None:
            self.write(text)
        status, headers, body = self.socket.ask("/reload", "POST")
        self.assertEqual("application/json", headers["Content-Type"])
        return status, json.loads(body)

    def begin(self):
        """Asks and does not wait."""
        connection = self.socket.connection()
        connection.request("POST", "/reload")
        self.addCleanup(connection.close)
        return connection

    def command(self, code, *args):
        done = subprocess.run([EXEAT, "reload", *(args or ("-c", str(self.proxy.config)))], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return done

    def counted(self):
        metrics = self.open_door.metrics()
        return tuple(metrics[sample("exeat_reloads_total", result=result)] for result in ("ok", "refused"))

    def test_the_page_has_what_changed_or_every_fault(self):
        self.start()
        self.assertEqual((0, 0), self.counted())
        text = self.text()
        status, answer = self.ask()
        self.assertEqual((200, "nothing changed"), (status, answer["changes"]))
        self.assertRegex("\n".join(answer["warnings"]), r"not pinned: .* \(warning\)$")
        status, answer = self.ask(text.replace("workers = 2", "workers = 3") + self.MORE)
        self.assertEqual((200, "exeat workers changed, which takes a restart; rule more added"), (status, answer["changes"]))
        self.assertIn("[exeat] workers: takes a restart; until then it stays as it was at the start (warning)", answer["warnings"][0])
        status, answer = self.ask(text.replace("workers = 2", "workers = 3") + self.BROKEN)
        self.assertEqual((409, ["error", "faults", "warnings"]), (status, list(answer)))
        self.assertEqual(2, len(answer["faults"]), answer)
        self.assertTrue(all(str(self.proxy.config) in line and "[rule broken]" in line for line in answer["faults"]), answer)
        self.assertEqual((2, 1), self.counted())
        self.reload(text)
        wait_until("a signal's to be counted, too, behind its record", lambda: self.counted() == (3, 1))
        self.kill("server")
        wait_until("another", self.tunnel_works)
        self.assertEqual((3, 1), self.counted(), "a server's death loses none")

    def test_the_command_says_it_in_lines(self):
        self.start()
        text = self.text()
        self.write(text + self.MORE)
        self.assertRegex(self.command(0).stdout, r"\A\S+:\d+: \[route nat\] source: not pinned: .* \(warning\)\nreloaded: rule more added\n\Z")
        self.write(text + self.BROKEN)
        done = self.command(1)
        self.assertEqual("", done.stdout)
        self.assertEqual(2, done.stderr.count("[rule broken]"), done.stderr)
        self.assertIn("exeat: error: the reload is refused; what was before goes on\n", done.stderr)
        self.assertIn("ready", self.status().stdout, "what runs is not what stands in the file")
        self.write("[rule")
        self.assertRegex(self.command(2).stderr, r":1: .*\n(.*\n)*.*SIGHUP to a running exeat")
        self.assertIn("there is none, so that nobody can be asked", self.command(2, "-c", "/dev/null").stderr)
        self.assertIn("is more than `reload` takes", self.command(2, "surplus").stderr)
        self.write(text)
        self.proxy.stop()
        self.assertRegex(self.command(2).stderr, "exeat does not run(.*\n)*.*SIGHUP")

    def test_several_at_once_and_who_does_not_wait(self):
        self.start()
        self.proxy.process.send_signal(signal.SIGSTOP)  # nothing is read before it goes on
        try:
            waiting = [self.begin() for _ in range(6)]
            for connection in waiting[::2]:
                connection.close()
            self.assertEqual("alive\n", self.socket.good("/healthz"))
            for _ in range(20):
                self.begin().close()
            self.assertEqual("alive\n", self.socket.good("/healthz"), "all of them have been heard")
            self.assertEqual((503, {"error": "too many wait for a reload"}), self.ask())
        finally:
            self.proxy.process.send_signal(signal.SIGCONT)
        for connection in waiting[1::2]:
            self.assertEqual(200, connection.getresponse().status)
        wait_until("the end of them all", lambda: self.ask()[0] == 200)

    def test_who_waits_does_not_have_to_go_for_those_who_ask_nothing(self):
        self.start()
        self.proxy.process.send_signal(signal.SIGSTOP)
        try:
            waiting = self.begin()
            self.assertEqual("alive\n", self.socket.good("/healthz"), "it has been heard")
            for _ in range(40):  # more than there is room for
                silent = self.socket.connection()
                self.addCleanup(silent.close)
                silent.connect()
            self.assertEqual("alive\n", self.socket.good("/healthz"))
        finally:
            self.proxy.process.send_signal(signal.SIGCONT)
        self.assertEqual(200, waiting.getresponse().status)

    def test_without_a_descriptor_for_the_words_there_is_an_answer(self):
        self.start()
        pid = self.proxy.process.pid
        used = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(len(used) + 1)) - used), before[1]))
        status, answer = self.ask()
        self.assertEqual((409, ["what was said of it did not arrive"]), (status, answer["faults"]))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        self.assertEqual(200, self.ask()[0])
        self.assertEqual((1, 1), self.counted())

    def test_a_stop_is_an_answer(self):
        self.start()
        self.proxy.process.send_signal(signal.SIGSTOP)
        waiting = self.begin()
        self.assertEqual("alive\n", self.socket.good("/healthz"))
        self.proxy.process.send_signal(signal.SIGINT)
        self.proxy.process.send_signal(signal.SIGCONT)
        answer = waiting.getresponse()
        words = answer.read().decode()
        self.assertIn(answer.status, (409, 503), words)  # by whether the reload or the stop was heard of first
        self.assertIn("being stopped" if answer.status == 409 else "exeat stops", words)
        self.assertEqual(0, self.proxy.process.wait(PATIENCE), self.proxy.log_text())

    def test_doors_counts_and_rules_stay(self):
        self.start()
        tunnel, before = self.open_tunnel(), self.socket.rules()["test"]
        port = int(self.proxy.ports["metrics"].rsplit(":", 1)[1])
        text = self.text().replace(f"to = {NAME}", f"to = {OTHER}").replace("metrics = 127.0.0.1:0", "metrics = 127.0.0.1:1")
        record = self.reload(f"{text}[rule any]\nto = 127.0.0.0/8\nport = 1-65535\nsni = off\n")
        self.assertIn("admin metrics changed, which takes a restart", record["detail"])
        self.assertEqual(b"", receive_all(tunnel))
        sock, status, head = self.proxy.connect("127.0.0.1", port)
        sock.close()
        self.assertEqual(403, status, head)
        self.assertIn("address_forbidden", head)
        rules = self.socket.rules()
        self.assertEqual(["test", "any"], list(rules))
        self.assertEqual((before["hits"], before["since"], 1), (rules["test"]["hits"], rules["test"]["since"], rules["any"]["hits"]))
        self.assertLess(before["since"], rules["any"]["since"])
        self.assertLessEqual(rules["any"]["since"], record["time"], "not first when somebody asks")
        for door in (self.socket, self.open_door):
            with contextlib.suppress(AssertionError):
                wait_until("agreement", lambda door=door: not difference(door.metrics(), self.proxy.records()), 5)
            self.assertEqual({}, difference(door.metrics(), self.proxy.records()), "who was cut is counted once")


class Storm(ReloadStory):
    """Reload after reload under load, half of them broken: nobody is cut, stalled or refused, and each record is by the right policy."""

    ODD, EVEN = "odd.example.test", "even.example.test"

    def setUp(self):
        super().setUp()
        self.hosts.write_text(f"127.0.0.1 {NAME} {self.ODD} {self.EVEN}\n")
        self.done, self.faults, self.beats = threading.Event(), [], []

    def variant(self, i):
        """One name is always allowed, the other two by turns; another listener comes and goes."""
        text = self.base + f"[rule turn]\nto = {(self.EVEN, self.ODD)[i % 2]}\nport = {self.origin.port}\n"
        if i % 4 == 0:
            text += "[listen second]\naddress = 127.0.0.1:0\n"
        return text + ("[rule broken]\nto = @nowhere\n" if i % 4 >= 2 else "")

    # -- who is there meanwhile --

    def thread(self, work):
        def run():
            try:
                while not self.done.is_set():
                    work()
            except (OSError, AssertionError) as error:
                self.faults.append(f"{work.__name__}: {error!r}")
        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def visit(self):
        with contextlib.closing(self.proxy.dial()) as sock:
            sock.sendall(f"CONNECT {NAME}:{self.origin.port} HTTP/1.1\r\n\r\n".encode())
            status, head = self.proxy.read_head(sock)
            assert status == 200 and echoes(sock, client_hello(NAME)), head

    def try_both(self):
        for name in (self.ODD, self.EVEN):
            sock, status, head = self.proxy.connect(name, self.origin.port)
            with sock:
                assert status in (200, 403), head
                if status == 200:
                    sock.sendall(client_hello(name))
                    assert receive_exactly(sock, 2) in (b"\x16\x03", b"\x15\x03", b""), "neither an echo, nor an alert, nor cut"

    def beat(self):
        """A message through the tunnel, and one beside it; that, and the time for which the server had no processor, say how long the
        machine itself takes."""
        before = processor_waits(self.server)
        began = time.monotonic()
        assert echoes(self.tunnel, b"x" * 64)
        between = time.monotonic()
        assert echoes(self.direct, b"x" * 64)
        direct = time.monotonic() - between
        after = processor_waits(self.server)
        waited = max(wait - before.get(thread, wait) for thread, wait in after.items())
        self.beats.append((between - began, max(direct, waited)))
        time.sleep(0.001)

    # -- what is demanded --

    def check_policies(self):
        allowed = {}
        for record in self.proxy.records():
            if record["event"] == "reload" and "refused" not in record["detail"]:
                self.taken += 1
                allowed[record["policy"]] = self.ODD if self.taken % 2 else self.EVEN
        for record in self.proxy.decisions():
            if record["policy"] in allowed and record["host"] in (self.ODD, self.EVEN) and record["reason"] != "client_gone":
                self.assertEqual(record["host"] == allowed[record["policy"]], record["verdict"] == "allow", record)

    def test_of_reloads(self):
        self.start()
        self.base, self.taken = self.text(), 0
        self.tunnel, self.server = self.open_tunnel(), self.proxy.children()["server"]
        self.direct = socket.create_connection((self.origin.address, self.origin.port), PATIENCE)
        self.addCleanup(self.direct.close)
        threads = [self.thread(work) for work in (self.beat, self.visit, self.visit, self.try_both, self.try_both)]
        # Turns: 1 taken (odd), 2 and 3 broken, 4 taken (even), 5 taken (odd) …
        for i in range(1, RELOADS + 1):
            record = self.reload(self.variant(i))
            self.assertEqual(i % 4 >= 2, "refused" in record["detail"], record["detail"])
        self.done.set()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual([], self.faults)
        stalls = [mine for mine, other in self.beats if mine - other > STALL]
        self.assertEqual([], stalls, f"of {len(self.beats)} messages")
        self.assert_echo(self.tunnel)
        self.check_policies()
        print(f"\n{RELOADS} reloads, {self.taken} taken, {len(self.beats)} messages, {len(self.proxy.decisions())} connections, "
              f"longest {1000 * max(mine for mine, _ in self.beats):.0f} ms", flush=True)


if __name__ == "__main__":
    unittest.main()
