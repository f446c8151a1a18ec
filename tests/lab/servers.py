"""Those who live in one namespace of the lab: TLS origins, others that should never be reached, and a resolver; all they see is a JSON line each.

Usage: servers.py SPECIFICATION LOG, where the specification is what `specification` below made."""

import json
import pathlib
import socket
import ssl
import sys
import threading

import e2e  # noqa: F401
from harness import DnsStub, Origin, TlsOrigin

LOG_LOCK = threading.Lock()


def note(log, **what):
    with LOG_LOCK:
        log.write(json.dumps(what) + "\n")
        log.flush()


class Pair:
    """A certificate as harness.TlsOrigin wants one."""

    def __init__(self, chain, key):
        self.chain, self.key = chain, key

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


class NotedTls(TlsOrigin):
    """Answers every request with the name of its place."""

    def __init__(self, place, address, pair, log):
        self.place, self.log = place, log
        super().__init__(pair, address, 443, lambda path: f"this is {place}, asked for {path}\n".encode())

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


class NotedDns(DnsStub):
    """A resolver on port 53 of an address of either family."""

    def __init__(self, place, address, zone, log):
        self.zone, self.place, self.log = zone, place, log
        self.questions, self.ports, self.asking = [], set(), threading.local()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.tcp = socket.create_server((address, 53), family=family)
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.bind((address, 53))
        self.threads = [threading.Thread(target=serve, daemon=True) for serve in (self.serve_udp, self.serve_tcp)]
        for thread in self.threads:
            thread.start()

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
    tls = [(str(certificate.chain), str(certificate.key), rows) for certificate, rows in tls]
    return {"tls": tls, "plain": list(plain), "dns": list(dns), "zone": zone or {}}


def main():
    spec = json.loads(pathlib.Path(sys.argv[1]).read_text())
    with open(sys.argv[2], "a", encoding="utf-8") as log:
        people = [NotedTls(place, address, Pair(chain, key), log) for chain, key, rows in spec["tls"] for place, address in rows]
        people += [NotedPlain(place, address, port, log) for place, address, port in spec["plain"]]
        people += [NotedDns(place, address, spec["zone"], log) for place, address in spec["dns"]]
        note(log, saw="ready", people=len(people))
        threading.Event().wait()


if __name__ == "__main__":
    main()
