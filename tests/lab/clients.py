"""How agents ask, and what they see: a client is made for one question, is called with (lab, who, family), and answers with a Sight.

What is seen is one short text, whoever looks: `page of PLACE`, `alert NAME`, `FIN`, `RST`, `refused`, `no answer`, `CONNECT 403` …"""

import re
import socket
import ssl
import struct
import time
from typing import NamedTuple

from harness import PATIENCE, client_hello
from network import EXPLICIT_PORT, address_of

ALERTS = {49: "alert access_denied", 50: "alert decode_error", 112: "alert unrecognized_name"}
WHOLE = 1 << 20   # a hello in one piece
IMPATIENCE = 0.3  # an answer that must not come is awaited so long


class Sight(NamedTuple):
    text: str        # what was seen
    seconds: float   # from the first word on a standing connection to the end of it
    aim: str = None  # the address that was asked; None: exeat itself was


class Client:
    """Asks for a name, at the address that the agent's hosts file has for it or at a place of the map."""

    def __init__(self, name, at=None, port=443, **more):
        self.name, self.at, self.port = name, at, port
        self.__dict__.update(more)

    def __call__(self, lab, who, family):
        aim = address_of(self.at, family) if self.at else lab.believed[self.name][family]
        began = time.monotonic()
        try:
            text, seconds = self.ask(lab, lab.network[who], family, aim)
        except OSError as error:
            text, seconds = words_of(error), time.monotonic() - began
        return Sight(text, seconds, aim)


def words_of(error):
    """What a failed system call means to somebody who looks from outside."""
    for kind, text in ((TimeoutError, "no answer"), (ConnectionResetError, "RST"), (BrokenPipeError, "RST"), (ConnectionRefusedError, "refused")):
        if isinstance(error, kind):
            return text
    if isinstance(error, ssl.SSLError):
        return "alert " + error.reason.lower().removeprefix("tlsv1_").removeprefix("alert_")
    return f"{type(error).__name__} {error}"


def in_url(address):
    return f"[{address}]" if ":" in address else address


# ---- programs ----


class Curl(Client):
    """`curl https://NAME/`, its certificate checked, which knows of no proxy."""

    SCHEME = "https"
    WORDS = ((r"alert access denied", "alert access_denied"), (r"unrecognized name", "alert unrecognized_name"), (r"reset by peer|errno 104", "RST"),
             (r"CONNECT tunnel failed, response (\d+)|code (\d+) from proxy", "CONNECT {}"), (r"refused", "refused"),
             (r"timed out|[Tt]imeout", "no answer"))

    def ask(self, lab, namespace, family, aim):
        ran = namespace.run("curl", "-sS", "--max-time", str(PATIENCE), "--cacert", str(lab.authority), *self.way(lab, family, aim),
                            "-w", "\n%{time_connect} %{time_total}", f"{self.SCHEME}://{self.name}:{self.port}/", check=False)
        connected, total = map(float, ran.stdout.splitlines()[-1].split())
        return self.words(ran), total - connected

    def way(self, lab, family, aim):
        return ["--noproxy", "*", f"-{family}", *(["--resolve", f"{self.name}:{self.port}:{in_url(aim)}"] if self.at else [])]

    def words(self, ran):
        if ran.returncode == 0:
            return page_in(ran.stdout)
        for pattern, text in self.WORDS:
            if found := re.search(pattern, ran.stderr):
                return text.format(*filter(None, found.groups()))
        return f"curl {ran.returncode}: {ran.stderr.strip()}"


class ProxyCurl(Curl):
    """A curl with HTTPS_PROXY, as on an agent of the other kind."""

    def way(self, lab, family, aim):
        return ["--proxy", f"http://{in_url(address_of('appliance', family))}:{EXPLICIT_PORT}"]

    def __call__(self, lab, who, family):
        return super().__call__(lab, who, family)._replace(aim=None)


class PlainCurl(Curl):
    """`curl http://NAME/`: apt, old clients."""

    SCHEME = "http"

    def way(self, lab, family, aim):
        return [*super().way(lab, family, aim), "--connect-timeout", str(IMPATIENCE)]


class OpenSsl(Client):
    """`openssl s_client`, which prints the number of an alert."""

    def ask(self, lab, namespace, family, aim):
        began = time.monotonic()
        ran = namespace.run("openssl", "s_client", "-connect", f"{in_url(aim)}:{self.port}",
                            *(["-servername", self.name] if self.name else ["-noservername"]), check=False)
        number = re.search(r"SSL alert number (\d+)", ran.stderr)
        text = ALERTS.get(int(number[1]), number[0]) if number else "a handshake" if ran.returncode == 0 else ran.stderr.strip()
        return text, time.monotonic() - began


