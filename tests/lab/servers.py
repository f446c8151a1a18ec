"""Those who live in one namespace of the lab: TLS origins, others that should never be reached, and a resolver; all they see is a JSON line each.

Usage: servers.py SPECIFICATION LOG, where the specification is what `specification` below made."""

import json
import pathlib
import sys
import threading

import e2e  # noqa: F401
from harness import Certificate, DnsStub, Origin, TlsOrigin

LOG_LOCK = threading.Lock()


def note(log, **what):
    with LOG_LOCK:
        log.write(json.dumps(what) + "\n")
        log.flush()


class NotedTls(TlsOrigin):
    """Answers every request with the name of its place."""

    def __init__(self, place, address, certificate, log):
        self.place, self.log = place, log
        super().__init__(certificate, address, 443, lambda path: f"this is {place}, asked for {path}\n".encode())

    def one(self, sock):
        note(self.log, saw="connection", place=self.place, at=self.address, port=self.port, peer=sock.getpeername()[0])
        super().one(sock)


class NotedPlain(Origin):
    """Speaks no TLS; a greeting, and the end."""

    def __init__(self, place, address, port, log):
        self.place, self.log = place, log
        super().__init__(address, port, self.greet)

    def greet(self, sock):
        note(self.log, saw="connection", place=self.place, at=self.address, port=self.port, peer=sock.getpeername()[0])
        sock.sendall(b"you got through\n")
        while sock.recv(4096):  # what is left unread would end it in a reset
            pass


class NotedDns(DnsStub):
    """A resolver, which notes who asks."""

    def __init__(self, place, address, zone, log):
        self.place, self.log, self.asking = place, log, threading.local()
        super().__init__(zone, address, 53)

    def answer_udp(self, packet, peer):
        self.asking.peer = peer[0]
        super().answer_udp(packet, peer)

    def answer_tcp(self, sock):
        self.asking.peer = sock.getpeername()[0]
        super().answer_tcp(sock)

    def read(self, packet, transport):
        name, kind, entry = super().read(packet, transport)
        note(self.log, saw="question", place=self.place, name=name, type=self.TYPES.get(kind, str(kind)), transport=transport, peer=self.asking.peer)
        return name, kind, entry


def specification(tls, plain=(), dns=(), zone=None):
    """`tls`: (certificate, [(place, address)]); `plain`: (place, address, port); `dns`: (place, address), all with the one zone."""
    tls = [(str(certificate.path), str(certificate.key), rows) for certificate, rows in tls]
    return {"tls": tls, "plain": list(plain), "dns": list(dns), "zone": zone or {}}


def main():
    spec = json.loads(pathlib.Path(sys.argv[1]).read_text())
    with open(sys.argv[2], "a", encoding="utf-8") as log:
        people = [NotedTls(place, address, Certificate(path, key), log) for path, key, rows in spec["tls"] for place, address in rows]
        people += [NotedPlain(place, address, port, log) for place, address, port in spec["plain"]]
        people += [NotedDns(place, address, spec["zone"], log) for place, address in spec["dns"]]
        note(log, saw="ready", people=len(people))
        threading.Event().wait()


if __name__ == "__main__":
    main()
