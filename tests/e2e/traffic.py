"""What builds do, from many clients at once and to ever new names, so that each tunnel is known again wherever it is seen; and stories that need it."""

import collections
import itertools
import os
import random
import threading
import time
import warnings

import audit_check
from harness import Certificate, DnsStub, Exeat, Origin, echoes, policy, wait_until
from tunnels import ProxyStory

SEED = os.environ.get("EXEAT_TEST_SEED") or str(random.randrange(10**6))
DOMAIN = "load.example.test"
HELD_MOST = 4


def random_source(what):
    """A source of random numbers of its own for each story; what it is made from is said, so that it can be had again."""
    print(f"\n{what}: EXEAT_TEST_SEED={SEED}", flush=True)
    return random.Random(f"{SEED} {what}")


class Everywhere(dict):
    """A zone in which every name is here."""

    def get(self, name, default=None):
        return {"A": ["127.0.0.1"]}


class Traffic:
    """Clients of whatever exeat `proxy` is at the time, and one TLS origin.

    Each tunnel goes to a name of its own, which the client says in its hello and again in the tunnel: `seen` are those that the origin has heard in either."""

    # What a client does next, each as likely as it is often here.
    MIXED = ("tunnel", "tunnel", "tunnel", "hold", "hold", "denial", "silence", "ping")

    def __init__(self, directory, clients=8, kinds=MIXED):
        certificate = Certificate.make(directory, f"*.{DOMAIN}")
        self.server, self.client = certificate.server_context(), certificate.client_context()
        self.server.sni_callback = lambda sock, name, context: self.note(name)
        self.origin = Origin(serve=self.serve)
        self.dns = DnsStub(Everywhere())
        self.kinds = kinds
        self.proxy = None
        self.seen = set()
        self.numbers = itertools.count()
        self.lock, self.done = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(random.Random(f"{SEED} {i}"),), daemon=True) for i in range(clients)]

    def policy(self, extra=""):
        return policy(f"*.{DOMAIN}", port=self.origin.port, extra=f"[dns]\nserver = {self.dns.address}\n{extra}")

    def start(self):
        warnings.simplefilter("ignore", ResourceWarning)  # ssl forgets to close a socket that is reset while it is wrapped
        for thread in self.threads:
            thread.start()

    def stop(self):
        """Returns how many connections there were."""
        self.done.set()
        for thread in self.threads:
            thread.join()
        return next(self.numbers)

    def close(self):
        self.done.set()
        self.origin.close()
        self.dns.close()

    def await_progress(self, tunnels=20):
        reached = len(self.seen)
        wait_until("progress", lambda: len(self.seen) >= reached + tunnels)

    # -- the origin --

    def note(self, name):
        with self.lock:
            self.seen.add(name)

    def serve(self, sock):
        with self.server.wrap_socket(sock, server_side=True) as tls, tls.makefile("rb") as lines:
            for line in lines:
                self.note(line.decode().strip())
                tls.sendall(line)

    # -- the clients --

    def new_name(self):
        return f"n{next(self.numbers)}.{DOMAIN}"

    @staticmethod
    def number_of(name):
        return int(name[1:name.index(".")])

    def work(self, chance):
        held = []
        while not self.done.is_set():
            try:
                getattr(self, chance.choice(self.kinds))(self.new_name(), held)
            except (OSError, IndexError):
                self.done.wait(0.01)  # there may be nobody at the moment
        for tls in held:
            tls.close()

    def open(self, name):
        """A tunnel through which the name came back."""
        sock, status, _ = self.proxy.connect(name, self.origin.port, timeout=5)
        if status != 200:
            sock.close()
            raise ConnectionError(status)
        tls = self.client.wrap_socket(sock, server_hostname=name)
        try:
            self.say(tls, name)
        except OSError:
            tls.close()
            raise
        return tls

    @staticmethod
    def say(tls, name):
        if not echoes(tls, f"{name}\n".encode()):
            raise ConnectionError(name)

    def tunnel(self, name, held):
        self.open(name).close()

    def hold(self, name, held):
        """… that stays open while others come and go."""
        held.append(self.open(name))
        if len(held) > HELD_MOST:
            held.pop(0).close()

    def denial(self, name, held):
        self.proxy.connect(f"{name}.denied.example.test", self.origin.port, timeout=5)[0].close()

    def silence(self, name, held):
        """A tunnel into which nothing is said."""
        self.proxy.connect(name, self.origin.port, timeout=5)[0].close()

    def ping(self, name, held):
        self.proxy.dial(timeout=5).close()


def allowed_hosts(records):
    """The hosts of all that were let out, each of which must be another one."""
    hosts = [record["host"] for record in records if record["event"] == "decision" and record["verdict"] == "allow"]
    again = [host for host, count in collections.Counter(hosts).items() if count > 1]
    audit_check.demand(not again, f"more than one decision on {again}")
    return set(hosts)


class TrafficStory(ProxyStory):
    """One exeat after another on the same audit file, under load."""

    KINDS = Traffic.MIXED

    def setUp(self):
        super().setUp()
        self.chance = random_source(self.id())
        self.traffic = self.use(Traffic(self.directory, kinds=self.KINDS))
        self.path = self.directory / "audit.jsonl"
        self.rotations = 0

    def begin(self, sync):
        self.proxy = Exeat(self.directory, self.traffic.policy(f"[audit]\nfile = {self.path}\nsync = {sync}\n"))
        self.proxy.audit_path = self.path
        self.addCleanup(self.proxy.kill)
        self.traffic.proxy = self.proxy

    def await_any_moment(self):
        self.traffic.await_progress(self.chance.randint(2, 30))
        time.sleep(self.chance.uniform(0, 0.02))  # an origin has just heard somebody: not always then

    def rotate_at_random(self):
        """When there is something in the file; nobody waits for the new one."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            return
        self.rotations += 1
        self.rename(f".{self.rotations}")
        if self.proxy.process.poll() is None:
            self.reopen()

    def end(self):
        """In order; everything on file must hold. Returns the records."""
        self.traffic.await_progress()
        self.traffic.stop()
        self.assertEqual(0, self.proxy.stop())
        files = audit_check.history(self.path)
        records = audit_check.check_files(files, first=1)
        audit_check.check_schema(records)
        self.proxy.check_commands(files, records)
        return records

    def say(self, what, records):
        print(f"{what}; {len(records)} records, {self.rotations + 1} files, {len(self.traffic.seen)} tunnels", flush=True)
