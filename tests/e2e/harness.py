"""The parts that end-to-end stories are made of: a running exeat, real TLS origins, a stub DNS server, and what each of them saw.

Everything binds port 0 on loopback, waits for a line or a state instead of sleeping, and is taken down by the test that put it up.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import audit_check
import export_check

EXEAT = os.environ.get("EXEAT", "./exeat")
DATA = pathlib.Path(os.environ.get("EXEAT_TEST_DATA", pathlib.Path(__file__).parent.parent))


def is_built_with(*sanitizers):
    program = pathlib.Path(EXEAT).read_bytes()
    return any(f"__{sanitizer}_init".encode() in program for sanitizer in sanitizers)


# A sanitizer makes the program slow, keeps memory, and cannot run under valgrind.
SANITIZED = is_built_with("asan", "tsan")

# What a sanitizer has nothing to look for in: such a story is left to the build without one, where all are told.
plain_story = unittest.skipIf(SANITIZED, "SKIPPED under a sanitizer: of the program's own memory or threads it shows nothing")
unthreaded_story = unittest.skipIf(is_built_with("tsan"), "SKIPPED under ThreadSanitizer: it has nothing for several threads at a time")

# What waits for something that must come may wait this long.
PATIENCE = 60 if SANITIZED else 20

# A story with no more records than this is also exported, and looked at by a slow checker.
EXPORT_MOST = 0 if SANITIZED else 2000

# How long the contract gives a process to be back, and a little more where everything is slower.
BACK_WITHIN = 10 if SANITIZED else 1

# For stories that look at a process's descriptors: in its sandbox only root sees them.
SEEN = "auto" if os.geteuid() == 0 else "off"

# EXEAT_STORIES=short leaves out those that take long, for who only wants to know whether everything is there.
long_story = unittest.skipIf(os.environ.get("EXEAT_STORIES") == "short", "a long story, and only short ones are wanted")


def wait_until(what, condition, patience=None):
    """Polls until `condition` gives something true, and returns it; fails with `what` otherwise."""
    end = time.monotonic() + (patience or PATIENCE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.01)


def receive_exactly(sock, count):
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            break
        data += part
    return data


def receive_all(sock):
    """Everything until the other side ends; a reset ends it too."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while part := sock.recv(65536):
            data += part
    return data


def echoes(sock, data):
    """Whether what is said comes back."""
    sock.sendall(data)
    return receive_exactly(sock, len(data)) == data


class Certificate:
    """A certificate, which is its own authority, and its key: two files."""

    def __init__(self, path, key):
        self.path, self.key = path, key

    @classmethod
    def make(cls, directory, *names):
        """A throw-away one for any number of names."""
        path, key = pathlib.Path(directory, "origin.pem"), pathlib.Path(directory, "origin.key")
        alt = ",".join(f"DNS:{name}" for name in names)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={alt}", "-keyout", key, "-out", path],
            check=True, capture_output=True)
        return cls(path, key)

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key)
        return context

    def client_context(self):
        return ssl.create_default_context(cafile=self.path)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Origin:
    """A TCP server on loopback that notes every connection and every byte; what it does with one is `serve(sock)`."""

    def __init__(self, address="127.0.0.1", port=0, serve=None):
        self.listener = socket.create_server((address, port), family=family_of(address), backlog=1024)
        self.address, self.port = self.listener.getsockname()[:2]
        self.serve = serve or self.echo
        self.connections = []   # the peer of each, in order
        self.bytes_in = 0
        self.bytes_out = 0
        self.payload = b""      # the first 64 KiB of all that came
        self.lock = threading.Lock()
        self.open = set()
        self.closing = False
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections.append(peer)
                self.open.add(sock)
            threading.Thread(target=self.one, args=(sock,), daemon=True).start()

    def one(self, sock):
        try:
            self.serve(sock)
        except (OSError, ssl.SSLError):
            pass
        finally:
            with self.lock:
                self.open.discard(sock)
            sock.close()

    def note(self, data):
        with self.lock:
            self.bytes_in += len(data)
            if len(self.payload) < 65536:
                self.payload += data

    def echo(self, sock):
        while data := sock.recv(65536):
            self.note(data)
            sock.sendall(data)
            with self.lock:
                self.bytes_out += len(data)

    def close(self):
        self.closing = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for sock in self.open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)


