"""Bytes that no honest library sends: ClientHellos that name anything, and PROXY headers."""

import re
import socket
import struct

from harness import client_hello

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def bare_hello(sni, alpn=()):
    """A ClientHello with any bytes for a name, in as many records as it takes."""
    extensions = struct.pack(">H", 43) + vector(2, vector(1, b"\x03\x04"))
    if sni:
        extensions += struct.pack(">H", 0) + vector(2, vector(2, b"\0" + vector(2, sni)))
    if alpn:
        extensions += struct.pack(">H", 16) + vector(2, vector(2, b"".join(vector(1, name) for name in alpn)))
    body = b"\x03\x03" + bytes(32) + vector(1, b"") + vector(2, b"\x13\x01") + vector(1, b"\0") + vector(2, extensions)
    message = b"\x01" + vector(3, body)
    return b"".join(b"\x16\x03\x01" + vector(2, message[at:at + 16384]) for at in range(0, len(message), 16384))


def hello_naming(text):
    """OpenSSL's hello, naming what OpenSSL takes for no name, as an address: it stands in place of a name of the same length."""
    stand_in = re.sub("[^.]", "x", text)
    return client_hello(stand_in).replace(stand_in.encode(), text.encode())


def v1(client):
    family, host = ("TCP6", "2001:db8::9") if ":" in client[0] else ("TCP4", "198.51.100.9")
    return f"PROXY {family} {client[0]} {host} {client[1]} 3128\r\n".encode()


def v2(client, tlvs=b""):
    family, code, host = (socket.AF_INET6, 0x21, "2001:db8::9") if ":" in client[0] else (socket.AF_INET, 0x11, "198.51.100.9")
    addresses = socket.inet_pton(family, client[0]) + socket.inet_pton(family, host) + struct.pack(">HH", client[1], 3128)
    return SIGNATURE + bytes([0x21, code]) + vector(2, addresses + tlvs)
