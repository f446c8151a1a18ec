"""Who is measured: the floors and exeat (peers.py has the others), and what all subjects have in common. A subject is started anew for each measurement, in a directory of its own.

Each class says which ways it knows (`connect`, `sni`). `start` takes the way and the load, and sets `address`, where the clients go."""

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import enclosure
from enclosure import NAME

DENIED = "denied.bench.test"
READY_S = 20
CPUCLOCK_SCHED = 2  # with a pid, as clock_getcpuclockid(3) makes it
LIBC = ctypes.CDLL(None)


def start(command, cpus, **options):
    """A process that dies with this one, on these processors."""
    def prepare():
        LIBC.prctl(1, signal.SIGKILL)
        os.sched_setaffinity(0, cpus)
    return subprocess.Popen([str(word) for word in command], preexec_fn=prepare, **options)


def free_port():
    """For those that cannot pick one themselves."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def wait_for(what, condition):
    end = time.monotonic() + READY_S
    while not (value := condition()):
        if time.monotonic() > end:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.01)
    return value


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Subject:
    name = ""
    program = None
    ways = ("connect", "sni")
    note = ""
    stops_by = signal.SIGTERM

    def __init__(self, settings, directory):
        self.settings, self.directory = settings, pathlib.Path(directory)
        self.process = self.bringing = None
        self.address = None

    @classmethod
    def lacks(cls, settings):
        """What is missing here to measure it; empty: nothing."""
        del settings
        return "" if shutil.which(cls.program) else "not installed"

    @classmethod
    def knows(cls, way):
        return way in cls.ways

    def run(self, *command, **options):
        with open(self.directory / "log", "ab") as log:
            options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **options}
            self.process = start(command, self.settings.subject_cpus, **options)

    def await_port(self, port):
        self.address = f"127.0.0.1:{port}"
        wait_for(f"{self.name} on {self.address}: see {self.directory}/log", lambda: is_listening(port) or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended: {(self.directory / 'log').read_text(errors='replace')[-2000:]}")

    def pids(self):
        """Its processes, children and theirs included."""
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread may end meanwhile
                    queue += map(int, children.read_text().split())
        return found

    def cpu(self):
        """Nanoseconds of CPU so far, of all its processes and their threads, those that have ended too."""
        return sum(time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED) for pid in self.pids()) * 1e9

    def memory(self):
        """Bytes of user memory that are its own: anonymous pages of all its processes."""
        total = 0
        for pid in self.pids():
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(("Anonymous:", "Swap:")):
                    total += int(line.split()[1]) * 1024
        return total

    def check(self, load, tunnels):
        """Raises where it cannot have done its work as it should."""

    def stop(self):
        if self.bringing:
            self.bringing.close()
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.stops_by)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Floor(Subject):
    """A bare relay of the same system calls; bulk goes by splice."""

    name = "floor"

    @classmethod
    def lacks(cls, settings):
        return ""

    def start(self, way, load):
        words = ["--sni"] if way == "sni" else []
        words += ["--reject"] if load == "reject" else []
        words += ["--splice"] if load in ("down", "up") and self.name == "floor" else []
        brought = way == "sni" and enclosure.can_bring()
        words += ["--transparent"] if brought else []
        self.run(self.settings.load, "floor", "--to", self.settings.origin, *words, stdout=subprocess.PIPE)
        port = int(self.process.stdout.readline())
        self.address = f"127.0.0.1:{port}"
        if brought:
            self.bringing = enclosure.Bringing(self.settings.origin_port, port)
            self.address = f"{enclosure.FAKE}:{self.settings.origin_port}"


class CopyFloor(Floor):
    name = "floor (copy)"
    note = "read and write of 64K"


RULES_MAX = 100  # over which the names are spread, and …
NAMES_A_RULE = 100  # … no fewer than these in each


class Exeat(Subject):
    name = "exeat"
    stops_by = signal.SIGINT  # at once: SIGTERM would wait for its tunnels
    names = None  # how many the policy allows; None: as many as --names says first
    CONFIG = """
[exeat]
name = bench
workers = {workers}
sandbox = {sandbox}

{listeners}

[clients bench]
from = 127.0.0.0/8 192.0.2.0/24

