"""As many tunnels open as the manual says that the limit of open files allows, whatever else takes descriptors; one more is refused in words."""

import contextlib
import signal
import unittest

from harness import unthreaded_story, wait_until
from proc import pipe_ends
from tunnels import NAME, TunnelStory

LIMIT = 320
WORKERS = 2
STUFFED = 24
DENIED = 120


def documented(limit, workers, addresses=1):
    """[limits] tunnels = auto, as exeat.conf(5) has it."""
    rest = limit - 32 - workers * (16 + addresses)
    return (rest - max(rest // 32, 4)) // 2


@unthreaded_story
class Descriptors(TunnelStory):
    def start(self, extra="[limits]\ntunnels_per_client = 100000\n", **how):
        return super().start(extra, workers=WORKERS, through=("prlimit", f"--nofile={LIMIT}:{LIMIT}"), **how)

    def pipes(self):
        """Ends of pipes that the server has."""
        return pipe_ends(self.proxy.children()["server"])

    def stuff(self, tunnel):
        """Sends until nobody takes more: pipes are full, and their client does not read."""
        tunnel.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            while True:
                tunnel.send(bytes(1 << 20))

    def deny(self):
        """A refused client that does not close: it lingers."""
        sock, status, _ = self.proxy.connect("evil.example.test", 443)
        self.addCleanup(sock.close)
        self.assertEqual(403, status)

    def refuse(self):
        sock, status, head = self.proxy.connect(NAME, self.origin.port)
        sock.close()
        self.assertEqual(503, status)
        self.assertIn("overload", head)

    def assert_the_documented_number_opens(self):
        most = documented(LIMIT, WORKERS)
        before = self.pipes()
        stuffed = [self.open_tunnel() for _ in range(STUFFED)]
        for tunnel in stuffed:
            self.stuff(tunnel)
        wait_until("bytes in pipes", lambda: self.pipes() > before)
        held = [self.open_tunnel() for _ in range(most // 2)]
        for _ in range(DENIED):
            self.deny()
        held += [self.open_tunnel() for _ in range(most - STUFFED - len(held))]
        for _ in range(3):
            self.refuse()
        for tunnel in held:
            self.assert_echo(tunnel)
        held.pop().close()
        wait_until("room again", self.tunnel_works)
        self.assertNotIn("pauses accepting", self.proxy.log_text())
        self.assertGreater(self.pipes(), before)

    def test_the_documented_number_opens_whatever_else_is_open(self):
        self.start()
        self.assert_the_documented_number_opens()

    def test_so_it_does_where_a_reload_wants_them(self):
        """What comes and goes had more while there were to be fewer."""
        few = "tunnels = 40\n"
        self.start(f"[limits]\n{few}tunnels_per_client = 100000\n")
        self.proxy.config.write_text(self.proxy.config.read_text().replace(few, ""))
        self.proxy.process.send_signal(signal.SIGHUP)
        self.await_log("reloaded: ")
        self.assert_the_documented_number_opens()

    def test_each_address_of_a_listener_takes_room(self):
        addresses = 8
        self.start(extra=f"[listen explicit]\naddress ={' 127.0.0.1:0' * addresses}\n[limits]\ntunnels = 100000\n")
        self.await_log(f"leaves room for {documented(LIMIT, WORKERS, addresses)}")

    def test_more_tunnels_than_there_is_room_for_are_said(self):
        self.start("[limits]\ntunnels = 5000\n")
        self.await_log(f"tunnels = 5000: the limit of open files, {LIMIT}, leaves room for {documented(LIMIT, WORKERS)}")


if __name__ == "__main__":
    unittest.main()
