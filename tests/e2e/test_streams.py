"""Streams of any size, both ways at once, at any pace: every byte arrives, the records count them, and the pipes that carried them come back."""

import concurrent.futures
import hashlib
import json
import random
import socket
import unittest

import harness
from harness import SANITIZED, Origin, client_hello, long_story, receive_exactly, wait_until
from proc import pipe_ends
from traffic import random_source
from tunnels import NAME, TunnelStory

TUNNELS = 60 if SANITIZED else 240
SIZES = (0, 1, 100, 5_000, 200_000, 1_000_000, 5_000_000)
PORTIONS = (64, 1_000, 16_384, 65_536, 1 << 20)
ROOM = 100_000  # less than a segment on loopback would make it crawl
BLOCK = random.Random(1).randbytes(1 << 20)
HELLO = client_hello(NAME)


def digest_of(seed, size, give):
    """Makes a stream in portions of any size, each of which `give` gets; the hash of all."""
    chance, digest = random.Random(seed), hashlib.sha256()
    while size > 0:
        portion = min(size, chance.choice(PORTIONS))
        start = chance.randrange(len(BLOCK) - portion + 1)
        digest.update(BLOCK[start:start + portion])
        give(BLOCK[start:start + portion])
        size -= portion
    return digest.hexdigest()


def digest_of_all(sock):
    digest = hashlib.sha256()
    while data := sock.recv(1 << 20):
        digest.update(data)
    return digest.hexdigest()


def both(sock, seed, size):
    """Sends and receives at once, to the end of both; what was sent and what came."""
    with concurrent.futures.ThreadPoolExecutor(1) as other:
        came = other.submit(digest_of_all, sock)
        sent = digest_of(seed, size, sock.sendall)
        sock.shutdown(socket.SHUT_WR)
        return sent, came.result()


@long_story
class Streams(TunnelStory):
    def setUp(self):
        super().setUp()
        self.chance = random_source(self.id())
        self.origin = self.use(Origin(serve=self.serve))
        self.seen = {}  # by seed: what the origin sent and what came to it

    def serve(self, sock):
        receive_exactly(sock, len(HELLO))
        wish = json.loads(receive_exactly(sock, 100))
        self.squeeze(sock, wish["squeezed"] == "origin")
        self.seen[wish["seed"]] = both(sock, TUNNELS + wish["seed"], wish["down"])

    @staticmethod
    def squeeze(sock, squeezed):
        """A reader with little room holds up whoever writes."""
        if squeezed:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)

    def one(self, wish):
        """Gives what the tunnel's `close` must say, by the client's port."""
        sock, status, _ = self.proxy.connect(NAME, self.origin.port, timeout=60)
        with sock:
            self.assertEqual(200, status)
            self.squeeze(sock, wish["squeezed"] == "client")
            sock.sendall(HELLO + json.dumps(wish).encode().ljust(100))
            sent, came = both(sock, wish["seed"], wish["up"])
            wait_until("the origin to be done", lambda: wish["seed"] in self.seen)
            self.assertEqual((came, sent), self.seen[wish["seed"]])
            return sock.getsockname()[1], (len(HELLO) + 100 + wish["up"], wish["down"])

    def wishes(self):
        for seed in range(1, TUNNELS + 1):
            up, down = self.chance.choice(SIZES), self.chance.choice(SIZES)
            yield {"seed": seed, "up": up, "down": down, "squeezed": self.chance.choice(("client", "origin", "", "", ""))}

    def test_every_byte_arrives(self):
        self.start(sandbox=harness.SEEN)
        server = self.proxy.children()["server"]
        before = pipe_ends(server)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            expected = dict(pool.map(self.one, self.wishes()))
        self.assertGreater(pipe_ends(server), before, "nothing went through a pipe")
        wait_until("the pipes to be given back", lambda: pipe_ends(server) <= before)
        self.assertEqual(0, self.proxy.stop())
        closes = {record["client_port"]: (record["bytes_up"], record["bytes_down"]) for record in self.proxy.records() if record["event"] == "close"}
        self.assertEqual(expected, closes)


if __name__ == "__main__":
    unittest.main()