[route loopback]
addresses = 127.0.0.0/8

{rules}
[dns]
server     = 127.0.0.1:9
hosts_file = hosts

[limits]
tunnels_per_client = 1000000

[audit]
file = audit.jsonl
sync = {sync}
"""
    RULE = """
[hosts bench-{number}]
host_file = names-{number}

[rule bench-{number}]
to    = @bench-{number}
port  = {port}
route = loopback
"""
    workers = None  # as the bench is told
    LISTENERS = {"connect": "[listen explicit]\naddress = 127.0.0.1:0", "sni": "[listen network]\naddress = 127.0.0.1:0\nmode = tproxy"}

    @classmethod
    def lacks(cls, settings):
        return "" if os.access(settings.exeat, os.X_OK) else f"{settings.exeat} is not built"

    @classmethod
    def knows(cls, way):
        return way == "connect" or enclosure.can_bring()

    @classmethod
    def with_names(cls, names):
        """The same with so many of them."""
        return type(cls.__name__, (cls,), {"name": f"{names:,} names", "names": names})

    def write_rules(self):
        """The text of the rules, whose names are written to files; the one that is asked for stands last of all."""
        names = [f"*.n{i}.bench.test" if i % 2 else f"n{i}.bench.test" for i in range((self.names or self.settings.names[0]) - 1)] + [NAME]
        rules = max(1, min(RULES_MAX, len(names) // NAMES_A_RULE))
        for number in range(rules):
            some = names[number * len(names) // rules:(number + 1) * len(names) // rules]
            (self.directory / f"names-{number}").write_text("\n".join(some) + "\n")
        return "".join(self.RULE.format(number=number, port=self.settings.origin_port) for number in range(rules))

    def start(self, way, load):
        del load
        (self.directory / "hosts").write_text(f"127.0.0.1 {NAME}\n")
        (self.directory / "exeat.conf").write_text(self.CONFIG.format(
            workers=self.workers or self.settings.workers, sandbox="auto" if os.geteuid() == 0 else "off",  # in it, only root sees how much memory is had
            listeners=self.LISTENERS[way], rules=self.write_rules(), sync=self.settings.sync))
        ports = self.directory / "ports"
        self.run(self.settings.exeat, "run", "-c", self.directory / "exeat.conf", "--ports-file", ports)
        wait_for("exeat", lambda: ports.exists() or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise RuntimeError(f"exeat ended: {(self.directory / 'log').read_text()}")
        self.address = ports.read_text().split()[1]
        if way == "sni":
            self.bringing = enclosure.Bringing(self.settings.origin_port, self.address.rsplit(":", 1)[1])
            self.address = f"{enclosure.FAKE}:{self.settings.origin_port}"

    def check(self, load, tunnels):
        """A decision of the right kind for each tunnel or refusal."""
        verdict = '"verdict":"deny"' if load == "reject" else '"verdict":"allow"'
        with open(self.directory / "audit.jsonl", encoding="utf-8") as records:
            found = sum('"event":"decision"' in line and verdict in line for line in records)
        if found < tunnels:
            raise RuntimeError(f"exeat recorded {found} decisions for {tunnels} tunnels")


class OneWorker(Exeat):
    name, workers = "1 worker", 1


class TwoWorkers(Exeat):
    name, workers = "2 workers", 2


class FourWorkers(Exeat):
    name, workers = "4 workers", 4


SCALED = (OneWorker, TwoWorkers, FourWorkers)


class Reloaded(Exeat):
    """One whose long policy is read again and again."""

    name, workers = "reloaded", 2

    def __init__(self, settings, directory):
        super().__init__(settings, directory)
        self.names = max(RULES_MAX, int(10**6 * settings.scale))

    def count_reloads(self):
        with open(self.directory / "audit.jsonl", encoding="utf-8") as records:
            return sum('"event":"reload"' in line for line in records)

    def reload(self):
        """Returns when every worker goes by the new policy."""
        before = self.count_reloads()
        with open(self.directory / "names-0", "a", encoding="ascii") as names:
            names.write(f"reload-{before}.bench.test\n")
        self.process.send_signal(signal.SIGHUP)
        wait_for("the reload", lambda: self.count_reloads() > before)
