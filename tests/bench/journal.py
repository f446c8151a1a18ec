#!/usr/bin/env python3
"""What the audit journal costs a tunnel: CPU time of exeat's processes, with and without chain and sync, each by turns.

    EXEAT=./exeat tests/bench/journal.py --directory /var/tmp

A tunnel is a connection, CONNECT, 200, a real ClientHello, its echo, the end: two records. The name stands in a hosts file, so that no DNS is
measured. All exeats run at once and are loaded one after the other, round after round, so that what else the machine does hits them alike; only CPU
time is compared, and of the rounds the median counts. The directory must be on the disk that is meant: a tmpfs syncs for nothing.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import pathlib
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import Exeat, client_hello, policy  # pylint: disable=wrong-import-position

NAME = "bench.example.test"

PLAIN = "no chain"

# What is compared: how it is called, and its lines of [audit]. The first writes to a pipe that somebody empties, so that nothing is on a disk.
VARIANTS = {
    "pipe, no chain": "file = -\nchain = no",
    PLAIN: "chain = no",
    "chain": "chain = yes",
    "sync, no chain": "chain = no\nsync = batch",
    "sync and chain": "chain = yes\nsync = batch",
}


class Subject:
    """One variant's exeat, and what was measured of it, a value for each round."""

    def __init__(self, name, lines, directory, port, workers):
        self.name = name
        directory.mkdir()
        hosts = directory / "hosts"
        hosts.write_text(f"127.0.0.1 {NAME}\n")
        if "file" not in lines:
            lines = f"file = {directory}/audit.jsonl\n{lines}"
        self.sink = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.exeat = Exeat(directory, policy(NAME, port=port, hosts=hosts, extra=f"[audit]\n{lines}\n"), workers=workers, stdout=self.sink.stdin)
        self.pids = {"supervisor": self.exeat.process.pid, **self.exeat.children()}
        self.cpu = {role: [] for role in self.pids}
        self.latencies = []

    def cpu_now(self):
        """Nanoseconds on a processor so far, by process."""
        return {role: sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))
                for role, pid in self.pids.items()}

    def settled(self):
        """The CPU time, once the closes of the last tunnels are written."""
        before = self.cpu_now()
        while True:
            time.sleep(0.05)
            now = self.cpu_now()
            if sum(now.values()) - sum(before.values()) < 1e6:
                return now
            before = now

    def measure(self, load, tunnels):
        before = self.settled()
        latencies = load(self.exeat, tunnels)
        after = self.settled()
        for role in self.cpu:
            self.cpu[role].append((after[role] - before[role]) / tunnels / 1000)
        self.latencies.append(sorted(latencies))

    def whole(self):
        return [sum(values) for values in zip(*self.cpu.values())]

    def result(self, plain):
        """`plain` is who the others are held against, round by round."""
        whole = self.whole()
        return {
            "variant": self.name,
            "server_us": statistics.median(self.cpu["server"]),
            "journal_us": statistics.median(self.cpu["journal"]),
            "whole_us": statistics.median(whole),
            "journal_share": statistics.median(journal / all_of_it for journal, all_of_it in zip(self.cpu["journal"], whole)),
            "to_no_chain": statistics.median(mine / its for mine, its in zip(whole, plain.whole())),
            "p50_ms": statistics.median(quantile(values, 0.5) for values in self.latencies),
            "p99_ms": statistics.median(quantile(values, 0.99) for values in self.latencies),
        }

    def close(self):
        self.exeat.stop()
        self.sink.stdin.close()
        self.sink.wait()


def quantile(values, part):
    return values[min(len(values) - 1, int(len(values) * part))] * 1000


