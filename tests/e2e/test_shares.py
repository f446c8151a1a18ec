"""One client cannot stop the rest: what it may hold of the sessions, and what those may who are in no group."""

import os
import select
import signal
import time
import unittest

from forged import v1
from harness import client_hello, policy, receive_all, wait_until
from tunnels import NAME, TunnelStory

ONE, OTHER = "127.0.0.1", "127.0.0.2"
FORBIDDEN = "forbidden.example.test"
STRANGERS_MAX = 64


class ShareStory(TunnelStory):
    def start_with(self, limits, clients="127.0.0.0/8", listen=""):
        text = policy(NAME, port=self.origin.port, hosts=self.hosts).replace("from = 127.0.0.0/8 ::1", f"from = {clients}")
        self.proxy = self.exeat(f"{text}\n[limits]\n{limits}\n{listen}")

    def ask(self, source):
        """A CONNECT from an address: the socket and its status."""
        sock, status, head = self.proxy.connect(NAME, self.origin.port, source=(source, 0))
        self.addCleanup(sock.close)
        return sock, status, head

    def tunnel_from(self, source):
        sock, status, head = self.ask(source)
        self.assertEqual(200, status, head)
        self.assert_echo(sock, client_hello(NAME))
        return sock

    def silent_from(self, source, count):
        """Connections that say nothing."""
        socks = [self.proxy.dial(source=(source, 0)) for _ in range(count)]
        for sock in socks:
            self.addCleanup(sock.close)
        return socks

    def await_answers(self, socks, count):
        """Waits until so many of them were told something, and returns what."""
        wait_until(f"{count} answers", lambda: len(select.select(socks, [], [], 0)[0]) >= count)
        answered = select.select(socks, [], [], 0)[0]
        self.assertEqual(count, len(answered))
        return [self.proxy.read_head(sock) for sock in answered]


class ShareTest(ShareStory):
    def test_a_client_has_its_tunnels_and_no_more(self):
        self.start_with("tunnels_per_client = 3")
        held = [self.tunnel_from(ONE) for _ in range(3)]
        _, status, head = self.ask(ONE)
        self.assertEqual(503, status)
        self.assertIn("quota", head)
        self.assertEqual(ONE, self.proxy.wait_decision(reason="quota", verdict="deny")["client_ip"])
        self.tunnel_from(OTHER)
        held.pop().close()
        wait_until("room again", lambda: self.ask(ONE)[1] == 200)

    def test_unless_told_otherwise_it_has_half_of_all(self):
        self.start_with("tunnels = 8")
        for _ in range(4):
            self.tunnel_from(ONE)
        self.assertEqual(503, self.ask(ONE)[1])
        for _ in range(4):
            self.tunnel_from(OTHER)
        self.assertIn("overload", self.ask("127.0.0.3")[2])

    def test_who_holds_connections_open_leaves_room_for_others(self):
        self.start_with("tunnels = 20\nrequest_timeout = 60s")
        mine = self.tunnel_from(ONE)
        silent = self.silent_from(ONE, 20)
        for status, head in self.await_answers(silent, 15):  # a quarter of 20 may wait
            self.assertEqual(503, status)
            self.assertIn("quota", head)
        for _ in range(5):
            self.tunnel_from(OTHER)
        self.assert_echo(mine)
        for sock in silent:
            sock.close()
        wait_until("its share again", lambda: self.ask(ONE)[1] == 200)

    def test_strangers_share_few_places_and_little_time(self):
        self.start_with("request_timeout = 60s", clients="127.0.0.1/32")
        silent = [sock for last in range(2, 12) for sock in self.silent_from(f"127.0.0.{last}", 8)]
        refused = self.await_answers(silent, len(silent) - STRANGERS_MAX)
        self.assertEqual({503}, {status for status, _ in refused})
        self.tunnel_from(ONE)
        late = [sock for sock in silent if sock not in select.select(silent, [], [], 0)[0]]
        wait_until("the end of their patience", lambda: len(select.select(late, [], [], 0)[0]) == len(late))
        wait_until("their records", lambda: sum(r["reason"] == "request_timeout" for r in self.proxy.decisions()) == STRANGERS_MAX)
        _, status, head = self.ask("127.0.0.9")
        self.assertEqual(403, status)
        self.assertIn("client_unknown", head)

    def test_behind_a_balancer_the_share_is_the_clients(self):
        listen = "[listen explicit]\naddress = 127.0.0.1:0\nproxy_protocol = required\ntrusted = 127.0.0.1/32"
        self.start_with("tunnels_per_client = 2", clients="192.0.2.0/24", listen=listen)
        request = f"CONNECT {NAME}:{self.origin.port} HTTP/1.1\r\n\r\n".encode()

        def ask(client):
            sock = self.silent_from(ONE, 1)[0]
            sock.sendall(v1(client) + request)
            return self.proxy.read_head(sock)[0], sock
        held = [ask(("192.0.2.7", 1000 + i)) for i in range(3)]
        self.assertEqual([200, 200, 503], [status for status, _ in held])
        self.assertEqual(200, ask(("192.0.2.8", 1000))[0])
        quota = self.proxy.wait_decision(reason="quota")
        self.assertEqual(("192.0.2.7", ONE), (quota["client_ip"], quota["peer_ip"]))


