"""Ten thousand names at random through the cache: each where its answer says, for as long as that is good; what a dead resolver delays, and what not."""

import concurrent.futures
import statistics
import time
import unittest

import harness
from harness import DnsStub, EndToEndTest, Exeat, Origin, long_story, policy, receive_all, wait_until
from proc import own_bytes
from traffic import random_source

NAMES = 2000 if harness.SANITIZED else 10000
CLIENTS = 8
KEPT = 50 if harness.SANITIZED else 200
HANGING = 300
VISITS_LEAST = 30  # meanwhile, however slow the machine is
TIMEOUT_S = 2
LAG_S = 3 if harness.SANITIZED else 1  # of Python and exeat together
CACHE_BYTES = 8 << 20
DOMAIN = "names.example.test"


def name_of(number):
    return f"n{number}.{DOMAIN}"


def address_of(number, version):
    return f"127.{version}.{number >> 8}.{number & 255}"


def say_where(sock):
    """As an origin: by which address it was reached."""
    sock.sendall(sock.getsockname()[0].encode())


class Names(DnsStub):
    """Knows the IPv4 address of every name, which is another one with each version; `given` is when, in which version and for how long, by number."""

    def __init__(self, chance, port=0):
        self.ttls = [chance.choice((1, 2, 3, 600)) for _ in range(2 * NAMES)]
        self.version = 1
        self.given = {}
        self.last_ids = {}
        self.silent = False
        super().__init__({}, port=port)

    def serve_udp(self):
        while True:
            try:
                packet, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if not packet:
                return
            name, kind, _ = self.read(packet, "udp")
            if not self.silent:
                self.udp.sendto(self.reply(packet, kind, self.entry(name, kind, packet[:2]), False), peer)

    def entry(self, name, kind, question_id):
        number = int(name[1:name.index(".")])
        if self.TYPES[kind] == "A" and self.last_ids.get(number) != question_id:  # else it was sent again
            self.last_ids[number] = question_id
            self.given.setdefault(number, []).append((time.monotonic(), self.version, self.ttls[number]))
        return {"A": [address_of(number, self.version)], "ttl": self.ttls[number]}


@long_story
class RandomNames(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.chance = random_source(self.id())
        self.door = self.use(Origin("0.0.0.0", serve=say_where))
        self.dns = self.use(Names(self.chance))
        dns = f"[dns]\nserver = {self.dns.address}\nmin_ttl = 1s\nnegative_ttl = 600s\ntimeout = {TIMEOUT_S}s\n"
        text = policy(f"*.{DOMAIN}", port=self.door.port, rule="sni = off", extra=dns)
        self.proxy = Exeat(self.directory, text, workers=1)
        self.addCleanup(self.proxy.stop)  # to hold all its records against the contract takes longer than to make them
        self.server = self.proxy.children()["server"]

    def ask(self, number):
        sock = self.proxy.dial()
        sock.sendall(f"CONNECT {name_of(number)}:{self.door.port} HTTP/1.1\r\n\r\n".encode())
        return sock

    @staticmethod
    def answer(sock):
        """Status and what came behind the head."""
        with sock:
            head, _, rest = receive_all(sock).partition(b"\r\n\r\n")
        return int(head.split()[1]), head.decode(), rest.decode()

    def visit(self, number):
        """Asks for a name, and holds where that led against what DNS has said."""
        started = time.monotonic()
        status, head, reached = self.answer(self.ask(number))
        self.assertEqual(200, status, head)
        good = [address_of(number, version) for when, version, ttl in self.dns.given[number] if when + ttl + LAG_S >= started]
        self.assertIn(reached, good, f"{name_of(number)}, asked at {started}: {self.dns.given[number]}")
        return time.monotonic() - started

    def visit_all(self, numbers):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(self.visit, numbers))

    def lasting(self, count):
        return [number for number, ttl in enumerate(self.dns.ttls[:NAMES]) if ttl == 600][:count]

    def assert_asked_only_when_over(self):
        """exeat cuts times to milliseconds."""
        for number, given in self.dns.given.items():
            for (before, _, ttl), (after, _, _) in zip(given, given[1:]):
                self.assertGreater(after, before + ttl - 0.01, f"{name_of(number)} was forgotten before its time: {given}")

    def refusal(self, number):
        status, head, _ = self.answer(self.ask(number))
        return status, head.split("(")[1].split(",")[0]

    def test_each_leads_where_its_answer_says_for_as_long_as_it_is_good(self):
        self.visit_all(range(NAMES, NAMES + 200))  # what is kept for reuse is there now
        before = own_bytes(self.server)
        self.visit_all(self.chance.sample(range(NAMES), NAMES))
        self.dns.version = 2
        self.visit_all(self.chance.choices(range(NAMES), k=NAMES // 4))
        self.assert_asked_only_when_over()
        number = self.dns.ttls.index(1)
        self.visit(number)
        wait_until("the second address", lambda: self.visit(number) and self.dns.given[number][-1][1] == 2)
        self.assertEqual(1, self.dns.given[self.lasting(1)[0]][-1][1])
        if not harness.SANITIZED:  # sanitizers have memory of their own
            self.assertLess(own_bytes(self.server) - before, CACHE_BYTES)

    def test_a_dead_resolver_delays_no_name_that_is_kept(self):
        kept = self.lasting(KEPT)
        self.visit_all(kept)
        alive = [self.visit(number) for number in kept * 2]
        self.dns.silent = True
        new = range(NAMES, NAMES + HANGING)
        started = time.monotonic()
        hanging = [self.ask(number) for number in new]
        asked = time.monotonic()
        wait_until("the questions", lambda: len({name for name, _, _ in self.dns.questions}) >= len(kept) + HANGING)
        dead = [self.visit(number) for number in kept * 2 if time.monotonic() - started < TIMEOUT_S]  # for as long as all of them hang
        self.assertGreater(len(dead), VISITS_LEAST, "the measurement took too long: nothing hung any more")
        self.assertLess(statistics.median(dead), 2 * statistics.median(alive) + 0.002)
        self.assertLess(sorted(dead)[-len(dead) // 100], 2 * sorted(alive)[-len(alive) // 100] + 0.1)
        for sock in hanging:
            status, head, _ = self.answer(sock)
            self.assertEqual((504, True), (status, "(dns_timeout," in head), head)
        self.assertLess(time.monotonic() - asked, TIMEOUT_S + LAG_S)
        port = self.dns.port
        self.dns.close()
        self.assertEqual((502, "dns_failed"), self.refusal(NAMES))
        self.visit(kept[0])
        self.dns = self.use(Names(self.chance, port=port))
        self.visit_all(new)


if __name__ == "__main__":
    unittest.main()