class HeldPort:
    """A port on which nobody listens, and which nobody else is given: its `number` is for who binds it with SO_REUSEADDR, as servers do."""

    def __init__(self, *addresses, among=(0,) * 50):
        for wanted in among:
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                self.number = wanted
                for address in addresses:
                    self.hold(stack.enter_context(socket.socket(family_of(address))), address)
                self.close = stack.pop_all().close
                return
        raise AssertionError(f"no port is free on all of {addresses}")

    def hold(self, sock, address):
        """Alone, and from then on beside who comes: two that hold would not get the same one."""
        sock.bind((address, self.number))
        self.number = sock.getsockname()[1]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


LOW_PORTS = range(1023, 600, -1)


def origins_on_one_port(*addresses):
    """An echo origin on each address, all on the same five-digit port: one that no other socket of this machine happens to hold there."""
    while True:
        origins = []
        try:
            for address in addresses:
                origins.append(Origin(address, origins[0].port if origins else 0))
            if origins[0].port >= 10000:
                return origins
        except OSError:
            pass
        for origin in origins:
            origin.close()


class TlsOrigin(Origin):
    """An HTTPS origin: answers each request with `body` (default: a line with the path), keeps the SNI it saw."""

    def __init__(self, certificate, address="127.0.0.1", port=0, respond=None):
        self.context = certificate.server_context()
        self.names = []
        self.requests = []
        self.respond = respond or (lambda path: f"hello from the origin: {path}\n".encode())
        self.context.sni_callback = lambda sock, name, context: self.names.append(name)
        super().__init__(address, port)

    def echo(self, sock):
        with self.context.wrap_socket(sock, server_side=True) as tls:
            reader = tls.makefile("rb")
            while line := reader.readline():
                path = line.split()[1].decode()
                while reader.readline().strip():
                    pass
                self.requests.append(path)
                body = self.respond(path)
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class DnsStub:
    """A scripted DNS server on one port, UDP and TCP. `zone` maps a name to a dict: A, AAAA (lists), ttl, rcode, truncate, drop, delay (seconds, or
    a dict by type), forge.

    Names that are not in the zone do not exist. `questions` is the log: (name, type, transport)."""

    TYPES = {1: "A", 28: "AAAA"}

    def __init__(self, zone, address="127.0.0.1", port=0):
        self.zone = zone
        self.questions = []
        self.ports = set()
        family = family_of(address)
        for _ in range(50):
            self.tcp = socket.create_server((address, port), family=family)
            self.port = self.tcp.getsockname()[1]
            self.udp = socket.socket(family, socket.SOCK_DGRAM)
            try:
                self.udp.bind((address, self.port))
                break
            except OSError:
                self.tcp.close()
                self.udp.close()
        self.address = f"[{address}]:{self.port}" if family == socket.AF_INET6 else f"{address}:{self.port}"
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.serve_udp, self.serve_tcp)]
        for thread in self.threads:
            thread.start()

    def asked(self, name):
        return [question for question in self.questions if question[0] == name]

    def serve_udp(self):
        while True:
            try:
                packet, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if not packet:
                return
            self.ports.add(peer[1])
            threading.Thread(target=self.answer_udp, args=(packet, peer), daemon=True).start()

    def answer_udp(self, packet, peer):
        name, kind, entry = self.read(packet, "udp")
        if entry.get("drop"):
            return
        time.sleep(self.delay_of(entry, kind))
        with contextlib.suppress(OSError):
            for forged in self.forgeries(packet, entry):
                self.udp.sendto(forged, peer)
            self.udp.sendto(self.reply(packet, kind, entry, entry.get("truncate", False)), peer)

    def serve_tcp(self):
        while True:
            try:
                sock, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.answer_tcp, args=(sock,), daemon=True).start()

    def answer_tcp(self, sock):
        with sock, contextlib.suppress(OSError):
            while head := receive_exactly(sock, 2):
                packet = receive_exactly(sock, struct.unpack(">H", head)[0])
                name, kind, entry = self.read(packet, "tcp")
                time.sleep(self.delay_of(entry, kind))
                reply = self.reply(packet, kind, entry, False)
                sock.sendall(struct.pack(">H", len(reply)) + reply)

    def delay_of(self, entry, kind):
        delay = entry.get("delay", 0)
        return delay.get(self.TYPES.get(kind), 0) if isinstance(delay, dict) else delay

    def read(self, packet, transport):
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1"))
            at += packet[at] + 1
        name = ".".join(labels).lower()
        kind = struct.unpack(">H", packet[at + 1:at + 3])[0]
        self.questions.append((name, self.TYPES.get(kind, str(kind)), transport))
        return name, kind, self.zone.get(name, {"rcode": 3})

    @staticmethod
    def question_of(packet):
        at = 12
        while packet[at]:
            at += packet[at] + 1
        return packet[12:at + 5]

    def forgeries(self, packet, entry):
        """Answers that must not be believed: another id, another question; each points to `forge`."""
        if "forge" not in entry:
            return []
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(entry["forge"])
        wrong_id = struct.pack(">H", (struct.unpack(">H", packet[:2])[0] + 1) & 0xFFFF)
        question = self.question_of(packet)
        other = b"\x05other\x04test\x00" + question[-4:]
        head = struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0)
        return [wrong_id + head + question + record, packet[:2] + head + other + record]

    def reply(self, packet, kind, entry, truncate):
        question = self.question_of(packet)
        records = b""
        count = 0
        for address in entry.get(self.TYPES.get(kind, ""), []) if not truncate else []:
            family = socket.AF_INET if kind == 1 else socket.AF_INET6
            data = socket.inet_pton(family, address)
            records += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, entry.get("ttl", 60), len(data)) + data
            count += 1
        flags = 0x8180 | entry.get("rcode", 0) | (0x0200 if truncate else 0)
        return packet[:2] + struct.pack(">HHHHH", flags, 1, count, 0, 0) + question + records

    def close(self):
        for sock in (self.udp, self.tcp):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self.threads:
            thread.join(5)