def page_in(text):
    found = re.search(r"this is (\S+),", text)
    return f"page of {found[1]}" if found else text.strip()


# ---- bytes ----


def dial(namespace, aim, port, patience=PATIENCE, source=None):
    with namespace.inside():
        sock = socket.create_connection((aim, port), patience, source and (source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Tls(Client):
    """A whole TLS client, which sends in segments of `piece` bytes. Without a name it sends none, and takes any of a known authority."""

    piece = WHOLE

    def ask(self, lab, namespace, family, aim):
        context = ssl.create_default_context(cafile=lab.authority)
        context.check_hostname = self.name is not None
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=self.name)
        with dial(namespace, aim, self.port) as sock:
            began = time.monotonic()
            try:
                text = self.converse(tls, sock)
            except OSError as error:
                text = words_of(error)
            return text, time.monotonic() - began

    def converse(self, tls, sock):
        self.step(sock, tls.do_handshake)
        tls.write(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
        answer = b""
        while b"\n" not in answer.partition(b"\r\n\r\n")[2]:
            answer += self.step(sock, lambda: tls.read(65536))
        return page_in(answer.decode())

    def step(self, sock, call):
        """Carries bytes until TLS has done this."""
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                pass
            finally:
                self.send(sock)
            self.incoming.write(sock.recv(65536) or self.ended())

    def send(self, sock):
        data = self.outgoing.read()
        for at in range(0, len(data), self.piece):
            sock.sendall(data[at:at + self.piece])

    @staticmethod
    def ended():
        raise OSError("the end of it in the handshake")


class Bytes(Client):
    """Sends the bytes of `make()`, and looks at how it ends. It asks for no name but what is in them."""

    def ask(self, lab, namespace, family, aim):
        with dial(namespace, aim, self.port) as sock:
            began = time.monotonic()
            self.speak(sock)
            answer = b""
            try:
                while data := sock.recv(65536):
                    answer += data
                text = self.words(answer)
            except OSError as error:
                text = words_of(error)
            return text, time.monotonic() - began

    def speak(self, sock):
        sock.sendall(self.make())

    @staticmethod
    def words(answer):
        if not answer:
            return "FIN"
        if len(answer) == 7 and answer[0] == 0x15 and answer[5] == 2:
            return ALERTS.get(answer[6], f"alert {answer[6]}")
        return repr(answer[:80])


class LastBytes(Bytes):
    """Sends them, and says that this was all."""

    def speak(self, sock):
        super().speak(sock)
        sock.shutdown(socket.SHUT_WR)


def hello_with_ech(name):
    """A hello with an outer Encrypted Client Hello."""
    outer = struct.pack(">BHHBH", 0, 1, 1, 7, 32) + bytes(range(32)) + struct.pack(">H", 144) + bytes(144)
    return with_extension(client_hello(name), 0xFE0D, outer)


def with_extension(hello, kind, body):
    """Adds an extension at the end, and mends the three lengths around it."""
    extension = struct.pack(">HH", kind, len(body)) + body
    at = 5 + 4 + 2 + 32             # record, handshake, version, random
    at += 1 + hello[at]             # session id
    at += 2 + int.from_bytes(hello[at:at + 2], "big")  # cipher suites
    at += 1 + hello[at]             # compression
    length = int.from_bytes(hello[at:at + 2], "big") + len(extension)
    body = hello[9:at] + struct.pack(">H", length) + hello[at + 2:] + extension
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return hello[:3] + struct.pack(">H", len(handshake)) + handshake


# ---- knocks at doors that should be shut ----


class Knock(Client):
    """A TCP connection to a port; whoever answers is asked for its first words, which may take a while."""

    def ask(self, lab, namespace, family, aim):
        began = time.monotonic()
        with dial(namespace, aim, self.port, IMPATIENCE) as sock:
            sock.settimeout(PATIENCE)
            return f"an answer: {sock.recv(80)!r}", time.monotonic() - began


class UdpKnock(Client):
    """A datagram; `refused` when a rejection came back."""

    def ask(self, lab, namespace, family, aim):
        began = time.monotonic()
        with namespace.inside():
            sock = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM)
        with sock:
            sock.settimeout(IMPATIENCE)
            sock.connect((aim, self.port))
            sock.send(b"an Initial packet, say")
            return f"an answer: {sock.recv(80)!r}", time.monotonic() - began
