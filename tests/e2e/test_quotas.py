"""What the clients of a group may move: no new tunnel when it is used up, whatever is open goes on, and room comes back."""

import json
import re
import time
import unittest

from harness import Origin, client_hello, policy, receive_exactly, wait_until
from test_admin import BOTH
from test_reload import ReloadStory
from tunnels import NAME
from watching import Door, sample

ONE, OTHER = "127.0.0.1", "127.0.0.2"
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
GET = re.compile(rb"get (\d+);")

ALL = "[clients all]\nfrom = 127.0.0.0/8\n"
FEW = "[clients few]\nfrom = 127.0.0.1/32\ndenials = own\n"


def giving(sock):
    """An origin that gives as many bytes as it is asked for, and keeps what it is sent."""
    end = b""
    while data := sock.recv(65536):
        asked = GET.search(end + data)
        end = b"" if asked else data[-32:]
        if asked:
            sock.sendall(bytes(int(asked[1])))


class QuotaStory(ReloadStory):
    def setUp(self):
        super().setUp()
        self.origin = self.use(Origin(serve=giving))

    def start_with(self, groups):
        text = policy(NAME, port=self.origin.port, hosts=self.hosts).replace("[clients local]\nfrom = 127.0.0.0/8 ::1\n", groups)
        self.proxy = self.exeat(text + BOTH)
        self.watch = Door(self.proxy.ports["admin"])

    def ask(self, source=ONE):
        """A CONNECT: (socket, status, head)"""
        sock, status, head = self.proxy.connect(NAME, self.origin.port, source=(source, 0))
        self.addCleanup(sock.close)
        return sock, status, head

    def tunnel(self, source=ONE):
        sock, status, head = self.ask(source)
        self.assertEqual(200, status, head)
        sock.sendall(client_hello(NAME))
        return sock

    def get(self, sock, count):
        sock.sendall(f"get {count};".encode())
        self.assertEqual(count, len(receive_exactly(sock, count)))

    def put(self, sock, count):
        sock.sendall(bytes(count))
        self.get(sock, 1)

    def refused(self, source=ONE):
        """The head of a refusal."""
        _, status, head = self.ask(source)
        self.assertEqual(503, status, head)
        return head

    def left(self, group, way):
        return self.watch.metrics()[sample("exeat_quota_left_bytes", group=group, way=way)]


class QuotaTest(QuotaStory):
    def test_what_is_used_up_keeps_new_tunnels_out_and_open_ones_go_on(self):
        self.start_with(FEW + "download = 1M/m\n" + ALL)
        sock, bystander = self.tunnel(), self.tunnel(OTHER)
        self.get(sock, 3 * MIB)
        head = self.refused()
        self.assertRegex(head, r"is past your share \(quota, id \w+\): download quota 1M/m of group few is used up: room in \d+ s: connection refused\r\n")
        self.assertLessEqual(int(re.search(r"Retry-After: (\d+)\r\n", head)[1]), 61, "a span at most, whatever was moved")
        denial = self.proxy.wait_decision(reason="quota", verdict="deny")
        self.assertEqual(("capacity", ONE, "few"), (denial["class"], denial["client_ip"], denial["client_group"]))
        self.assertRegex(denial["detail"], r"^download quota 1M/m of group few is used up: room in \d+ s$")
        self.assertLess(-MIB - 1, self.left("few", "down"))
        self.assertLess(self.left("few", "down"), 0)
        self.get(sock, 3 * MIB)
        self.put(sock, MIB)
        self.get(bystander, 3 * MIB)
        self.get(self.tunnel(OTHER), 1)
        asking = self.proxy.dial()
        self.addCleanup(asking.close)
        asking.sendall(b"GET /denials HTTP/1.1\r\nHost: test\r\n\r\n")
        self.proxy.read_head(asking)
        self.assertIn("quota", {d["reason"] for d in json.loads(asking.makefile().read())["denials"]})

    def test_a_reload_keeps_what_was_used(self):
        self.start_with(ALL + "upload = 2M/m\ndownload = 1G/h\n")
        sock = self.tunnel()
        self.put(sock, 4 * MIB)
        self.assertIn("upload quota 2M/m of group all is used up", self.refused())
        self.change("[dns]", "[limits]\nhello_timeout = 9s\n[dns]")
        self.assertIn("upload quota 2M/m of group all is used up", self.refused())
        self.assertIn("clients all upload changed", self.change("upload = 2M/m", "upload = 1G/d")["detail"])
        self.assertLessEqual(GIB - 4 * MIB, self.left("all", "up"))
        self.assertLess(self.left("all", "up"), GIB - MIB)
        self.get(self.tunnel(), 1)
        self.change("upload = 1G/d\n", "")
        self.put(sock, 4 * MIB)
        self.get(self.tunnel(), 1)

    def test_a_quota_that_comes_by_a_reload_is_for_what_is_open_too(self):
        self.start_with(ALL)
        sock = self.tunnel()
        self.get(sock, 3 * MIB)
        self.change(ALL, ALL + "download = 1M/m\n")
        wait_until("its meter", lambda: self.get(sock, 256 * KIB) or self.left("all", "down") < MIB)
        self.get(self.tunnel(), 1)
        self.get(sock, 3 * MIB)
        self.refused()

    def test_room_comes_back(self):
        self.start_with(ALL + "download = 256K/s\n")
        began, tunnels = time.monotonic(), 0
        while (answer := self.ask())[1] == 200:
            with answer[0] as sock:
                sock.sendall(client_hello(NAME))
                self.get(sock, MIB)
            tunnels += 1
            self.proxy.wait_records("its end", lambda rs: sum(r["event"] == "close" for r in rs) == tunnels)
        until = time.monotonic() + int(re.search(r"Retry-After: (\d+)\r\n", answer[2])[1])
        wait_until("the time it said", lambda: time.monotonic() >= until)
        self.get(self.tunnel(), 1)
        self.assertGreaterEqual(time.monotonic() - began, 1)
        wait_until("all of it", lambda: self.left("all", "down") == 256 * KIB)

    def test_metrics_and_records_agree(self):
        """Of a client in two groups, through both workers, to the byte."""
        self.start_with(FEW + "upload = 1G/d\ndownload = 1G/d\n" + ALL + "upload = 2G/d\ndownload = 2G/d\n")
        began = time.monotonic()
        for number in range(6):
            with self.tunnel(ONE) as mine, self.tunnel(OTHER) as other:
                self.put(mine, 1000 + number)
                self.get(mine, MIB + number)
                self.put(other, MIB)
                self.get(other, 10)
        closes = self.proxy.wait_records("their ends", lambda rs: len(found := [r for r in rs if r["event"] == "close"]) == 12 and found)
        for group, size, clients in (("few", GIB, (ONE,)), ("all", 2 * GIB, (ONE, OTHER))):
            for way in ("up", "down"):
                used = sum(close[f"bytes_{way}"] for close in closes if close["client_ip"] in clients)
                left = self.left(group, way)
                self.assertEqual(size, self.watch.metrics()[sample("exeat_quota_bytes", group=group, way=way)])
                self.assertLessEqual(size - used, left)
                self.assertLessEqual(left, size - used + size * (time.monotonic() - began) / 86400 + 1)


if __name__ == "__main__":
    unittest.main()
