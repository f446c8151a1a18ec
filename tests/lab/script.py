"""What tests of the appliance's script by itself are made of: a host for it with an agent and an internet, and in exeat's place a listener that says
for whom a connection was meant."""

import concurrent.futures
import contextlib
import pathlib
import re
import socket
import struct
import tempfile
import threading
import time
import unittest

from clients import IMPATIENCE, words_of
from harness import PATIENCE, plain_story, wait_until
from network import EXPLICIT_PORT, GATEWAY, LISTEN_PORT, MODES, SCRIPT, Namespace, cable, family_of, nft

AGENT = ("10.20.0.7", "2001:db8:20::7")
OUTSIDE = ("198.51.100.2", "2001:db8:51::2")    # the appliance, as the internet knows it
NEIGHBOUR = ("198.51.100.1", "2001:db8:51::1")  # the internet's router
ORIGIN = ("203.0.113.80", "2001:db8:113::80")   # behind it

MUCH = b"x" * 300_000

SO_ORIGINAL_DST, IP_TRANSPARENT, IPV6_TRANSPARENT = 80, 19, 75

CONF = f"""\
MODE={{mode}}
AGENT_INTERFACES="eth1"
AGENTS="10.20.0.0/16 2001:db8:20::/48"
EXPLICIT_PORT={EXPLICIT_PORT}
"""


def new_socket(address, kind=socket.SOCK_STREAM):
    made = socket.socket(socket.AF_INET6 if family_of(address) == 6 else socket.AF_INET, kind)
    if family_of(address) == 6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.settimeout(IMPATIENCE)
    return made


# ---- who answers ----