class Exeat:
    """`exeat run` with a configuration of its own directory. The text may use {dir}; [listen], [audit] and [exeat] are added where they are missing."""

    def __init__(self, directory, text, listen="127.0.0.1:0", workers=2, audit=True, audit_path=None, stderr=None, stdout=None, environment=None,
                 through=(), sandbox="auto", pass_fds=(), program=EXEAT):
        self.directory = pathlib.Path(directory)
        self.config = self.directory / "exeat.conf"
        self.ports_path = self.directory / "ports"
        self.audit_path = audit_path or self.directory / "audit.jsonl"
        self.log_path = self.directory / "log"
        if "[exeat]" not in text:
            text = f"[exeat]\nname = test\nworkers = {workers}\nsandbox = {sandbox}\n" + text
        if "[listen" not in text:
            text = f"[listen explicit]\naddress = {listen}\n" + text
        if audit and "[audit]" not in text:
            text += f"\n[audit]\nfile = {self.audit_path}\n"
        self.config.write_text(text.replace("{dir}", str(directory)))
        self.ports_path.unlink(missing_ok=True)
        self.log = open(self.log_path, "ab") if stderr is None else None
        self.process = subprocess.Popen(
            [*through, str(program), "run", "-c", str(self.config), "--ports-file", str(self.ports_path)], stdin=subprocess.DEVNULL,
            stdout=stdout if stdout is not None else subprocess.DEVNULL, stderr=stderr if stderr is not None else self.log,
            env={**os.environ, **(environment or {})}, pass_fds=pass_fds)
        try:
            wait_until("readiness", lambda: self.ports_path.exists() or self.process.poll() is not None)
            assert self.process.poll() is None, f"exeat ended with {self.process.returncode}: {self.log_text()}"
        except AssertionError:
            self.kill()
            raise
        self.ports = dict(line.split(None, 1) for line in self.ports_path.read_text().splitlines())
        host, port = self.ports.get("explicit", next(iter(self.ports.values()))).rsplit(":", 1)
        self.host, self.port = host.strip("[]"), int(port)
        self.proxy = f"http://{host}:{port}"

    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # -- processes --

    @property
    def pid(self):
        """The supervisor's."""
        return self.process.pid

    def child_pids(self):
        """The oldest first. Of those behind one that ends meanwhile the kernel leaves one out: it has said all when it says the same again."""
        path, said, before = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children"), None, ""
        while said != before:
            said, before = path.read_text(), said
        return said.split()

    def processes(self):
        """Role, "server" or "journal", and pid of each that runs, the oldest first."""
        for pid in self.child_pids():
            with contextlib.suppress(OSError, IndexError):
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if words[1].startswith(b"-"):
                    yield words[1].decode().lstrip("-"), int(pid)

    def children(self):
        """pid by role, as they run now; of several the newest."""
        return dict(self.processes())

    def stop(self, how=signal.SIGINT):
        """An orderly end, at once, whatever is open; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(PATIENCE)
        finally:
            self.kill()
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.log is not None:
            self.log.close()
            self.log = None

    def end(self):
        """As every story ends: what it wrote must hold."""
        self.stop()
        self.check_audit()

    def check_audit(self):
        files = audit_check.history(self.audit_path)
        if files:
            text = self.config.read_text()
            records = audit_check.check_files(files, allow_open=True, first=1, chained="\nchain = no\n" not in text,
                                              continuing="\non_failure = continue\n" in text)
            assert pathlib.Path(f"{self.audit_path}.head").stat().st_mode & 0o777 == 0o640
            audit_check.check_schema(records)
            self.check_commands(files, records)

    @staticmethod
    def check_commands(files, records):
        """What exeat itself says of these files."""
        verify = subprocess.run([EXEAT, "audit", "verify", *files], capture_output=True, text=True, timeout=PATIENCE)
        assert verify.returncode == 0 and "end proven" in verify.stdout, f"{verify.stdout}{verify.stderr}"
        report = subprocess.run([EXEAT, "audit", "report", "--json", *files], capture_output=True, text=True, timeout=PATIENCE)
        assert report.returncode == 0, report.stderr
        assert json.loads(report.stdout)["records"] == len(records)
        for form in export_check.FORMATS if len(records) <= EXPORT_MOST else ():
            export = subprocess.run([EXEAT, "audit", "export", "--format", form, *files], capture_output=True, timeout=PATIENCE)
            assert export.returncode == 0, export.stderr
            export_check.check_export(form, records, export.stdout)

    # -- talking to it --

    def dial(self, timeout=None, source=None):
        """A connection, from the address and port `source` where one is said."""
        sock = socket.create_connection((self.host, self.port), timeout or PATIENCE, source)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def connect(self, host, port, timeout=None, source=None):
        """A CONNECT; returns (socket, status, head). The socket stands behind the head."""
        sock = self.dial(timeout, source)
        try:
            sock.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            return sock, *self.read_head(sock)
        except OSError:
            sock.close()
            raise

    @staticmethod
    def read_head(sock):
        head = b""
        while b"\r\n\r\n" not in head:
            part = sock.recv(1)
            if not part:
                break
            head += part
        text = head.decode("latin-1")
        return (int(text.split()[1]) if text.startswith("HTTP/") else 0), text

    # -- what it wrote --

    def records(self):
        if not self.audit_path.exists():
            return []
        return [json.loads(line) for line in self.audit_path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

    def wait_records(self, what, condition, patience=None):
        """Waits until the records meet `condition(records)`; returns its value."""
        return wait_until(what, lambda: condition(self.records()), patience)

    def decisions(self):
        return [record for record in self.records() if record["event"] == "decision"]

    def wait_decision(self, **keys):
        """The first decision whose keys have these values."""
        def find(records):
            return next((r for r in records if r["event"] == "decision" and all(r[k] == v for k, v in keys.items())), None)
        return self.wait_records(f"a decision with {keys}", find)

    def wait_close(self, session):
        return self.wait_records(f"the close of {session}", lambda rs: next((r for r in rs if r["event"] == "close" and r["id"] == session), None))


class EndToEndTest(unittest.TestCase):
    """A test with a directory of its own; what it starts through `self.use` is taken down in reverse order."""

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="exeat-test-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def use(self, thing):
        self.addCleanup(thing.end if isinstance(thing, Exeat) else thing.close)
        return thing

    def exeat(self, text, **how):
        return self.use(Exeat(self.directory, text, **how))

    def certificate(self, *names):
        return Certificate.make(self.directory, *names)

    def assert_echo(self, sock, data=b"still here"):
        sock.sendall(data)
        self.assertEqual(data, receive_exactly(sock, len(data)))


def policy(*names, port=443, route="addresses = 127.0.0.0/8 ::1", hosts=None, extra="", rule=""):
    """The configuration most stories need: loopback clients, one route, one rule for `names` on `port`; `hosts` is the text of a hosts file."""
    dns = f"[dns]\nhosts_file = {hosts}\n" if hosts else ""
    return f"""
[clients local]
from = 127.0.0.0/8 ::1
[route nat]
{route}
[rule test]
to = {" ".join(names)}
port = {port}
{rule}
{dns}{extra}
"""


def client_hello(name, alpn=("h2", "http/1.1")):
    """The bytes of a real ClientHello for a name, made by OpenSSL; None: without SNI."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()