class RefusalsTest(ShareStory):
    """`refusals_per_client`: who is refused too often waits a second for each further refusal, and for nothing else."""

    SECOND = 0.99  # by a worker's clock, which is the kernel's coarse one and ticks every few milliseconds

    def refused(self, source):
        """How long the refusal took, and its status."""
        began = time.monotonic()
        sock, status, _ = self.proxy.connect(FORBIDDEN, 443, source=(source, 0))
        sock.close()
        return time.monotonic() - began, status

    def hammer(self, source, count, reason):
        """So many requests that are refused for that reason, a few at a time, with no regard to answers: their sockets."""
        request = f"CONNECT {FORBIDDEN}:443 HTTP/1.1\r\n\r\n".encode()
        before = len(self.proxy.decisions())
        socks = []
        while len(socks) < count:
            some = self.silent_from(source, min(8, count - len(socks)))
            for sock in some:
                sock.sendall(request)
            socks += some
            wait_until("their decisions", lambda: len(self.proxy.decisions()) >= before + len(socks))
        self.assertEqual({reason}, {record["reason"] for record in self.proxy.decisions()[before:]})
        return socks

    def test_who_hammers_waits_and_others_do_not(self):
        self.start_with("refusals_per_client = 4")
        for _ in range(4):
            self.refused(ONE)
        self.assertEqual([403] * 2, [status for took, status in (self.refused(ONE) for _ in range(2)) if took >= self.SECOND])
        began = time.monotonic()
        for _ in range(4):
            self.assertEqual(403, self.refused(OTHER)[1])
        for _ in range(8):
            self.tunnel_from(ONE).close()
        self.assertLess(time.monotonic() - began, 8, "neither another client nor what is allowed waits")

    def test_whatever_is_refused_waits_also_in_tls(self):
        self.start_with("refusals_per_client = 1")
        self.refused(ONE)
        sock, status, _ = self.ask(ONE)
        self.assertEqual(200, status)
        began = time.monotonic()
        sock.sendall(client_hello(FORBIDDEN))
        self.assertEqual(bytes((21, 3, 3, 0, 2, 2, 49)), receive_all(sock))
        self.assertGreaterEqual(time.monotonic() - began, self.SECOND)
        self.proxy.wait_decision(reason="sni_mismatch")

    def test_who_waits_has_its_own_share_and_no_more(self):
        self.start_with("tunnels = 40\nrefusals_per_client = 1")
        self.refused(ONE)
        mine = self.tunnel_from(ONE)
        waiting = self.hammer(ONE, 8, "default_deny")
        held = [self.tunnel_from(OTHER) for _ in range(20)]
        self.assertEqual([403] * 8, [self.proxy.read_head(sock)[0] for sock in waiting])
        self.assert_echo(mine)
        for sock in held:
            sock.close()
        wait_until("its share again", lambda: self.ask(ONE)[1] == 200)

    def test_strangers_leave_each_other_room(self):
        self.start_with("refusals_per_client = 1", clients="127.0.0.1/32")
        self.refused(OTHER)
        waiting = self.hammer(OTHER, STRANGERS_MAX + 8, "client_unknown")
        self.assertEqual(403, self.refused("127.0.0.3")[1])
        self.assertEqual({403}, {self.proxy.read_head(sock)[0] for sock in waiting})
        self.tunnel_from(ONE)

    def test_for_what_is_exeats_own_fault_nobody_waits(self):
        self.start_with("refusals_per_client = 1")
        journal = self.proxy.children()["journal"]
        os.kill(journal, signal.SIGSTOP)
        self.addCleanup(os.kill, journal, signal.SIGCONT)
        self.refused(OTHER)  # what the journal does not answer
        took = []

        def was_refused_often():
            began = time.monotonic()
            sock, _, head = self.ask(ONE)
            sock.close()
            if "audit_unavailable" in head:
                took.append(time.monotonic() - began)
            return len(took) > 4
        wait_until("refusals", was_refused_often)
        self.assertLess(min(took[1:]), self.SECOND)

    def test_a_stop_answers_who_waits(self):
        self.start_with("refusals_per_client = 1")
        self.refused(ONE)
        (gone, waits) = self.hammer(ONE, 2, "default_deny")
        gone.close()
        self.assertEqual(0, self.proxy.stop())
        self.assertEqual(403, self.proxy.read_head(waits)[0])
        self.assertEqual(3, len(self.proxy.decisions()))


if __name__ == "__main__":
    unittest.main()
