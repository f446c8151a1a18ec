"""Two thousand tunnels opened, used and closed: no descriptor is left and memory comes back. The same under valgrind, where it is installed, says every leak."""

import concurrent.futures
import contextlib
import os
import resource
import shutil
import stat
import unittest

import audit_check
import harness
from harness import client_hello, echoes, long_story, wait_until
from proc import descriptors, own_bytes, status
from tunnels import NAME, TunnelStory

TUNNELS = 2000
RUSH = 1300  # against which a heap that grew once, and a block or two that are kept, count little


def resident_kib(pid):
    return int(status(pid)["VmRSS"].split()[0])


@long_story
class Soak(TunnelStory):
    def one(self, number):
        """One in five is denied, one in five asks for another name, the rest carry bytes."""
        kind = number % 5
        sock, status, _ = self.proxy.connect("denied.example.test" if kind == 0 else NAME, self.origin.port, timeout=60)
        with sock, contextlib.suppress(ConnectionError):
            if status != 200:
                return 0
            return int(echoes(sock, client_hello("evil.example.test" if kind == 1 else NAME)))

    def run_tunnels(self, count, threads):
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(self.one, range(count)))

    def settle(self, count):
        def closed(records):
            return sum(1 for record in records if record["event"] == "close") >= count
        self.proxy.wait_records(f"{count} closes", closed, 60)

    def test_descriptors_and_memory_come_back(self):
        self.start(sandbox=harness.SEEN)
        server = self.proxy.children()["server"]
        self.settle(self.run_tunnels(200, 16))  # what is kept for reuse is there now
        wait_until("the lingering to end", lambda: descriptors(server) < 60)
        before, memory = descriptors(server), resident_kib(server)
        opened = self.run_tunnels(TUNNELS, 16)
        self.assertEqual(TUNNELS * 3 // 5, opened)
        self.settle(opened)
        wait_until("every descriptor to be closed", lambda: descriptors(server) <= before)
        if not harness.SANITIZED:  # sanitizers keep what was freed
            self.assertLess(resident_kib(server) - memory, 4096)
        self.assertEqual(0, self.proxy.stop())
        records = audit_check.check_file(self.proxy.audit_path)
        self.assertEqual(TUNNELS + 200, sum(1 for record in records if record["event"] == "decision"))

    def test_what_a_rush_took_is_given_back(self):
        if harness.SANITIZED:
            self.skipTest("sanitizers keep what was freed")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        self.start("[limits]\ntunnels_per_client = 4000", workers=1)
        server = self.proxy.children()["server"]
        opened = self.run_tunnels(200, 16)
        self.settle(opened)
        before = own_bytes(server)
        tunnels = [self.open_tunnel() for _ in range(RUSH)]
        taken = own_bytes(server) - before
        self.assertGreater(taken, RUSH * 500, "it is not measured")
        for sock in tunnels:
            sock.close()
        self.settle(opened + RUSH)
        wait_until("memory to come back", lambda: own_bytes(server) - before < taken / 2)

    def test_valgrind_finds_nothing(self):
        if harness.SANITIZED:
            self.skipTest("a sanitizer is in the way of valgrind")
        if shutil.which("valgrind") is None:
            self.skipTest("valgrind is not installed: contrib/test installs it")
        wrapper = self.directory / "exeat-under-valgrind"
        wrapper.write_text(f"""#!/bin/sh
exec valgrind -q --trace-children=yes --leak-check=full --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect \\
    --error-exitcode=99 --log-file={self.directory}/valgrind.%p {os.path.abspath(harness.EXEAT)} "$@"
""")
        wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
        patience, harness.PATIENCE = harness.PATIENCE, 120
        try:
            self.start(sandbox="off", program=wrapper)  # neither it nor valgrind knows the other's system calls
            self.settle(self.run_tunnels(TUNNELS, 8))
            self.assertEqual(0, self.proxy.stop())
        finally:
            harness.PATIENCE = patience
        logs = list(self.directory.glob("valgrind.*"))
        self.assertGreaterEqual(len(logs), 3, "all three processes were watched")
        self.assertEqual("", "".join(log.read_text() for log in logs))


if __name__ == "__main__":
    unittest.main()
