"""Strings that try to break out of a record, through every door by which they can come: each is one strict line, and says what was sent."""

import base64
import collections
import contextlib
import json
import os
import pty
import re
import socket
import subprocess

import audit_check
from forged import bare_hello, v2, vector
from harness import DATA, EXEAT, PATIENCE, SANITIZED, EndToEndTest, Exeat, Origin, policy, receive_all, unthreaded_story

NAME = "allowed.example.test"
DENIED = "denied.example.test"
HEAD_LONG = 12000  # bytes that a head or a hello of the default limits still takes
FAR_TOO_LONG = 65536
EVERY = 7 if SANITIZED else 1  # a sanitized program is slow, and the unit tests have all rows

Sample = collections.namedtuple("Sample", "name bytes text")


def read_corpus():
    rows = [json.loads(line) for line in (DATA / "vectors/log_injection.jsonl").read_text(encoding="ascii").splitlines()]
    return [Sample(row["name"], bytes.fromhex(row["hex"]), row["text"]) for row in rows]


def read_bounds():
    """How many characters each string may take: what the schema says, without the mark."""
    properties = json.loads(audit_check.SCHEMA_FILE.read_text(encoding="utf-8"))["properties"]
    bounds = {key: about["maxLength"] - 3 for key, about in properties.items() if "maxLength" in about}
    return {**bounds, "alpn": properties["alpn"]["items"]["maxLength"] - 3}


BOUNDS = read_bounds()


def long(sample, size):
    times = size // len(sample.bytes)
    return Sample(f"{sample.name}, {times} times", sample.bytes * times, sample.text * times)


def escaped(character):
    if character in '"\\':
        return 2
    return 1 if " " <= character <= "~" else 6 if character < "\U00010000" else 12


def bounded(key, text):
    """What a record says of a string: exeat-audit(5), STRINGS FROM OUTSIDE."""
    taken = 0
    for at, character in enumerate(text):
        taken += escaped(character)
        if taken > BOUNDS[key]:
            return text[:at] + "..."
    return text


def is_field(data):
    """Whether a header line can hold it (RFC 9110 5.5, with obs-text)."""
    return all(byte in b"\t" or (byte >= 0x20 and byte != 0x7F) for byte in data)


