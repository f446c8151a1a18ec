"""What the stories of the journal and the processes are made of: tunnels, one by one and under load."""

import contextlib
import itertools
import pathlib
import threading

import audit_check
from harness import DnsStub, EndToEndTest, Origin, client_hello, policy, receive_exactly, wait_until

NAME = "allowed.example.test"


def is_gone(pid):
    """Ended, also when nobody has collected it yet."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Everywhere(dict):
    """A zone in which every name is here."""

    def get(self, name, default=None):
        return {"A": ["127.0.0.1"]}


class TunnelStory(EndToEndTest):
    """One proxy, one echoing origin, tunnels between them."""

    def setUp(self):
        super().setUp()
        self.origin = self.use(Origin())
        self.hosts = self.directory / "hosts"
        self.hosts.write_text(f"127.0.0.1 {NAME}\n")

    def start(self, extra="", **how):
        self.proxy = self.exeat(policy(NAME, port=self.origin.port, hosts=self.hosts, extra=extra), **how)
        return self.proxy

    def open_tunnel(self):
        sock, status, head = self.proxy.connect(NAME, self.origin.port)
        self.addCleanup(sock.close)
        self.assertEqual(200, status, head)
        hello = client_hello(NAME)
        sock.sendall(hello)
        self.assertEqual(hello, receive_exactly(sock, len(hello)))
        return sock

    def assert_echo(self, sock, data=b"still here"):
        sock.sendall(data)
        self.assertEqual(data, receive_exactly(sock, len(data)))

    def tunnel_works(self):
        with contextlib.suppress(AssertionError, OSError):
            sock, status, _ = self.proxy.connect(NAME, self.origin.port, timeout=5)
            with sock:
                hello = client_hello(NAME)
                sock.sendall(hello)
                return status == 200 and receive_exactly(sock, len(hello)) == hello
        return False

    @contextlib.contextmanager
    def load(self, audit=""):
        """Eight clients that open tunnels to ever new names; gives the set of names whose payload has reached the origin. `self.asked` is how many
        were asked for; `audit` are further lines of [audit]."""
        dns = self.use(DnsStub(Everywhere()))
        self.proxy = self.exeat(policy("*.load.example.test", port=self.origin.port, extra=f"[dns]\nserver = {dns.address}\n[audit]\nfile = {{dir}}/audit.jsonl\n{audit}"))
        seen, done, lock, numbers = set(), threading.Event(), threading.Lock(), itertools.count()

        def serve(sock):
            data = sock.recv(65536)
            at = data.find(b".load.example.test")
            if at >= 0:
                with lock:
                    seen.add(data[data.rfind(b"n", 0, at):at].decode() + ".load.example.test")
            sock.sendall(data)
        self.origin.serve = serve

        def work():
            while not done.is_set():
                name = f"n{next(numbers)}.load.example.test"
                with contextlib.suppress(OSError, IndexError):
                    sock, status, _ = self.proxy.connect(name, self.origin.port, timeout=5)
                    with sock:
                        if status == 200:
                            sock.sendall(client_hello(name))
                            sock.recv(65536)
        workers = [threading.Thread(target=work) for _ in range(8)]
        for worker in workers:
            worker.start()
        try:
            yield seen
        finally:
            done.set()
            for worker in workers:
                worker.join()
            self.asked = next(numbers)

    def assert_nothing_unrecorded(self, seen):
        records = audit_check.check_file(self.proxy.audit_path, allow_open=True)
        allowed = {record["host"] for record in records if record["event"] == "decision" and record["verdict"] == "allow"}
        self.assertEqual(set(), seen - allowed, "an origin saw payload for which no decision is on file")

    def await_progress(self, seen):
        reached = len(seen)
        wait_until("progress", lambda: len(seen) > reached + 20)
