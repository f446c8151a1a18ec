"""Behind a load balancer the client is whom the PROXY header names: to the policy, the sources, the denials and the record."""

import collections
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import time
import unittest

import audit_check
from forged import SIGNATURE, v1, v2
from harness import PATIENCE, EndToEndTest, Origin, TlsOrigin, client_hello, policy, receive_all, receive_exactly, wait_until

NAME = "allowed.example.test"
BALANCER = "127.0.0.1"
STRANGER = "127.0.0.66"
AGENT = ("192.0.2.7", 56324)
AGENT6 = ("2001:db8::7", 56324)
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"
UNSPEC = SIGNATURE + b"\x21\x00\x00\x00"
HAPROXY = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")


class ProxyProtocolStory(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.origin = self.use(self.make_origin())
        self.hosts = self.directory / "hosts"
        self.hosts.write_text(f"127.0.0.1 {NAME}\n")
        self.connect = f"CONNECT {NAME}:{self.origin.port} HTTP/1.1\r\n\r\n".encode()

    def make_origin(self):
        return Origin()

    def start(self, limits="request_timeout = 20s", rule="sni = off", listen="proxy_protocol = required\ntrusted = 127.0.0.1/32", workers=2, **how):
        extra = f"""
[listen explicit]
address = 127.0.0.1:0
{listen}
[clients agents]
from = 192.0.2.0/24 2001:db8::/32
denials = own
[limits]
{limits}
"""
        self.proxy = self.exeat(policy(NAME, port=self.origin.port, hosts=self.hosts, rule=rule, extra=extra, **how), workers=workers)

    def dial(self, source=BALANCER):
        sock = self.proxy.dial(source=(source, 0))
        self.addCleanup(sock.close)
        return sock

    def send(self, *pieces, source=BALANCER):
        """Sends each piece by itself on a connection of its own, which it returns."""
        sock = self.dial(source)
        for piece in pieces:
            sock.sendall(piece)
        return sock

    def assert_tunnel(self, sock):
        """The CONNECT is served: bytes cross both ways. Returns the decision."""
        status, head = self.proxy.read_head(sock)
        self.assertEqual(200, status, head)
        self.assert_echo(sock)
        return [record for record in self.proxy.decisions() if record["verdict"] == "allow"][-1]

    def assert_refused(self, sock, status, reason):
        """An answer in HTTP, then the end. Returns the decision."""
        answer = receive_all(sock).decode()
        self.assertTrue(answer.startswith(f"HTTP/1.1 {status} "), answer)
        session = re.search(rf"\({reason}, id (\w+)\)", answer)
        self.assertIsNotNone(session, answer)
        return self.proxy.wait_decision(id=session[1], reason=reason)

    def assert_who(self, client, peer, record):
        self.assertEqual((*client, peer), (record["client_ip"], record["client_port"], record["peer_ip"]))

    def stopped_probes(self):
        """How many probes were counted, by address: each worker writes its own at the end."""
        self.proxy.stop()
        audit_check.check_file(self.proxy.audit_path)
        probes = collections.Counter()
        for record in self.proxy.records():
            if record["event"] == "probe":
                self.assertEqual(record["client_ip"], record["peer_ip"])
                probes[record["client_ip"]] += int(record["detail"].split()[0])
        return probes


class ProxyProtocol(ProxyProtocolStory):
    # -- the client that is named --

    def test_the_client_is_the_one_that_the_header_names(self):
        self.start()
        for client in (AGENT, AGENT6, ("192.0.2.9", 1), ("2001:db8:ffff::1", 65535)):
            for header in (v1(client), v2(client), v2(client, tlvs=b"\xea\x00\x03\x01vp\x04\x00\x00")):
                with self.subTest(header):
                    sock = self.send(header + self.connect)
                    record = self.assert_tunnel(sock)
                    self.assert_who(client, BALANCER, record)
                    self.assertEqual("agents", record["client_group"])
                    sock.close()
                    self.assert_who(client, BALANCER, self.proxy.wait_close(record["id"]))
        self.assertEqual({}, self.stopped_probes())

    def test_with_tls_behind_it_everything_is_as_ever(self):
        self.start(rule="")
        hello = client_hello(NAME)
        sock = self.send(v2(AGENT) + self.connect + hello)
        self.assertEqual(200, self.proxy.read_head(sock)[0])
        self.assertEqual(hello, receive_exactly(sock, len(hello)))
        record = self.proxy.wait_decision(verdict="allow")
        self.assert_who(AGENT, BALANCER, record)
        self.assertEqual(NAME, record["sni"])

    def test_a_header_may_come_in_any_pieces(self):
        self.start()
        for client, header in ((AGENT, v1(AGENT)), (AGENT6, v1(AGENT6)), (AGENT, v2(AGENT)), (AGENT6, v2(AGENT6, tlvs=b"\x04\x00\x01x"))):
            for cut in range(1, len(header) + 2, 5):
                with self.subTest(header=header, cut=cut):
                    data = header + self.connect
                    self.assert_who(client, BALANCER, self.assert_tunnel(self.send(data[:cut], data[cut:])))
            with self.subTest(header=header, cut="everywhere"):
                pieces = [bytes([byte]) for byte in header + self.connect]
                self.assert_who(client, BALANCER, self.assert_tunnel(self.send(*pieces)))

    def test_a_pause_between_header_and_head_costs_nothing(self):
        self.start()
        for header in (v1(AGENT), v2(AGENT)):
            for cut in (1, len(header) - 1, len(header)):
                with self.subTest(header=header, cut=cut):
                    data = header + self.connect
                    sock = self.send(data[:cut])
                    time.sleep(0.1)
                    sock.sendall(data[cut:])
                    self.assert_who(AGENT, BALANCER, self.assert_tunnel(sock))

    def test_the_longest_header_is_taken(self):
        self.start()
        padding = 65535 - 12 - 3
        header = v2(AGENT, tlvs=b"\x04" + struct.pack(">H", padding) + bytes(padding))
        self.assertEqual(16 + 65535, len(header))
        self.assert_who(AGENT, BALANCER, self.assert_tunnel(self.send(header + self.connect)))

    def test_an_ipv4_client_inside_ipv6_is_the_ipv4_client(self):
        self.start()
        for make in (v1, v2):
            self.assert_who(AGENT, BALANCER, self.assert_tunnel(self.send(make(("::ffff:192.0.2.7", 56324)) + self.connect)))

    def test_without_proxy_protocol_there_is_no_peer(self):
        self.start(listen="")
        sock = self.send(self.connect)
        self.assert_who(sock.getsockname(), None, self.assert_tunnel(sock))
        refused = self.assert_refused(self.send(v1(AGENT) + self.connect), 400, "bad_request")
        self.assertIn("PROXY header, which this listener does not take", refused["detail"])

    # -- what goes by the client --

    def test_rules_and_groups_go_by_the_named_client(self):
        self.start(rule="sni = off\nfrom = agents")
        self.assertEqual("agents", self.assert_tunnel(self.send(v1(AGENT) + self.connect))["client_group"])
        record = self.assert_refused(self.send(v1(("127.0.0.9", 9)) + self.connect), 403, "default_deny")
        self.assertEqual("local", record["client_group"])
        self.assert_who(("127.0.0.9", 9), BALANCER, record)
        record = self.assert_refused(self.send(v2(("198.51.100.1", 7)) + self.connect), 403, "client_unknown")
        self.assertIsNone(record["client_group"], "the balancer's own group let a stranger in")
        self.assert_who(("198.51.100.1", 7), BALANCER, record)

    def test_a_source_sticks_to_the_named_client(self):
        self.start(route="addresses = 127.0.0.0/8\nsource = 127.0.0.21 127.0.0.22")
        sources = {}
        for number in range(1, 17):
            client = f"192.0.2.{number}"
            for port in (1000, 2000):
                record = self.assert_tunnel(self.send(v2((client, port)) + self.connect))
                sources.setdefault(client, set()).add(record["egress_ip"])
        self.assertEqual({1}, {len(seen) for seen in sources.values()}, sources)
        self.assertEqual({"127.0.0.21", "127.0.0.22"}, set().union(*sources.values()), "one balancer, one source")

    def test_denials_are_those_of_the_named_client(self):
        self.start()
        for client in ("192.0.2.7", "192.0.2.8"):
            asked = f"CONNECT evil{client[-1]}.example.test:443 HTTP/1.1\r\n\r\n".encode()
            self.assert_refused(self.send(v1((client, 1)) + asked), 403, "default_deny")
        for client, names in (("192.0.2.7", ["evil7.example.test"]), ("192.0.2.8", ["evil8.example.test"]), ("192.0.2.9", [])):
            with self.subTest(client):
                answer = receive_all(self.send(v2((client, 2)) + b"GET /denials HTTP/1.1\r\nHost: explicit\r\n\r\n")).decode()
                self.assertTrue(answer.startswith("HTTP/1.1 200 "), answer)
                self.assertEqual(names, [denial["host"] for denial in json.loads(answer.split("\r\n\r\n", 1)[1])["denials"]])

    def test_what_is_wrong_behind_the_header_is_the_clients_fault(self):
        self.start(limits="request_timeout = 1s")
        for data, status, reason in ((b"\x16\x03\x01\x00", 400, "bad_request"), (v1(("10.0.0.1", 1)) + self.connect, 400, "bad_request"),
                                     (v2(("10.0.0.1", 1)) + self.connect, 400, "bad_request"), (b"CONN", 408, "request_timeout"),
                                     (b"", 408, "request_timeout"), (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed")):
            with self.subTest(data):
                self.assert_who(AGENT, BALANCER, self.assert_refused(self.send(v2(AGENT) + data), status, reason))
        self.send(v1(AGENT) + b"CONN").close()
        self.assert_who(AGENT, BALANCER, self.proxy.wait_decision(reason="client_gone"))

    # -- the balancer itself --

    def test_a_balancer_that_names_nobody_speaks_for_itself(self):
        self.start()
        for header in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN a b c\r\n", UNSPEC):
            with self.subTest(header):
                sock = self.send(header + self.connect)
                record = self.assert_tunnel(sock)
                self.assert_who(sock.getsockname(), BALANCER, record)
                self.assertEqual("local", record["client_group"])

    def test_a_health_check_is_closed_and_only_counted(self):
        self.start()
        for data in (LOCAL, LOCAL + self.connect, SIGNATURE + b"\x20\x11\x00\x0c" + bytes(12)):
            with self.subTest(data):
                self.assertEqual(b"", receive_all(self.send(data)))
        self.assertEqual({BALANCER: 3}, self.stopped_probes())
        self.assertEqual([], self.proxy.decisions())

    def test_a_connection_without_a_byte_is_only_counted(self):
        self.start()
        for source in (BALANCER, STRANGER):
            sock = self.send(source=source)
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(b"", receive_all(sock))
        self.assertEqual({BALANCER: 1, STRANGER: 1}, self.stopped_probes())
        self.assertEqual([], self.proxy.decisions())

    def test_a_balancer_that_says_nothing_behind_its_header_is_only_counted(self):
        self.start()
        for data in (v1((BALANCER, 40000)), b"PROXY UNKNOWN\r\n"):  # so do health checks by version 1
            sock = self.send(data)
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(b"", receive_all(sock))
        self.assertEqual({BALANCER: 2}, self.stopped_probes())
        self.assertEqual([], self.proxy.decisions())

    def test_a_client_that_says_nothing_behind_its_header_is_recorded(self):
        self.start()
        for data, client in ((v1(AGENT), AGENT), (v2(AGENT6), AGENT6)):
            sock = self.send(data)
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(b"", receive_all(sock))
            self.assert_who(client, BALANCER, self.proxy.wait_decision(reason="client_gone", client_ip=client[0]))

    # -- refusals --

    def test_a_bad_header_is_told_and_recorded(self):
        self.start()
        rows = (
            (self.connect, "HTTP request"),
            (client_hello(NAME), "TLS"),
            (v1(("0.0.0.0", 1)), "names nobody"),
            (v2(AGENT, tlvs=b"\x03\x00\x04abcd"), "CRC32c"),
        )
        for data, word in rows:
            with self.subTest(data):
                sock = self.send(data)
                record = self.assert_refused(sock, 400, "proxy_header")
                self.assert_who(sock.getsockname(), BALANCER, record)
                self.assertEqual(("deny", "client"), (record["verdict"], record["class"]))
                self.assertIn(word, record["detail"])
                self.assertIsNone(record["host"])
        self.assertEqual([], self.origin.connections)
        self.assertEqual({}, self.stopped_probes())

    def test_a_stranger_is_refused_on_its_first_byte(self):
        self.start()
        for data in (b"P", b"\r", b"x", v1(AGENT) + self.connect, v2(AGENT) + self.connect, LOCAL, UNSPEC + self.connect, self.connect):
            with self.subTest(data):
                began = time.monotonic()
                sock = self.send(data, source=STRANGER)
                record = self.assert_refused(sock, 400, "proxy_header")
                self.assertLess(time.monotonic() - began, 5, "it was let wait")
                self.assert_who(sock.getsockname(), STRANGER, record)
                self.assertIn("trusted", record["detail"])
        self.assertEqual({}, self.stopped_probes())
        self.assertEqual([], self.origin.connections)

    def test_whoever_is_silent_is_told_so_in_time(self):
        self.start(limits="request_timeout = 1s")
        for source in (BALANCER, STRANGER):
            sock = self.send(source=source)
            self.assert_who(sock.getsockname(), source, self.assert_refused(sock, 408, "request_timeout"))

    def test_a_header_that_stops_is_late_or_left(self):
        self.start(limits="request_timeout = 1s")
        for data in (v1(AGENT)[:20], v2(AGENT)[:20], SIGNATURE[:3], v2(AGENT, tlvs=b"\x04\x00\x00")[:-1]):
            with self.subTest(data):
                sock = self.send(data)
                self.assert_who(sock.getsockname(), BALANCER, self.assert_refused(sock, 408, "request_timeout"))
        sock = self.send(v2(AGENT)[:20])
        name = sock.getsockname()
        sock.close()
        self.assert_who(name, BALANCER, self.proxy.wait_decision(reason="client_gone"))


class RealBalancers(ProxyProtocolStory):
    """HAProxy in front, curl before it."""

    def make_origin(self):
        self.cert = self.certificate(NAME)
        return TlsOrigin(self.cert)

    def curl(self, *words):
        if shutil.which("curl") is None:
            self.skipTest("curl is not installed: contrib/test installs it")
        command = ["curl", "-sS", "--cacert", self.cert.path, "-w", "%{local_port}", *words]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(0, ran.returncode, ran.stderr)
        return ran.stdout

    def balance(self, *servers):
        """HAProxy with a door for each line of words of a `server`; returns the port of each. What it says of itself is at self.stats."""
        if HAPROXY is None:
            self.skipTest("haproxy is not installed: contrib/test installs it")
        self.stats = self.directory / "haproxy.sock"
        doors = [socket.create_server((BALANCER, 0)) for _ in servers]
        config = f"""
global
    stats socket {self.stats}
defaults
    mode tcp
    timeout connect 9s
    timeout check 9s
    timeout client 99s
    timeout server 99s
"""
        for number, (door, words) in enumerate(zip(doors, servers)):
            config += f"""
listen door{number}
    bind fd@{door.fileno()}
    server exeat {self.proxy.host}:{self.proxy.port} source {BALANCER} {words}
"""
        path = self.directory / "haproxy.cfg"
        path.write_text(config)
        with open(self.directory / "haproxy.log", "wb") as log:
            self.haproxy = subprocess.Popen([HAPROXY, "-db", "-f", path], pass_fds=[door.fileno() for door in doors], stdout=log, stderr=log)
        self.addCleanup(self.haproxy.wait)
        self.addCleanup(self.haproxy.kill)
        wait_until("HAProxy", lambda: self.stats.exists() or self.haproxy.poll() is not None)
        self.assertIsNone(self.haproxy.poll(), (self.directory / "haproxy.log").read_text())
        ports = [door.getsockname()[1] for door in doors]
        for door in doors:
            door.close()
        return ports

    def server_states(self):
        """What HAProxy thinks of each server: status and the result of its last check."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.stats))
            sock.sendall(b"show stat -1 4 -1\n")
            lines = receive_all(sock).decode().splitlines()
        keys = lines[0].lstrip("# ").split(",")
        return [(row["status"], row["check_status"]) for row in (dict(zip(keys, line.split(","))) for line in lines[1:] if line)]

    def test_haproxy_names_its_clients_in_both_versions(self):
        self.start(rule="")
        more = "send-proxy-v2 proxy-v2-options"
        doors = self.balance("send-proxy", "send-proxy-v2", f"{more} crc32c", f"{more} crc32c,unique-id,authority")
        for number, port in enumerate(doors):
            with self.subTest(number):
                client = f"127.0.0.{5 + number}"
                out = self.curl("--interface", client, "-x", f"http://{BALANCER}:{port}", f"https://{NAME}:{self.origin.port}/through")
                body, local_port = out.rsplit("\n", 1)
                self.assertEqual("hello from the origin: /through", body)
                record = self.proxy.wait_decision(client_ip=client)
                self.assertEqual("allow", record["verdict"])
                self.assert_who((client, int(local_port)), BALANCER, record)
                self.proxy.wait_close(record["id"])

    def test_haproxy_finds_exeat_healthy_and_leaves_no_decision(self):
        self.start(workers=1)
        self.balance(*[f"check inter 100ms {words}" for words in ("send-proxy-v2 check-send-proxy", "send-proxy check-send-proxy", "")])
        wait_until("three healthy servers", lambda: self.server_states() == [("UP", "L4OK")] * 3)  # each was looked at
        self.haproxy.kill()
        self.haproxy.wait()
        self.assertEqual(b"", receive_all(self.send(LOCAL)))  # what HAProxy left behind was served before it
        probes = self.stopped_probes()
        self.assertEqual([BALANCER], list(probes))
        self.assertGreaterEqual(probes[BALANCER], 3)  # two kinds that send a header, and the one above
        self.assertEqual([], self.proxy.decisions())

    def test_curl_may_send_a_header_itself(self):
        self.start(listen="proxy_protocol = required\ntrusted = 127.0.0.0/8")
        out = self.curl("--interface", "127.0.0.5", "--haproxy-protocol", "-o", "/dev/null", f"{self.proxy.proxy}/denials")
        self.assert_who(("127.0.0.5", int(out)), "127.0.0.5", self.proxy.wait_decision(reason="denials_asked"))


if __name__ == "__main__":
    unittest.main()