@unthreaded_story
class LogInjection(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.origin = self.use(Origin())
        hosts = self.directory / "hosts"
        hosts.write_text(f"127.0.0.1 {NAME}\n")
        extra = f"""
[exeat]
name = a "b" \\ m\u00fcnchen \u202e \U0001f680
workers = 2
[listen explicit]
address = 127.0.0.1:0
[listen balanced]
address = 127.0.0.1:0
proxy_protocol = required
trusted = 127.0.0.1/32
[listen brought]
address = 127.0.0.1:0
mode = redirect
[clients agents]
from = 192.0.2.0/24
[audit]
file = audit.jsonl
"""
        text = policy(NAME, port=self.origin.port, hosts=hosts, extra=extra).replace("[clients local]", "[clients local]\ndenials = own")
        self.odd = self.directory / 'odd "\\ \x1b[2J\n\u202e'
        self.odd.mkdir()
        self.proxy = self.use(Exeat(self.odd, text))
        self.ports = {name: int(address.rsplit(":", 1)[1]) for name, address in self.proxy.ports.items() if name != "admin"}
        self.samples = read_corpus()[::EVERY]
        self.wanted = []  # (listener, client_port, what the decision must say)
        self.next_port = 1

    def dial(self, listener):
        return socket.create_connection(("127.0.0.1", self.ports[listener]), PATIENCE)

    def want(self, listener, port, sample, **keys):
        self.wanted.append((listener, port, sample.name, keys))

    def say(self, listener, data, sample, **keys):
        """All of it, then whatever the answer is; `keys` are what must be on record."""
        with self.dial(listener) as sock:
            self.want(listener, sock.getsockname()[1], sample, **keys)
            with contextlib.suppress(ConnectionError):
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            return receive_all(sock)

    def ask(self, head, sample, **keys):
        """A request that is refused, in words that hold nothing of what was sent but printable ASCII."""
        head, _, body = self.say("explicit", head, sample, **keys).partition(b"\r\n\r\n")
        lines = head.decode("ascii").split("\r\n")
        self.assertRegex(lines[0], r"^HTTP/1\.1 4\d\d exeat: [ -~]{1,193}$", sample.name)
        names = [line.split(":", 1)[0] for line in lines[1:]]
        self.assertEqual(["Proxy-Status", "Content-Type", "Content-Length", "Connection"], [name for name in names if name != "Allow"], sample.name)
        self.assertTrue(all(line.isprintable() for line in lines), sample.name)
        said = json.loads(body, object_pairs_hook=self.read_pairs)
        self.assertEqual(["error", "reason", "id"], list(said), sample.name)
        self.assertEqual(lines[0][13:], said["error"], sample.name)

    def read_pairs(self, pairs):
        self.assertEqual(len(pairs), len({key for key, _ in pairs}), "a key stands twice")
        return dict(pairs)

    # -- the doors --

    def send_user_agent(self, sample):
        line, _, rest = sample.bytes.partition(b"\r\n")
        text = sample.text.partition("\r\n")[0].strip(" \t") if is_field(line) else ""
        head = b"CONNECT denied.example.test:443 HTTP/1.1\r\nUser-Agent: %s\r\n\r\n" % sample.bytes
        reason = {} if rest or not is_field(line) else {"reason": "default_deny", "host": DENIED}
        self.ask(head, sample, user_agent=bounded("user_agent", text) or None, **reason)

    def send_user(self, sample):
        user = base64.b64encode(sample.bytes + b":secret")
        head = b"CONNECT denied.example.test:443 HTTP/1.1\r\nProxy-Authorization: Basic %s\r\n\r\n" % user
        self.ask(head, sample, client_user=bounded("client_user", sample.text.partition(":")[0]) or None, host=DENIED)

    def send_target(self, sample):
        host = None
        if all(0x21 <= byte <= 0x7E for byte in sample.bytes) and not set(b"@/") & set(sample.bytes):
            plain = re.fullmatch(rb"[A-Za-z0-9._-]+", sample.bytes)
            host = bounded("host", sample.text if plain else f"{sample.text}:443")
        self.ask(b"CONNECT %s:443 HTTP/1.1\r\n\r\n" % sample.bytes, sample, host=host)

    def send_url(self, sample):
        self.ask(b"GET http://%s/a HTTP/1.1\r\nHost: %s\r\n\r\n" % (sample.bytes, sample.bytes), sample, verdict="deny", host=None)

    def send_method(self, sample):
        self.ask(b"%s http://a/ HTTP/1.1\r\n\r\n" % sample.bytes, sample, verdict="deny", host=None)

    def send_denials(self, sample):
        self.ask(b"GET /denials?%s HTTP/1.1\r\nHost: a\r\n\r\n" % sample.bytes, sample, verdict="deny", host=None)
        self.ask(b"GET /denials HTTP/1.1\r\nHost: 127.0.0.1/%s\r\n\r\n" % sample.bytes, sample, reason="bad_request", host=None)

    def send_raw(self, sample):
        """As the first bytes of all, in no language."""
        for listener in self.ports:
            self.say(listener, sample.bytes, sample, verdict="deny", host=None)

    def send_balanced(self, sample):
        port = self.next_port
        self.next_port += 1
        tlvs = b"".join(kind + vector(2, sample.bytes) for kind in (b"\x01", b"\x02", b"\x05", b"\xea"))
        with self.dial("balanced") as sock:
            self.want("balanced", port, sample, client_ip="192.0.2.7", reason="default_deny", host=DENIED)
            sock.sendall(v2(("192.0.2.7", port), tlvs) + b"CONNECT denied.example.test:443 HTTP/1.1\r\n\r\n")
            receive_all(sock)
        for form in (b"PROXY TCP4 %s 198.51.100.9 1 2\r\n", b"PROXY %s\r\n", b"PROXY UNKNOWN %s"):
            head = form % sample.bytes + b"\r\nCONNECT denied.example.test:443 HTTP/1.1\r\n\r\n"
            self.say("balanced", head, sample, verdict="deny", client_ip="127.0.0.1", user_agent=None)

    def send_server_name(self, sample):
        name = bounded("sni", sample.text)
        with self.dial("explicit") as sock:
            self.want("explicit", sock.getsockname()[1], sample, sni=name, host=NAME, verdict="deny", class_="policy")
            sock.sendall(f"CONNECT {NAME}:{self.origin.port} HTTP/1.1\r\n\r\n".encode())
            self.assertEqual(200, self.proxy.read_head(sock)[0])
            sock.sendall(bare_hello(sample.bytes))
            receive_all(sock)
        self.say("brought", bare_hello(sample.bytes), sample, sni=name, verdict="deny", host=NAME if sample.text == NAME else name)

    def send_alpn(self, sample):
        """These are let out, so that there is a close too."""
        names = [b"h2", sample.bytes[:255], *[b"x"] * 20]
        hello = bare_hello(NAME.encode(), names)
        with self.dial("explicit") as sock:
            port = sock.getsockname()[1]
            alpn = None if len(sample.bytes) > 255 else ["h2", bounded("alpn", sample.text), *["x"] * 13, "..."]
            self.want("explicit", port, sample, host=NAME, verdict="allow", **({"alpn": alpn} if alpn else {}))
            sock.sendall(f"CONNECT {NAME}:{self.origin.port} HTTP/1.1\r\n\r\n".encode())
            self.assertEqual(200, self.proxy.read_head(sock)[0])
            self.assert_echo(sock, hello)

    # -- and what became of it --

    def check_records(self):
        """One decision for each of what was sent, with what it must say; nothing else but their ends."""
        records = audit_check.check_file(self.proxy.audit_path, first=1)
        found = collections.defaultdict(list)
        for record in records:
            self.assertEqual('a "b" \\ m\u00fcnchen \u202e \U0001f680', record["instance"])
            if record["event"] == "decision":
                found[record["listener"], record["client_port"]].append(record)
        for listener, port, name, keys in self.wanted:
            with self.subTest(name, listener=listener):
                record = found[listener, port].pop(0)
                said = {key: record[key.rstrip("_")] for key in keys}
                self.assertEqual(keys, said, record["detail"])
                self.assertTrue(record["rule_at"] is None or record["rule_at"].startswith(str(self.odd)), record["rule_at"])
        self.assertFalse([record for left in found.values() for record in left], "decisions on what was not sent")
        events = collections.Counter(record["event"] for record in records)
        self.assertEqual(len(self.wanted), events["decision"])
        self.assertEqual(set(), set(events) - {"start", "decision", "close", "stop"})

    def check_log(self):
        for line in self.proxy.log_path.read_bytes().splitlines():
            self.assertRegex(line, rb"^exeat: [ -~]*$")

    def check_denials(self):
        """As a build asks for them, and no more than a client is shown."""
        denied = sum(keys.get("verdict") != "allow" for *_, keys in self.wanted)
        answer = self.say("explicit", b"GET /denials HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", Sample("denials", b"", ""), reason="denials_asked")
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"), answer)
        self.assertTrue(all(0x20 <= byte <= 0x7E for byte in body.strip()))
        self.assertEqual(min(50, denied), len(json.loads(body, object_pairs_hook=self.read_pairs)["denials"]))

    def check_report(self):
        """What a terminal is given holds no byte that would do more than show; and JSON is JSON."""
        for options in ([], ["--json"]):
            outer, inner = pty.openpty()
            with subprocess.Popen([EXEAT, "audit", "report", "--top", "0", *options, self.proxy.audit_path], stdin=subprocess.DEVNULL,
                                  stdout=inner, stderr=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"}) as report:
                os.close(inner)
                shown = b""
                with contextlib.suppress(OSError):  # the end of a terminal
                    while part := os.read(outer, 65536):
                        shown += part
            os.close(outer)
            self.assertEqual(0, report.returncode)
            self.assertIn(rb"\u001b[2J", shown)
            self.assertEqual(b"", re.sub(rb"[ -~\r\n]", b"", shown))
        said = json.loads(shown, object_pairs_hook=self.read_pairs)
        self.assertIn("\x1b[2J\x1b[1;1H", [host["host"] for host in said["hosts"]])

    def finish(self):
        self.proxy.stop()
        self.check_records()
        self.check_log()

    def send_all(self, *doors):
        for sample in self.samples:
            for door in doors:
                with self.subTest(sample.name, door=door.__name__):
                    door(sample)

    def test_through_the_head(self):
        self.send_all(self.send_user_agent, self.send_user, self.send_target, self.send_url, self.send_method, self.send_denials)
        self.check_denials()
        self.finish()

    def test_through_the_hello(self):
        if not any("ansi-clear" == sample.name for sample in self.samples):
            self.samples.append(next(sample for sample in read_corpus() if sample.name == "ansi-clear"))
        self.send_all(self.send_server_name, self.send_alpn)
        self.check_denials()
        self.finish()
        self.check_report()

    def test_as_the_first_bytes_and_through_a_balancer(self):
        self.send_all(self.send_raw, self.send_balanced)
        self.finish()

    def test_as_long_as_may_be(self):
        self.samples = [long(sample, HEAD_LONG) for sample in self.samples]
        self.send_all(self.send_user_agent, self.send_user, self.send_target, self.send_server_name)
        self.finish()

    def test_far_too_long(self):
        for sample in self.samples:
            huge = long(sample, FAR_TOO_LONG)
            with self.subTest(huge.name):
                head = b"CONNECT denied.example.test:443 HTTP/1.1\r\nX: a\r\n%s\r\n\r\n" % huge.bytes
                self.say("explicit", head, huge, host=DENIED, verdict="deny", class_="client")
                self.say("brought", bare_hello(huge.bytes[:65000]), huge, verdict="deny")
        self.finish()

