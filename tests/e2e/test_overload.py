"""Who takes all that there is, slow clients, garbage and a flood against a server of few descriptors; and memory that runs out: the others never notice."""

import contextlib
import itertools
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import unittest

from harness import PATIENCE, SANITIZED, SEEN, client_hello, echoes, long_story, policy, receive_all, wait_until
from heartbeat import Heartbeat, of_most
from proc import descriptors, own_bytes, pipe_ends
from traffic import TrafficStory, allowed_hosts
from tunnels import NAME, TunnelStory

LIMIT = 64  # of open files: room for five tunnels
SLOW = 200 if SANITIZED else 2000
GARBAGE = 1000 if SANITIZED else 10000
ENEMY, OTHER = "127.0.0.9", "127.0.0.2"
STRANGERS = [f"127.0.1.{last}" for last in range(1, 200)]
FLOODS, FLOOD = 50 if SANITIZED else 500, 200000  # tunnels, and bytes in each
LATE = 2 if SANITIZED else 0.1  # how much later than beside exeat messages may be
FAR_TOO_LATE = 2 if SANITIZED else 0.5  # not even one
KEPT = 2 << 20  # of memory: a heap that grew once does not give all back; a session that is left is some 900 bytes, and there are ten thousand
WHY = {"quota", "request_timeout", "client_gone", "bad_request", "method_not_allowed", "default_deny", "hello_malformed", "rule_allow"}


def kept_descriptors(pid):
    """Without pipes, some of which are kept for reuse for a while."""
    return descriptors(pid) - pipe_ends(pid)


