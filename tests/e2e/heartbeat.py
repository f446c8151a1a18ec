"""Says how much later each message arrives through exeat than beside it: a process of its own, so that what a story does costs it no time.

It keeps an echoing origin and two connections there, a tunnel and a direct one, and sends the same down both at once. What is late for both is the
machine's.
"""

import contextlib
import json
import select
import socket
import subprocess
import sys
import time

from harness import PATIENCE, Exeat, Origin, client_hello, echoes, receive_exactly

PAUSE = 0.002  # between two messages
LAST = 10  # messages behind the end, which show that the tunnel outlived all that the story did
MESSAGE = b"x" * 64


class Heartbeat:
    """The story's end of it."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.port = int(self.process.stdout.readline())

    def begin(self, proxy, name):
        """Opens the tunnel; from here on it beats."""
        print(json.dumps([proxy.host, proxy.port, name]), file=self.process.stdin, flush=True)
        assert self.process.stdout.readline() == "open\n", "no tunnel was opened"

    def end(self):
        """For each message how much later than the direct one it was, in seconds; fails when the tunnel was cut."""
        said, _ = self.process.communicate(timeout=60)
        told = json.loads(said)
        assert told["fault"] is None, told["fault"]
        return told["later"]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def of_most(later):
    """How late all were but one in a hundred: a machine that stands still for a moment makes one of them late, whatever exeat does."""
    return sorted(later)[-1 - max(1, len(later) // 100)]


# -- the process --

def one(tunnel, direct):
    """In this order, so that only the tunnel's own lateness counts."""
    for sock in (direct, tunnel):
        sock.sendall(MESSAGE)
    times = []
    for sock in (direct, tunnel):
        assert receive_exactly(sock, len(MESSAGE)) == MESSAGE, "cut"
        times.append(time.monotonic())
    return times[1] - times[0]


def beat(tunnel, direct, later):
    """Until nobody wants to hear any more, and a little longer."""
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        later.append(one(tunnel, direct))
    for _ in range(LAST):
        later.append(one(tunnel, direct))


def open_tunnel(origin):
    host, port, name = json.loads(sys.stdin.readline())
    sock = socket.create_connection((host, port), PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(f"CONNECT {name}:{origin.port} HTTP/1.1\r\n\r\n".encode())
    status, head = Exeat.read_head(sock)
    assert status == 200 and echoes(sock, client_hello(name)), head
    return sock


def main():
    with contextlib.closing(Origin()) as origin:
        print(origin.port, flush=True)
        told = {"fault": None, "later": []}
        with open_tunnel(origin) as tunnel, socket.create_connection((origin.address, origin.port), PATIENCE) as direct:
            direct.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            print("open", flush=True)
            try:
                beat(tunnel, direct, told["later"])
            except (OSError, AssertionError) as error:
                told["fault"] = f"after {len(told['later'])} messages: {error!r}"
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
