"""Thousands of connections: `load.py serve ADDRESS...` answers them in one namespace, `load.py ask ADDRESS COUNT` makes them in another.

Every connection sends a ClientHello of its own and has to get the digest of exactly that one back, from an origin that speaks no TLS: a proxy
that does not decrypt cannot tell. Each prints one JSON line at its end; the server ends when its input does."""

import hashlib
import json
import socket
import sys
import threading

import e2e  # noqa: F401
from harness import client_hello, receive_all, receive_exactly

PORT = 443
THREADS = 48            # connections at a time, of each asker
SESSION_ID = 5 + 4 + 2 + 32 + 1


def hello_of(number, template):
    """The template with the number for a session id."""
    return template[:SESSION_ID] + number.to_bytes(32, "big") + template[SESSION_ID + 32:]


def digest(hello):
    return hashlib.sha256(hello).digest()


def in_threads(work):
    threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    return threads


# ---- the origin ----


def serve(addresses):
    peers = []
    for address in addresses:
        listener = socket.create_server((address, PORT), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=4096)
        in_threads(lambda listener=listener: answer_all(listener, peers))
    print("ready", flush=True)
    sys.stdin.read()
    return {"answered": len(peers), "sources": sorted(set(peers))}


def answer_all(listener, peers):
    while True:
        sock, peer = listener.accept()
        with sock:
            try:
                head = receive_exactly(sock, 5)
                sock.sendall(digest(head + receive_exactly(sock, int.from_bytes(head[3:5], "big"))))
                peers.append(peer[0])
            except OSError:
                pass


# ---- the clients ----


def ask(address, count):
    template = client_hello("busy.example")
    numbers, faults = iter(range(count)), {}
    turn = threading.Lock()

    def ask_some():
        while True:
            with turn:
                number = next(numbers, None)
            if number is None:
                return
            if fault := ask_one(address, hello_of(number, template)):
                with turn:
                    faults[fault] = faults.get(fault, 0) + 1

    for thread in in_threads(ask_some):
        thread.join()
    return {"asked": count, "faults": faults}


def ask_one(address, hello):
    """None, or what went wrong."""
    try:
        with socket.create_connection((address, PORT), 60) as sock:
            sock.sendall(hello)
            answer = receive_all(sock)
    except OSError as error:
        return str(error)
    return None if answer == digest(hello) else f"an answer of {len(answer)} bytes that is not right"


if __name__ == "__main__":
    print(json.dumps(serve(sys.argv[2:]) if sys.argv[1] == "serve" else ask(sys.argv[2], int(sys.argv[3]))), flush=True)
