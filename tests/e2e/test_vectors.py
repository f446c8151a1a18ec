"""Every row of vectors/connect.jsonl against a running exeat: whole, in pieces, and byte by byte.

The rows speak of ports 44443 (an echo server), 44444 (a connection is a fault) and 44445 (nothing listens). Here they are replaced by ports that were free, of
as many digits, so that the bytes keep their lengths."""

import base64
import concurrent.futures
import itertools
import json
import random
import re
import socket
import threading
import unittest

from harness import DATA, EndToEndTest, client_hello, origins_on_one_port, unthreaded_story, wait_until

import audit_check

STATIC = """
127.0.0.1 allowed.exeat.test refused.exeat.test a.wild.exeat.test a.b.wild.exeat.test a_b.wild.exeat.test 1password.wild.exeat.test
127.0.0.1 a-b-c.wild.exeat.test xn--mnchen-3ya.wild.exeat.test
127.0.0.2 denied.exeat.test wild.exeat.test xallowed.exeat.test sub.allowed.exeat.test exeat.test
169.254.169.254 meta.exeat.test
10.255.255.1 private10.res.exeat.test
100.64.0.1 cgnat.res.exeat.test
0.0.0.0 zero.res.exeat.test
::ffff:127.0.0.2 mapped.res.exeat.test
fd00::1 ula.res.exeat.test
64:ff9b::7f00:2 nat64.res.exeat.test
"""

STATUS = {400: "bad-request", 405: "bad-request", 408: "bad-request", 431: "bad-request", 403: "denied", 502: "gateway", 503: "gateway", 504: "gateway"}


def free_port():
    """A five-digit port on which nothing listens for the length of the test: bound, but not listening."""
    while True:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        if sock.getsockname()[1] >= 10000:
            return sock
        sock.close()


def read_rows():
    with open(DATA / "vectors" / "connect.jsonl") as lines:
        return [json.loads(line) for line in lines]


class Replay:
    """Sends one row and says what came of it."""

    def __init__(self, exeat, ports):
        self.exeat = exeat
        self.ports = ports

    def translate(self, data):
        return re.sub(rb"4444[345]", lambda match: str(self.ports[match.group().decode()]).encode(), data)

    def steps(self, row, split):
        """[(bytes, wait in seconds, half-close)]"""
        if "steps" in row:
            parts = [base64.b64decode(step["send_b64"]) for step in row["steps"]]
            whole = self.translate(b"".join(parts))  # a port may be cut by the steps
            ends = list(itertools.accumulate(len(part) for part in parts))
            return [(whole[end - len(part):end], step.get("wait_ms", 0) / 1000, step.get("half_close", False))
                    for part, end, step in zip(parts, ends, row["steps"])]
        if "repeat" in row:
            repeat = row["repeat"]
            data = base64.b64decode(repeat["prefix_b64"]) + repeat["byte"].encode() * repeat["count"] + base64.b64decode(repeat["suffix_b64"])
            return [(self.translate(data), 0, False)]
        data = self.translate(base64.b64decode(row["raw_b64"]))
        if split == "bytes":
            cuts = range(1, len(data))
        elif split == "pieces":
            cuts = sorted(random.Random(row["id"]).sample(range(1, len(data)), min(3, len(data) - 1))) if len(data) > 1 else []
        else:
            cuts = []
        bounds = [0, *cuts, len(data)]
        return [(data[a:b], 0, False) for a, b in zip(bounds, bounds[1:])]

    def send(self, sock, steps):
        pause = threading.Event()
        for data, wait, half_close in steps:
            try:
                sock.sendall(data)
                if half_close:
                    sock.shutdown(socket.SHUT_WR)
            except ConnectionError:
                return
            if wait:
                pause.wait(wait)

    def payload(self, row):
        if row.get("payload") == "none-sent":
            return b""
        if row.get("payload_b64"):
            return base64.b64decode(row["payload_b64"])
        return client_hello(row.get("sni") or "allowed.exeat.test")

    def echoed(self, sock, expected):
        got = b""
        try:
            while len(got) < len(expected):
                part = sock.recv(65536)
                if not part:
                    break
                got += part
        except ConnectionError:
            pass
        return got

    def outcome(self, row, split):
        with self.exeat.dial(timeout=30) as sock:
            self.send(sock, self.steps(row, split))
            try:
                status, head = self.exeat.read_head(sock)
            except socket.timeout:
                return "timeout", ""
            except ConnectionError:
                return "closed", ""
            if status == 0:
                return "closed", head
            if status != 200:
                rest = b""
                try:
                    while part := sock.recv(65536):
                        rest += part
                except ConnectionError:
                    pass
                return STATUS.get(status, f"status {status}"), head + rest.decode("latin-1")
            payload = self.payload(row)
            expected = base64.b64decode(row["expect_echo_b64"]) if row.get("expect_echo_b64") else payload
            if row.get("half_closed"):
                return "tunnel-closed", head
            if not row.get("expect_echo_b64"):
                try:
                    sock.sendall(payload)
                except ConnectionError:
                    return "tunnel-closed", head
            got = self.echoed(sock, expected)
            return ("tunnel" if expected and got == expected else "tunnel-closed"), head


