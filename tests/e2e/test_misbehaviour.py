"""Bad input gets the documented answer and costs nobody else anything."""

import contextlib
import hashlib
import json
import os
import random
import resource
import select
import socket
import struct
import threading
import time
import unittest

import audit_check
import harness
from harness import DnsStub, Origin, client_hello, long_story, policy, receive_all, receive_exactly, wait_until
from tunnels import NAME, TunnelStory


@long_story
class Misbehaviour(TunnelStory):
    def start(self, extra="", limits="", rule="", **how):
        self.proxy = self.exeat(policy(NAME, port=self.origin.port, hosts=self.hosts, rule=rule, extra=f"[limits]\n{limits}\n{extra}"), **how)
        return self.proxy

    # -- heads --

    def test_a_slow_head_is_answered_408_and_recorded(self):
        self.start(limits="request_timeout = 1s")
        with self.proxy.dial() as sock:
            sock.sendall(b"CONNECT " + NAME.encode())
            status, head = self.proxy.read_head(sock)
        self.assertEqual(408, status)
        self.assertIn("request_timeout", head)
        self.assertEqual("local", self.proxy.wait_decision(reason="request_timeout")["client_group"])

    def test_a_silent_client_is_answered_408_and_recorded(self):
        self.start(limits="request_timeout = 1s")
        with self.proxy.dial() as sock:
            self.assertEqual(408, self.proxy.read_head(sock)[0])
        self.proxy.wait_decision(reason="request_timeout")

    def test_a_megabyte_of_head_is_431_in_bounded_memory(self):
        self.start()
        with self.proxy.dial() as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(b"CONNECT a:443 HTTP/1.1\r\nX: " + b"a" * 1_000_000)
            self.assertEqual(431, self.proxy.read_head(sock)[0])
        self.proxy.wait_decision(reason="request_too_large")

    def test_a_client_that_leaves_is_recorded_and_one_without_a_byte_only_counted(self):
        self.start()
        with self.proxy.dial() as sock:
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(b"", sock.recv(1))  # it is counted by now, by whichever worker
        with self.proxy.dial() as sock:
            sock.sendall(b"CONN")
        self.proxy.wait_decision(reason="client_gone")
        self.proxy.stop()
        probes = [record for record in self.proxy.records() if record["event"] == "probe"]
        self.assertEqual(["1 connection without a byte"], [probe["detail"].replace("connections", "connection") for probe in probes])
        audit_check.check_file(self.proxy.audit_path)

    def test_those_without_a_byte_are_counted_over_all_workers(self):
        self.start()
        for _ in range(40):
            with self.proxy.dial() as sock:
                sock.shutdown(socket.SHUT_WR)
                self.assertEqual(b"", sock.recv(1))
        self.proxy.stop()
        self.assertEqual(["40 connections without a byte"], [record["detail"] for record in self.proxy.records() if record["event"] == "probe"])

    def test_another_tongue_is_named_in_the_record(self):
        self.start()
        for data, word in ((client_hello(NAME), "TLS"), (b"\x05\x01\x00", "SOCKS"), (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2")):
            with self.proxy.dial() as sock:
                sock.sendall(data)
                receive_all(sock)
        def named(records):
            details = " ".join(r["detail"] or "" for r in records if r["event"] == "decision")
            return all(word in details for word in ("TLS", "SOCKS", "HTTP/2"))
        self.proxy.wait_records("the three tongues", named)

    def test_plain_http_is_recorded_without_what_may_be_secret(self):
        self.start()
        with self.proxy.dial() as sock:
            sock.sendall(b"GET http://user:token@mirror.example/path?key=secret HTTP/1.1\r\nHost: mirror.example\r\n\r\n")
            self.assertEqual(405, self.proxy.read_head(sock)[0])
        self.assertEqual("GET http://mirror.example", self.proxy.wait_decision(reason="method_not_allowed")["detail"])
        for target in (b"/token", b"/p?u=https://q.example/token", b"urn:token"):
            with self.proxy.dial() as sock:
                sock.sendall(b"GET " + target + b" HTTP/1.0\r\n\r\n")
                self.assertEqual(405, self.proxy.read_head(sock)[0])
        self.proxy.wait_records("the three", lambda rs: sum(1 for r in rs if r["detail"] == "GET" and r["host"] is None) == 3)
        with self.proxy.dial() as sock:
            sock.sendall(b"CONNECT 2001:db8::7:443 HTTP/1.0\r\n\r\n")
            status, head = self.proxy.read_head(sock)
        self.assertIn("in brackets", head)
        self.assertEqual("2001:db8::7:443", self.proxy.wait_decision(reason="bad_request")["host"])

    # -- hellos --

    def test_a_hello_that_never_ends_is_cut_in_time(self):
        self.start(limits="hello_timeout = 1s")
        sock = self.connect()
        sock.sendall(client_hello(NAME)[:40])
        self.assertEqual(b"", receive_all(sock))
        self.proxy.wait_decision(reason="hello_timeout")
        self.assertEqual(b"", self.origin.payload)

    def test_a_hello_over_its_bound_is_refused(self):
        self.start()
        sock = self.connect()
        with contextlib.suppress(ConnectionError):
            sock.sendall(b"\x16\x03\x01\x40\x00\x01\x02\x00\x00" + b"\0" * 200_000)
        self.assertEqual(b"\x15\x03\x03\x00\x02\x02\x32", receive_all(sock)[:7])
        self.proxy.wait_decision(reason="hello_too_large")

    def test_what_is_not_tls_gets_a_fin(self):
        self.start()
        sock = self.connect()
        sock.sendall(b"SSH-2.0-example\r\n")
        self.assertEqual(b"", receive_all(sock))
        self.proxy.wait_decision(reason="not_tls")
        self.assertEqual(b"", self.origin.payload)

    def test_another_name_is_cut_with_access_denied(self):
        self.start()
        sock = self.connect()
        sock.sendall(client_hello("evil.example.test"))
        self.assertEqual(b"\x15\x03\x03\x00\x02\x02\x31", receive_all(sock))
        record = self.proxy.wait_decision(reason="sni_mismatch")
        self.assertEqual("evil.example.test", record["sni"])
        self.assertEqual(b"", self.origin.payload)

    def test_sni_off_opens_both_ways_at_once(self):
        banner = b"SSH-2.0-origin\r\n"

        def serve(sock):
            sock.sendall(banner)
            self.origin.note(sock.recv(100))
        self.origin.serve = serve
        self.start(rule="sni = off")
        sock = self.connect()
        self.assertEqual(banner, receive_exactly(sock, len(banner)))
        sock.sendall(b"SSH-2.0-client\r\n")
        self.assertEqual(b"", receive_all(sock))
        sock.close()
        record = self.proxy.wait_decision(verdict="allow")
        self.assertIsNone(record["ja4"])
        close = self.proxy.wait_close(record["id"])
        self.assertEqual((16, 16, "origin_eof"), (close["bytes_up"], close["bytes_down"], close["end"]))

    # -- counts and ends --

    def test_counts_are_what_both_ends_counted(self):
        self.start()
        data = random.Random(1).randbytes(8_000_000)
        sock = self.open_tunnel()
        hello = len(client_hello(NAME))
        sender = threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)))
        sender.start()
        back = receive_all(sock)
        sender.join()
        self.assertEqual(hashlib.sha256(data).digest(), hashlib.sha256(back).digest())
        record = self.proxy.wait_decision(verdict="allow")
        close = self.proxy.wait_close(record["id"])
        self.assertEqual((self.origin.bytes_in, self.origin.bytes_out, "client_eof"), (close["bytes_up"], close["bytes_down"], close["end"]))
        self.assertEqual(len(data) + hello, close["bytes_up"])

    def test_a_reset_is_passed_on_either_way(self):
        ends = {}

        def serve(sock):
            self.origin.note(sock.recv(65536))
            if "origin" in ends:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            try:
                ends["saw"] = sock.recv(1)
            except ConnectionResetError:
                ends["saw"] = "reset"
        self.origin.serve = serve
        self.start()
        sock = self.connect()
        sock.sendall(client_hello(NAME))
        wait_until("the hello at the origin", lambda: self.origin.payload)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        self.assertEqual("reset", wait_until("the origin's end", lambda: ends.get("saw")))
        self.proxy.wait_records("client_reset", lambda rs: any(r["end"] == "client_reset" for r in rs))
        ends["origin"] = True
        other = self.connect()
        other.sendall(client_hello(NAME))
        with self.assertRaises(ConnectionResetError):
            while other.recv(1):
                pass
        self.proxy.wait_records("origin_reset", lambda rs: any(r["end"] == "origin_reset" for r in rs))

    def test_peers_that_stop_reading_cost_nobody_else_anything(self):
        self.start(limits="idle_timeout = 0")
        stuck = [self.open_tunnel() for _ in range(5)]
        for sock in stuck:  # the echo comes back and is never read: both ways fill up
            sock.setblocking(False)
            quiet_since = time.monotonic()
            while time.monotonic() - quiet_since < 0.3:
                with contextlib.suppress(BlockingIOError):
                    sock.send(b"x" * 65536)
                    quiet_since = time.monotonic()
        lively = self.open_tunnel()
        began = time.monotonic()
        for _ in range(200):
            self.assert_echo(lively)
        self.assertLess(time.monotonic() - began, 5)
        for sock in stuck:  # and what was held back arrives when they read again
            sock.setblocking(True)
            self.assertEqual(65536, len(receive_exactly(sock, 65536)))

    def test_an_origin_that_stalls_does_not_stall_others(self):
        blocked = threading.Event()
        self.addCleanup(blocked.set)
        first = []

        def serve(sock):
            if not first:
                first.append(sock)
                blocked.wait()
            Origin.echo(self.origin, sock)
        self.origin.serve = serve
        self.start()
        stalled = self.connect()
        stalled.sendall(client_hello(NAME))
        wait_until("the stalled connection", lambda: first)
        self.assert_echo(self.open_tunnel())

    def test_an_idle_tunnel_ends_when_asked_to(self):
        self.start(limits="idle_timeout = 1s")
        self.assertEqual(b"", receive_all(self.open_tunnel()))
        self.proxy.wait_records("an idle end", lambda rs: any(r["end"] == "idle" for r in rs))

    # -- limits --

    def test_past_the_tunnels_a_client_is_told_overload(self):
        self.start(limits="tunnels = 3\ntunnels_per_client = 3")
        held = [self.open_tunnel() for _ in range(3)]
        sock, status, head = self.proxy.connect(NAME, self.origin.port)
        sock.close()
        self.assertEqual(503, status)
        self.assertIn("overload", head)
        held.pop().close()

        def again():
            retry, code, _ = self.proxy.connect(NAME, self.origin.port)
            retry.close()
            return code == 200
        wait_until("room again", again)

    def test_refusals_are_not_the_reason_for_refusals(self):
        self.start(limits="tunnels = 4\ntunnels_per_client = 4")
        held = [self.open_tunnel() for _ in range(4)]
        refused = [self.proxy.connect(NAME, self.origin.port) for _ in range(20)]  # each lingers, since its client does not close
        self.assertEqual({503}, {status for _, status, _ in refused})
        for sock in held:
            sock.close()
        self.proxy.wait_records("the four closes", lambda rs: sum(1 for r in rs if r["event"] == "close") == 4)
        self.assert_echo(self.open_tunnel())
        for sock, _, _ in refused:
            sock.close()

    def test_out_of_descriptors_clients_are_told_and_open_tunnels_go_on(self):
        self.start(limits="request_timeout = 20s", workers=1, sandbox=harness.SEEN)
        tunnel = self.open_tunnel()
        server = self.proxy.children()["server"]
        highest = max(int(name) for name in os.listdir(f"/proc/{server}/fd"))
        resource.prlimit(server, resource.RLIMIT_NOFILE, (highest + 4, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        silent = [self.proxy.dial() for _ in range(40)]  # each takes a descriptor, until there are none
        for sock in silent:
            self.addCleanup(sock.close)
        wait_until("a pause", lambda: "pauses accepting" in self.proxy.log_text())
        self.proxy.wait_records("a pause behind each", lambda rs: sum(r["reason"] == "overload" for r in rs) >= 3)
        self.assertIn("overload", self.first_answer(silent))
        self.assert_echo(tunnel)
        resource.prlimit(server, resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
        self.assert_echo(self.open_tunnel())
        self.assertEqual(1, self.proxy.log_text().count("pauses accepting"), "said once")

    def first_answer(self, socks):
        readable, _, _ = select.select(socks, [], [], 20)
        return self.proxy.read_head(readable[0])[1]

    # -- denials --

    def test_a_client_may_ask_for_its_own_denials(self):
        text = policy(NAME, port=self.origin.port, hosts=self.hosts).replace("from = 127.0.0.0/8 ::1", "from = 127.0.0.0/8 ::1\ndenials = own")
        self.proxy = self.exeat(text)
        sock, status, _ = self.proxy.connect("evil.example.test", 443)
        sock.close()
        self.assertEqual(403, status)
        with self.proxy.dial() as sock:
            sock.sendall(f"GET /denials HTTP/1.1\r\nHost: 127.0.0.1:{self.proxy.port}\r\n\r\n".encode())
            status, head = self.proxy.read_head(sock)
            body = receive_all(sock).decode()
        self.assertEqual(200, status)
        self.assertIn("no-store", head)
        denials = json.loads(body)["denials"]
        self.assertEqual([("evil.example.test", 443, "default_deny", None)], [(d["host"], d["port"], d["reason"], d["rule"]) for d in denials])
        self.assertEqual({"id", "time", "host", "port", "reason", "rule"}, set(denials[0]))
        self.proxy.wait_decision(reason="denials_asked", verdict="deny")
        for name in ("test", "explicit:3128", "[::1]:3128", "127.0.0.1"):  # the instance's, the listener's, addresses
            with self.subTest(name), self.proxy.dial() as sock:
                sock.sendall(f"GET /denials HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
                self.assertEqual(200, self.proxy.read_head(sock)[0])
        with self.proxy.dial() as sock:  # led here by a name of somebody else's
            sock.sendall(b"GET /denials HTTP/1.1\r\nHost: rebound.example.test\r\n\r\n")
            self.assertEqual(403, self.proxy.read_head(sock)[0])

    def test_denials_are_off_unless_asked_for(self):
        self.start()
        with self.proxy.dial() as sock:
            sock.sendall(b"GET /denials HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            self.assertEqual(403, self.proxy.read_head(sock)[0])

    # -- names --

    def resolve(self, zone, extra=""):
        self.dns = self.use(DnsStub(zone))
        text = policy("*.zone.test", port=self.origin.port, extra=f"[dns]\nserver = {self.dns.address}\ntimeout = 1s\n{extra}")
        self.proxy = self.exeat(text)

    def answer(self, name):
        sock, status, head = self.proxy.connect(name, self.origin.port)
        sock.close()
        return status, head.splitlines()[0]

    def test_names_are_resolved_by_exeat_alone(self):
        self.resolve({
            "good.zone.test": {"A": ["127.0.0.1"]},
            "big.zone.test": {"A": ["127.0.0.1"], "truncate": True},
            "slow.zone.test": {"A": ["127.0.0.1"], "delay": 5},
            "broken.zone.test": {"rcode": 2},
            "silent.zone.test": {"drop": True},
            "forged.zone.test": {"A": ["127.0.0.1"], "forge": "127.0.0.66", "delay": 0.05},
            "inside.zone.test": {"A": ["10.0.0.1"]},
            "mixed.zone.test": {"AAAA": ["64:ff9b::7f00:1"], "A": ["127.0.0.1"], "delay": {"A": 0.2}},
        })
        self.assertEqual(200, self.answer("good.zone.test")[0])
        self.assertEqual(200, self.answer("big.zone.test")[0])
        self.assertIn(("big.zone.test", "A", "tcp"), self.dns.questions)
        self.assertEqual(200, self.answer("forged.zone.test")[0])
        self.assertEqual(200, self.answer("mixed.zone.test")[0], "a forbidden address ended the wait for a good one")
        for name, status, reason, ending in (("slow.zone.test", 504, "dns_timeout", "connection timed out"), ("silent.zone.test", 504, "dns_timeout", "connection timed out"),
                                             ("broken.zone.test", 502, "dns_failed", "no such host"), ("missing.zone.test", 502, "dns_failed", "no such host"),
                                             ("inside.zone.test", 403, "address_forbidden", ")")):
            with self.subTest(name):
                code, line = self.answer(name)
                self.assertEqual(status, code, line)
                self.assertIn(reason, line)
                self.assertTrue(line.endswith(ending), line)
        self.assertEqual(403, self.answer("denied.other.test")[0])
        self.assertEqual([], self.dns.asked("denied.other.test"), "a denied name was asked of DNS")

    def test_equal_questions_are_asked_once_and_remembered(self):
        self.resolve({"shared.zone.test": {"A": ["127.0.0.1"], "delay": 0.2}})
        threads = [threading.Thread(target=self.answer, args=("shared.zone.test",)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.answer("shared.zone.test")
        asked = [q for q in self.dns.asked("shared.zone.test") if q[1] == "A"]
        self.assertLessEqual(len(asked), 2, "once a worker")

    def test_a_dead_resolver_is_said(self):
        dead = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        dead.bind(("127.0.0.1", 0))
        port = dead.getsockname()[1]
        dead.close()
        self.proxy = self.exeat(policy("*.zone.test", port=self.origin.port, extra=f"[dns]\nserver = 127.0.0.1:{port}\ntimeout = 1s\n"))
        began = time.monotonic()
        status, line = self.answer("x.zone.test")
        self.assertIn(status, (502, 504), line)
        self.assertLess(time.monotonic() - began, 5)

    # -- crowds --

    def test_two_hundred_slow_clients_and_garbage_leave_others_alone(self):
        self.start(limits="request_timeout = 20s")
        tunnel = self.open_tunnel()
        slow = [self.proxy.dial() for _ in range(200)]
        for sock in slow:
            self.addCleanup(sock.close)
            sock.sendall(b"C")
        noise = random.Random(2)
        for _ in range(300):
            with self.proxy.dial() as sock, contextlib.suppress(ConnectionError):
                sock.sendall(noise.randbytes(noise.randrange(1, 400)))
        self.assert_echo(tunnel)
        self.assert_echo(self.open_tunnel())


if __name__ == "__main__":
    unittest.main()
