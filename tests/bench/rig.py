"""What every measurement here stands on: an origin, clients at work, processors and descriptors for them."""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import time

from subjects import DENIED, NAME, start


def place(settings, pin):
    """The settings with processors chosen: pinned, who is measured has one and the load the others; else all have all."""
    placed = argparse.Namespace(**vars(settings))
    cpus = os.sched_getaffinity(0)
    pinned = pin and len(cpus) > 1
    placed.subject_cpus = {max(cpus)} if pinned else cpus
    placed.load_cpus = cpus - placed.subject_cpus if pinned else cpus
    return placed


def raise_limit():
    """Clients and origin have as many sockets open as there are tunnels."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def origin(settings):
    """Says its port and pid in the settings; which processors it has is for each measurement to say."""
    with start([settings.load, "origin"], os.sched_getaffinity(0), stdout=subprocess.PIPE, text=True) as process:
        try:
            settings.origin_pid = process.pid
            settings.origin_port = int(process.stdout.readline())
            settings.origin = f"127.0.0.1:{settings.origin_port}"
            yield
        finally:
            process.kill()


class Load:
    """A client process at work: `ready` when what it needs stands, then `go`, then `let_go` of what it holds."""

    def __init__(self, settings, subject, way, load, count, parallel, rate=0):
        words = ["--to", subject.address, "--name", NAME, "--load", load, "--count", count, "--parallel", parallel, "--rate", rate]
        if way == "connect":
            words += ["--connect", f"{DENIED if load == 'reject' else NAME}:{settings.origin_port}"]
        self.process = start([settings.load, "client", *words], settings.load_cpus, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.await_line("ready")

    def await_line(self, start):
        line = self.process.stdout.readline()
        if not line.startswith(start):
            raise RuntimeError(f"the load failed: {line.strip()}")
        return line

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        result = json.loads(self.await_line("{"))
        if result["failed"]:
            raise RuntimeError(f"the load failed: {result}")
        return result

    def let_go(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(20)


def settle(read):
    """Waits until what is read no longer changes, and returns it."""
    last = read()
    for _ in range(200):
        time.sleep(0.03)
        now = read()
        if now == last:
            break
        last = now
    return last