def reset_on_close(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@long_story
class Crowd(TunnelStory):
    """All of them come from one address; another one is served throughout."""

    def setUp(self):
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, SLOW + 1024), hard))
        self.heartbeat = self.use(Heartbeat())
        self.chance = random.Random(7)
        self.hello = client_hello(NAME)
        self.request = f"CONNECT {NAME}:{self.heartbeat.port} HTTP/1.1\r\n\r\n".encode()
        self.served, self.flooded, self.faults = 0, 0, []

    def start(self):
        listen = "[listen explicit]\naddress = 127.0.0.1:0\n[limits]\nrequest_timeout = 20s\nhello_timeout = 20s\n"
        if os.geteuid() == 0:
            listen += "[listen transparent]\naddress = 127.0.0.1:0\nmode = tproxy\n"
        text = policy(NAME, port=self.heartbeat.port, hosts=self.hosts, extra=listen).replace("127.0.0.0/8 ::1", "127.0.0.0/24", 1)
        self.proxy = self.exeat(text, workers=1, sandbox=SEEN,
                                through=("prlimit", f"--nofile={LIMIT}:{LIMIT}"))
        self.doors = [(self.proxy.host, int(where.rpartition(":")[2])) for name, where in self.proxy.ports.items()]

    def processes(self):
        return {"supervisor": self.proxy.process.pid, **self.proxy.children()}

    def state(self, what):
        return {role: what(pid) for role, pid in self.processes().items()}

    # -- the enemies --

    def attack(self, source, door=0):
        return socket.create_connection(self.doors[door % len(self.doors)], PATIENCE, (source, 0))

    def come_slowly(self, sources):
        """A byte, and then nothing for as long as they are let. Those who were let in at all."""
        socks = contextlib.ExitStack()
        self.addCleanup(socks.close)
        for source in itertools.islice(itertools.cycle(sources), SLOW):
            with contextlib.suppress(ConnectionError):
                socks.enter_context(self.attack(source)).sendall(b"C")
        return socks

    def noise(self, number):
        """What is sent."""
        kinds = (
            lambda: self.chance.randbytes(self.chance.randrange(1, 600)),
            lambda: self.hello[:self.chance.randrange(1, len(self.hello))],
            lambda: self.hello[:9] + self.chance.randbytes(len(self.hello) - 9),
            lambda: self.request + self.hello[:self.chance.randrange(len(self.hello))],
            lambda: b"GET http://flood.example.test/ HTTP/1.1\r\nHost: flood.example.test\r\n\r\n" * 20,
            lambda: b"CONNECT denied.example.test:443 HTTP/1.1\r\n\r\n",
            lambda: b"",
        )
        return kinds[number % len(kinds)]()

    def send_garbage(self, count):
        """By either door; half of them reset at once, the others hear what there is to hear."""
        for number in range(count):
            with contextlib.suppress(OSError), self.attack(ENEMY, number // 7) as sock:
                sock.sendall(self.noise(number))
                if self.chance.random() < 0.5:
                    reset_on_close(sock)
                else:
                    sock.shutdown(socket.SHUT_WR)
                    receive_all(sock)

    def flood(self):
        """One tunnel after the other, full of bytes whose echo nobody reads."""
        with contextlib.suppress(ConnectionError), self.attack(ENEMY) as sock:
            sock.sendall(self.request + self.hello + bytes(FLOOD))
            self.flooded += sock.recv(12) == b"HTTP/1.1 200"

    # -- the others --

    def status_of(self, source):
        sock, status, _ = self.proxy.connect(NAME, self.heartbeat.port, source=(source, 0))
        sock.close()
        return status

    def be_served(self):
        sock, status, head = self.proxy.connect(NAME, self.heartbeat.port, source=(OTHER, 0))
        with sock:
            assert status == 200 and echoes(sock, self.hello), head
            sock.shutdown(socket.SHUT_WR)
            receive_all(sock)  # now it is over, and counts no more
        self.served += 1

    def until(self, over, work):
        try:
            while not over.is_set():
                work()
        except (OSError, AssertionError) as error:
            self.faults.append(f"{work.__name__}: {error!r}")

    @contextlib.contextmanager
    def meanwhile(self, *work):
        """Each over and over again, and another client that is served."""
        over = threading.Event()
        threads = [threading.Thread(target=self.until, args=(over, one)) for one in (self.be_served, *work)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertEqual([], self.faults)

    def await_served(self):
        """Also while this lasts."""
        before = self.served
        wait_until("others to be served", lambda: self.served > before + 20 or self.faults)

    def test_harms_nobody_else(self):
        self.start()
        self.heartbeat.begin(self.proxy, NAME)
        files = self.state(kept_descriptors)
        with self.meanwhile(self.flood):
            self.send_garbage(GARBAGE // 10)  # what is kept for reuse is there then
        wait_until("descriptors to come back", lambda: self.state(kept_descriptors) == files)
        memory = self.state(own_bytes)

        with self.come_slowly([ENEMY]), self.meanwhile():
            self.await_served()
        with self.come_slowly(STRANGERS), self.meanwhile():
            self.proxy.wait_decision(reason="request_timeout")
            self.send_garbage(GARBAGE)
        with self.meanwhile(self.flood, self.flood):
            wait_until("the flood", lambda: self.flooded > FLOODS)

        wait_until("descriptors to come back", lambda: self.state(kept_descriptors) == files)
        if not SANITIZED:  # sanitizers keep what was freed
            for role, now in self.state(own_bytes).items():
                self.assertLess(now - memory[role], KEPT, role)
        self.assertEqual(200, self.status_of(ENEMY), "nothing is held against anybody")
        later = self.heartbeat.end()
        self.assertLess(of_most(later), LATE)
        self.assertLess(max(later), FAR_TOO_LATE)
        self.assertLessEqual(WHY, {record["reason"] for record in self.proxy.decisions()})
        print(f"\n{self.served} served, {self.flooded} of the flood, {len(later)} messages, the latest by {1000 * max(later):.0f} ms", flush=True)


@long_story
@unittest.skipIf(SANITIZED, "a sanitizer wants to be the first library")
@unittest.skipIf(shutil.which("cc") is None, "there is no compiler, to make a malloc that fails")
class OutOfMemory(TrafficStory):
    """Allocations of one process fail, one in so many: nobody crashes, an open tunnel goes on, and nothing leaves unrecorded."""

    def setUp(self):
        super().setUp()
        self.heartbeat = self.use(Heartbeat())
        self.hosts = self.directory / "hosts"
        self.hosts.write_text(f"127.0.0.1 {NAME}\n")
        self.page = self.directory / "failing"
        self.page.write_bytes(bytes(8))
        self.library = self.directory / "failing_malloc.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", self.library, pathlib.Path(__file__).with_name("failing_malloc.c"), "-ldl"], check=True)

    def start(self, role):
        rule = f"[rule heartbeat]\nto = {NAME}\nport = {self.heartbeat.port}\n"
        text = self.traffic.policy(f"{rule}[audit]\nfile = {self.path}\n").replace("[dns]", f"[dns]\nhosts_file = {self.hosts}", 1)
        self.proxy = self.exeat(text, audit_path=self.path,
                                environment={"LD_PRELOAD": str(self.library), "FAILING_MALLOC": str(self.page), "FAILING_ROLE": role})
        self.traffic.proxy = self.proxy
        self.heartbeat.begin(self.proxy, NAME)
        self.traffic.start()
        self.traffic.await_progress()

    def fail_one_in(self, count):
        """From now on; 0: none fails any more."""
        with open(self.page, "r+b") as page:
            page.write(struct.pack("=I", count))

    def failed(self):
        return struct.unpack("=II", self.page.read_bytes())[1]

    def hang_up(self):
        """The reload may be refused."""
        self.proxy.process.send_signal(signal.SIGHUP)

    def go_through(self, levels):
        """One in so many, until so many have failed; then it recovers."""
        children = self.proxy.children()
        for one_in, wanted in levels:
            before = self.failed()
            self.fail_one_in(one_in)
            wait_until("failures", lambda: self.hang_up() or self.failed() >= before + wanted)
            self.fail_one_in(0)
            self.traffic.await_progress()
        self.assertEqual(children, self.proxy.children())

    def end(self):
        later = self.heartbeat.end()
        self.assertLess(of_most(later), LATE)
        self.assertLess(max(later), FAR_TOO_LATE)
        records = super().end()
        self.assertLessEqual(self.traffic.seen, allowed_hosts(records))
        self.say(f"{self.failed()} failures, a message later by {1000 * max(later):.0f} ms", records)
        return {record["reason"] for record in records}

    def test_of_the_server_the_one_session_dies(self):
        self.start("-server")
        self.go_through(((30, 50), (10, 200), (4, 300), (2, 300), (1, 300)))
        self.await_log("a server has no memory for it")
        self.assertIn("overload", self.end())

    def test_of_the_journal_it_is_one_that_cannot_write(self):
        self.start("-journal")
        self.go_through(((10, 3), (2, 3), (1, 3)))
        self.await_log("cannot be written: Cannot allocate memory")
        self.end()

    def test_of_the_supervisor_a_reload_is_refused(self):
        self.start("run")
        self.go_through(((100, 10), (30, 10), (5, 10), (1, 10)))
        self.await_log("out of memory")
        self.end()


if __name__ == "__main__":
    unittest.main()