def serve_echo(listener):
    """The origin, in a process of its own."""
    poll, socks = select.epoll(), {}
    poll.register(listener, select.EPOLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                socks[sock.fileno()] = sock
                poll.register(sock, select.EPOLLIN)
                continue
            data = b""
            with contextlib.suppress(ConnectionError):
                data = socks[fd].recv(65536)
                socks[fd].sendall(data)
            if not data:
                socks.pop(fd).close()


class Load:
    """`width` tunnels at a time, each begun as soon as another one is done; gives how long each took from its first packet to the echo."""

    def __init__(self, port, width):
        self.request = f"CONNECT {NAME}:{port} HTTP/1.1\r\nHost: {NAME}:{port}\r\n\r\n".encode()
        self.hello = client_hello(NAME)
        self.width = width

    def __call__(self, exeat, tunnels):
        poll, running, latencies, begun = select.epoll(), {}, [], 0
        while len(latencies) < tunnels:
            while begun < tunnels and len(running) < self.width:
                start = time.monotonic()
                sock = socket.create_connection((exeat.host, exeat.port))
                sock.sendall(self.request)
                poll.register(sock, select.EPOLLIN)
                running[sock.fileno()] = [sock, start, b"", False]
                begun += 1
            for fd, _ in poll.poll():
                if self.go_on(running[fd]):
                    sock, start, _, _ = running.pop(fd)
                    latencies.append(time.monotonic() - start)
                    sock.close()
        return latencies

    def go_on(self, tunnel):
        """True when the echo is whole."""
        sock, _, data, is_open = tunnel
        data += sock.recv(65536)
        if not is_open and data.endswith(b"\r\n\r\n"):
            assert data.startswith(b"HTTP/1.1 200 "), data
            sock.sendall(self.hello)
            data, tunnel[3] = b"", True
        tunnel[2] = data
        return tunnel[3] and len(data) == len(self.hello)


def file_system(directory):
    found = subprocess.run(["findmnt", "-no", "FSTYPE,SOURCE", "-T", directory], capture_output=True, text=True, check=False)
    return " ".join(found.stdout.split()) or "a file system that findmnt does not know"


def print_table(results, options, directory):
    print(f"median of {options.rounds} rounds of {options.tunnels} tunnels, {options.width} at a time, {options.workers} workers, on {file_system(directory)}; "
          f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"{'':16}{'server':>9}{'journal':>9}{'whole':>9}{'journal':>9}{'whole':>11}{'set-up p50':>12}{'p99':>9}")
    print(f"{'':16}{'us':>9}{'us':>9}{'us':>9}{'share':>9}{'/ no chain':>11}{'ms':>12}{'ms':>9}")
    for result in results:
        print(f"{result['variant']:16}{result['server_us']:9.1f}{result['journal_us']:9.1f}{result['whole_us']:9.1f}{result['journal_share']:9.1%}"
              f"{result['to_no_chain']:11.2f}{result['p50_ms']:12.2f}{result['p99_ms']:9.2f}")


def measure(options, directory, listener):
    port = listener.getsockname()[1]
    load = Load(port, options.width)
    with contextlib.ExitStack() as stack:
        subjects = []
        for number, (name, lines) in enumerate(VARIANTS.items()):
            subjects.append(Subject(name, lines, directory / str(number), port, options.workers))
            stack.callback(subjects[-1].close)
        for subject in subjects:
            load(subject.exeat, min(options.tunnels, 200))
        for turn in range(options.rounds):
            for subject in subjects if turn % 2 == 0 else reversed(subjects):
                subject.measure(load, options.tunnels)
        plain = next(subject for subject in subjects if subject.name == PLAIN)
        return [subject.result(plain) for subject in subjects]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tunnels", type=int, default=3000, help="of each exeat in each round")
    parser.add_argument("--width", type=int, default=32, help="tunnels at a time")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--directory", default=".", help="where the audit files are written")
    parser.add_argument("--json", action="store_true", help="an object a line for each variant, in place of the table")
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    origin = multiprocessing.get_context("fork").Process(target=serve_echo, args=(listener,), daemon=True)
    origin.start()
    try:
        with tempfile.TemporaryDirectory(prefix="exeat-bench-", dir=options.directory) as directory:
            results = measure(options, pathlib.Path(directory).resolve(), listener)
    finally:
        origin.terminate()
        origin.join()
    if options.json:
        for result in results:
            print(json.dumps(result))
    else:
        print_table(results, options, options.directory)


if __name__ == "__main__":
    main()