class Servant:
    """Listens on a port of both families and answers each connection with what `speak` says; or over UDP, with what it was sent."""

    def __init__(self, namespace, port, mode="plain", kind=socket.SOCK_STREAM, addresses=("0.0.0.0", "::")):
        self.mode, self.sockets, self.accepted = mode, [], []
        with namespace.inside():
            for address in addresses:
                self.sockets.append(self.bind(address, port, kind))
        for sock in self.sockets:
            threading.Thread(target=self.serve if kind == socket.SOCK_STREAM else self.echo, args=(sock,), daemon=True).start()

    def bind(self, address, port, kind):
        sock = new_socket(address, kind)
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.mode == "tproxy":
            sock.setsockopt(*((socket.IPPROTO_IPV6, IPV6_TRANSPARENT) if family_of(address) == 6 else (socket.IPPROTO_IP, IP_TRANSPARENT)), 1)
        sock.bind((address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(128)
        return sock

    def serve(self, listener):
        with contextlib.suppress(OSError):
            while True:
                sock, peer = listener.accept()
                self.accepted.append(sock)
                threading.Thread(target=self.speak, args=(sock, peer[0]), daemon=True).start()

    def speak(self, sock, peer):
        with contextlib.suppress(OSError):
            sock.sendall(f"{peer} meant {self.meant(sock)}\n".encode())
            while sock.recv(1):
                sock.sendall(MUCH)

    def meant(self, sock):
        """The address and port for which the client's packets were."""
        if self.mode != "redirect":
            return "{} {}".format(*sock.getsockname()[:2])
        if sock.family == socket.AF_INET6:
            raw = sock.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
            return f"{socket.inet_ntop(socket.AF_INET6, raw[8:24])} {int.from_bytes(raw[2:4])}"
        raw = sock.getsockopt(socket.IPPROTO_IP, SO_ORIGINAL_DST, 16)
        return f"{socket.inet_ntoa(raw[4:8])} {int.from_bytes(raw[2:4])}"

    def echo(self, sock):
        with contextlib.suppress(OSError):
            while True:
                data, peer = sock.recvfrom(2048)
                if peer is None:  # shut down
                    return
                sock.sendto(data, peer)

    def close(self):
        for sock in (*self.sockets, *self.accepted):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


# ---- who asks: each says what it saw in one text ----


def seen_of(ask):
    try:
        return ask()
    except OSError as error:
        return words_of(error)


def ask_tcp(namespace, address, port, source=None, scope=()):
    def ask():
        with new_socket(address) as sock:
            if source:
                sock.bind((source, 0))
            sock.connect((address, port, *scope))
            sock.settimeout(PATIENCE)
            return sock.makefile("rb").readline().decode().strip()

    with namespace.inside():
        return seen_of(ask)


def ask_udp(namespace, address, port, source_port=0, patience=IMPATIENCE):
    """An answer that must come is waited for with PATIENCE: a thread of this process gives it."""

    def ask():
        with new_socket(address, socket.SOCK_DGRAM) as sock:
            sock.settimeout(patience)
            sock.bind(("", source_port))
            sock.connect((address, port))
            sock.send(b"anybody?")
            return sock.recv(64).decode()

    with namespace.inside():
        return seen_of(ask)


def ask_echo(namespace, address):
    """A ping."""
    six = family_of(address) == 6
    echo = struct.pack("!BBHHH", 128 if six else 8, 0, 0, 4711, 1)
    if not six:  # over IPv6 the kernel makes the checksum
        echo = struct.pack("!BBHHH", 8, 0, 0xffff - (0x0800 + 4711 + 1), 4711, 1)

    def ask():
        with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW,
                           socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP) as sock:
            end = time.monotonic() + IMPATIENCE
            sock.sendto(echo, (address, 0))
            while True:
                sock.settimeout(max(0.001, end - time.monotonic()))
                data = sock.recv(256)[0 if six else 20:]
                if data[0] == (129 if six else 0) and data[4:6] == echo[4:6]:
                    return "pong"

    with namespace.inside():
        return seen_of(ask)


def ask_all(*questions):
    """Asks them at the same time, each a function and its arguments; what each saw, in order."""
    with concurrent.futures.ThreadPoolExecutor(len(questions)) as pool:
        return [asking.result() for asking in [pool.submit(*question) for question in questions]]


# ---- the network, and the script in it ----


@plain_story
class ScriptTest(unittest.TestCase):
    ONE_LEG = False
    mode = MODES[0]  # where it does not matter

    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="script-")))
        self.agent, self.appliance, self.internet = (self.namespace(name) for name in ("agent", "appliance", "internet"))
        self.lay()
        self.internet.own(*ORIGIN)
        self.agent.default(*GATEWAY)
        for namespace in (self.agent, self.appliance, self.internet):
            wait_until("the links are up", lambda: self.is_settled(namespace))
        for port in (22, 53, 80, 443):
            self.serve(self.internet, port)
        self.serve(self.internet, 53, kind=socket.SOCK_DGRAM, addresses=(*ORIGIN, *NEIGHBOUR))
        nft(self.internet, """
            table inet witness {
                counter leaks {}
                chain arrivals {
                    type filter hook prerouting priority raw;
                    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report } accept
                    iifname "lo" accept
                    ip saddr { 10.20.0.0/16, 192.0.2.0/24 } counter name leaks
                    ip6 saddr { 2001:db8:20::/48, 2001:db8:2::/48 } counter name leaks
                }
            }""")

    def namespace(self, name):
        made = Namespace(name)
        self.addCleanup(made.close)
        return made

    def lay(self):
        """Two legs: agent == eth1 appliance eth0 == internet."""
        cable(self.agent, "eth0", self.appliance, "eth1")
        cable(self.appliance, "eth0", self.internet, "eth0")
        self.agent.add("eth0", *AGENT)
        self.appliance.add("eth1", *GATEWAY)
        self.appliance.add("eth0", *OUTSIDE)
        self.internet.add("eth0", *NEIGHBOUR)
        self.appliance.default(*NEIGHBOUR)
        for prefix, gateway in (("10.20.0.0/16", OUTSIDE[0]), ("192.0.2.0/24", OUTSIDE[0]), ("2001:db8:20::/48", OUTSIDE[1])):
            self.internet.ip("route", "add", prefix, "via", gateway)

    def is_settled(self, namespace):
        """Whether each interface has carrier and its link-local address; the kernel takes a moment."""
        links = namespace.ip("-o", "link", "show", "type", "veth").stdout.splitlines()
        local = namespace.ip("-o", "-6", "address", "show", "scope", "link").stdout.splitlines()
        return len([line for line in local if "tentative" not in line]) == len(links)

    def serve(self, namespace, port, mode="plain", **more):
        servant = Servant(namespace, port, mode, **more)
        self.addCleanup(servant.close)
        return servant

    def stand_in(self):
        """In exeat's place."""
        self.serve(self.appliance, EXPLICIT_PORT)
        self.serve(self.appliance, LISTEN_PORT, self.mode)

    def configure(self, more="", mode=None):
        self.conf = self.directory / "appliance.conf"
        self.conf.write_text(CONF.format(mode=mode or self.mode) + ("ONE_LEG=yes\n" if self.ONE_LEG else "") + more)

    def script(self, verb, check=True):
        return self.appliance.run(str(SCRIPT), verb, "-c", str(self.conf), check=check)

    def up(self, more=""):
        self.configure(more)
        self.addCleanup(self.script, "down")
        self.script("up")

    def sysctl(self, **values):
        for name, value in values.items():
            with self.appliance.inside():
                pathlib.Path("/proc/sys/net", *name.split("__")).write_text(str(value))

    def forward_everything(self):
        self.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)

    def leaks(self):
        return int(re.search(r"packets (\d+)", self.internet.run("nft", "list", "counter", "inet", "witness", "leaks").stdout).group(1))

    def counts(self):
        """The counters of the script's table that are not 0."""
        text = self.appliance.run("nft", "list", "counters", "table", "inet", "exeat_appliance").stdout
        found = re.findall(r"counter (\w+) \{.*?packets (\d+)", text, re.DOTALL)
        return {name: int(packets) for name, packets in found if int(packets)}

    def try_all_ways(self):
        """Everything an agent might try to get past the appliance. Returns what was answered."""
        questions = []
        for origin in ORIGIN:
            questions += [(ask_tcp, self.agent, origin, port) for port in (22, 53, 80, 443)]
            questions += [(ask_udp, self.agent, origin, port) for port in (53, 67, 443)]
            questions += [(ask_udp, self.agent, origin, 67, 68), (ask_echo, self.agent, origin)]
        heard = set(ask_all(*questions))
        return heard - {"no answer", "refused"} - {text for text in heard if "unreachable" in text or "No route" in text}