@unthreaded_story
class Vectors(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.echo, self.forbidden = (self.use(origin) for origin in origins_on_one_port("127.0.0.1", "127.0.0.2"))
        self.nothing = self.use(free_port())
        self.fault, = (self.use(origin) for origin in origins_on_one_port("127.0.0.1"))
        self.ports = {"44443": self.echo.port, "44444": self.fault.port, "44445": self.nothing.getsockname()[1]}
        self.rows = read_rows()
        wanted = sorted({row["sni"] for row in self.rows if row.get("sni", "") and row["sni"].endswith(".wild.exeat.test")})
        hosts = self.directory / "hosts"
        hosts.write_text(STATIC + "127.0.0.1 " + " ".join(wanted) + "\n")
        self.proxy = self.exeat(f"""
[clients local]
from = 127.0.0.0/8
[route loop]
addresses = 127.0.0.1
[rule vectors]
to = allowed.exeat.test refused.exeat.test nxdomain.exeat.test meta.exeat.test *.wild.exeat.test *.res.exeat.test
port = {self.echo.port} {self.ports["44445"]}
[dns]
hosts_file = {hosts}
server = 127.0.0.1:9
timeout = 1s
[limits]
request_timeout = 2s
hello_timeout = 2s
""")

    def judge(self, row, split):
        outcome, reply = Replay(self.proxy, self.ports).outcome(row, split)
        faults = []
        if outcome not in row["accept"]:
            faults.append(f"{outcome} is not among {row['accept']}")
        if row["must_not_tunnel"] and outcome.startswith("tunnel"):
            faults.append("a tunnel that must not be")
        if row.get("max_responses") and reply.count("HTTP/1.") > row["max_responses"]:
            faults.append("more answers than requests")
        return [f"{row['id']} {row['name']} ({split}): {fault}: {reply[:100]!r}" for fault in faults]

    def replay(self, rows, split):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            faults = [fault for found in pool.map(lambda row: self.judge(row, split), rows) for fault in found]
        self.assertEqual([], faults, "\n".join(faults))
        self.assertEqual([], self.fault.connections, "something was dialled at the forbidden port")
        self.assertEqual([], self.forbidden.connections, "something was dialled at 127.0.0.2")

    def close_books(self, connections):
        """One decision for each connection that sent a byte, all of them well-formed lines."""
        def complete(records):
            probes = sum(int(r["detail"].split()[0]) for r in records if r["event"] == "probe")
            return len([r for r in records if r["event"] == "decision"]) + probes == connections
        self.proxy.stop()
        wait_until(f"{connections} decisions", lambda: complete(self.proxy.records()))
        audit_check.check_file(self.proxy.audit_path)

    def test_whole(self):
        self.replay(self.rows, "whole")
        self.close_books(len(self.rows))

    def test_in_pieces(self):
        self.replay(self.rows, "pieces")
        self.close_books(len(self.rows))

    def test_byte_by_byte(self):
        rows = [row for row in self.rows if "raw_b64" in row and row["length"] < 2000]
        self.replay(rows, "bytes")
        self.close_books(len(rows))


if __name__ == "__main__":
    unittest.main()
