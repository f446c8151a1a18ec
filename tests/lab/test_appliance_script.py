"""contrib/appliance/exeat-appliance by itself: what its rules let through, whatever this host's sysctls are; that it puts up and takes down exactly
its own; that its self-test sees what is missing. In exeat's place stands a listener that says for whom a connection was meant."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import shutil
import socket
import struct
import tempfile
import threading
import time
import unittest

import enclosure
from harness import EXEAT, wait_until
from network import FAMILIES, Namespace, cable, family_of, nft

TOP = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = os.environ.get("EXEAT_APPLIANCE", TOP / "contrib" / "appliance" / "exeat-appliance")
MODES = ("redirect", "tproxy")

AGENT, OTHER_SOURCE = ("10.20.0.7", "2001:db8:20::7"), ("192.0.2.7", "2001:db8:2::7")
GATEWAY = ("10.20.0.1", "2001:db8:20::1")       # the appliance, as agents know it
OUTSIDE = ("198.51.100.2", "2001:db8:51::2")    # the appliance, as the internet knows it
NEIGHBOUR = ("198.51.100.1", "2001:db8:51::1")  # the internet's router
ORIGIN = ("203.0.113.80", "2001:db8:113::80")   # behind it
FAR_AGENT, FAR_ROUTER = ("10.20.9.2", "2001:db8:20:9::2"), ("10.20.9.1", "2001:db8:20:9::1")
VPN, VPN_GATEWAY = ("10.99.0.2", "2001:db8:99::2"), ("10.99.0.1", "2001:db8:99::1")
CORPORATE = ("10.50.0.10", "2001:db8:50::10")

LISTEN_PORT, EXPLICIT_PORT, ADMIN_PORT = 3129, 3128, 9128
MUCH = b"x" * 300_000
IMPATIENCE = 0.3  # an answer that must not come is awaited so long

SO_ORIGINAL_DST, IP_TRANSPARENT, IPV6_TRANSPARENT = 80, 19, 75

CONF = """\
MODE={mode}
AGENT_INTERFACES="eth1"
AGENTS="10.20.0.0/16 2001:db8:20::/48"
EXPLICIT_PORT=3128
"""


def setUpModule():
    if not enclosure.is_inside():
        raise unittest.SkipTest("SKIPPED: this is run by tests/run-lab")


def of(addresses, family):
    return addresses[FAMILIES.index(family)]


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
    except TimeoutError:
        return "no answer"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return f"{type(error).__name__} {error}"


def ask_tcp(namespace, address, port, source=None, scope=()):
    def ask():
        with new_socket(address) as sock:
            if source:
                sock.bind((source, 0))
            sock.connect((address, port, *scope))
            return sock.makefile("rb").readline().decode().strip()

    with namespace.inside():
        return seen_of(ask)


def ask_udp(namespace, address, port, source_port=0):
    def ask():
        with new_socket(address, socket.SOCK_DGRAM) as sock:
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


class ScriptTest(unittest.TestCase):
    ONE_LEG = False

    def setUp(self):
        self.standing = []
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="script-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.agent, self.appliance, self.internet = (self.namespace(name) for name in ("agent", "appliance", "internet"))
        self.lay()
        self.internet.add("lo", *(f"{address}/{32 if family_of(address) == 4 else 128}" for address in ORIGIN))
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

    def stand_in(self, mode):
        """In exeat's place, and in that of the one before."""
        for servant in self.standing:
            servant.close()
        self.standing = [self.serve(self.appliance, EXPLICIT_PORT), self.serve(self.appliance, LISTEN_PORT, mode)]

    def configure(self, mode, more=""):
        self.conf = self.directory / "appliance.conf"
        self.conf.write_text(CONF.format(mode=mode) + ("ONE_LEG=yes\n" if self.ONE_LEG else "") + more)

    def script(self, verb, check=True):
        return self.appliance.run(str(SCRIPT), verb, "-c", str(self.conf), check=check)

    def up(self, mode, more=""):
        self.configure(mode, more)
        self.script("up")
        self.addCleanup(self.script, "down")

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


class InterceptionTest(ScriptTest):
    def test_a_connection_comes_with_the_address_it_was_meant_for(self):
        for mode in MODES:
            with self.subTest(mode):
                self.setUpAgain(mode, 'PORTS="443 8443"\n')
                for family in FAMILIES:
                    for port in (443, 8443):
                        self.assertEqual(f"{of(AGENT, family)} meant {of(ORIGIN, family)} {port}", ask_tcp(self.agent, of(ORIGIN, family), port))
                self.assertEqual({"intercepted": 4}, self.counts())
                self.assertEqual(0, self.leaks())

    def setUpAgain(self, mode, more=""):
        """The next mode, in a network of its own."""
        if hasattr(self, "used"):
            self.doCleanups()
            self.setUp()
        self.used = True
        self.stand_in(mode)
        self.up(mode, more)

    def test_it_works_whatever_the_sysctls(self):
        """Strict rp_filter, and what wg-quick and others turn on."""
        for mode in MODES:
            self.setUpAgain(mode)
            for rp_filter in (0, 1, 2):
                for src_valid_mark in (0, 1):
                    for tcp_fwmark_accept in (0, 1):
                        with self.subTest(mode, rp_filter=rp_filter, src_valid_mark=src_valid_mark, tcp_fwmark_accept=tcp_fwmark_accept):
                            self.sysctl(ipv4__conf__all__rp_filter=rp_filter, ipv4__conf__all__src_valid_mark=src_valid_mark,
                                        ipv4__tcp_fwmark_accept=tcp_fwmark_accept)
                            for family in FAMILIES:
                                self.assertIn(" meant ", ask_tcp(self.agent, of(ORIGIN, family), 443))

    def test_tproxy_costs_no_connection_tracking_and_redirect_one_entry(self):
        for mode, entries in (("redirect", 1), ("tproxy", 0)):
            with self.subTest(mode):
                self.setUpAgain(mode)
                nft(self.appliance, "table inet tracking { chain input { type filter hook input priority 0; ct state established accept; }; }")
                for number in (1, 2, 3):
                    for family in FAMILIES:
                        self.assertIn(" meant ", ask_tcp(self.agent, of(ORIGIN, family), 443))
                    tracked = self.appliance.run("cat", "/proc/net/nf_conntrack").stdout
                    self.assertEqual(2 * number * entries, tracked.count(" dport=443 "), tracked)

    def test_without_exeat_a_connection_is_refused(self):
        for mode in MODES:
            with self.subTest(mode):
                self.configure(mode)
                self.script("up")
                for family in FAMILIES:
                    self.assertEqual("refused", ask_tcp(self.agent, of(ORIGIN, family), 443))
                self.script("down")

    def test_a_narrow_link_on_the_way_to_an_agent_is_found_out(self):
        """The ICMP error is for the origin, whose address exeat lends."""
        for mode in MODES:
            self.setUpAgain(mode)
            far = self.namespace("far")
            cable(far, "eth0", self.agent, "eth1")
            far.add("eth0", *FAR_AGENT)
            far.default(*FAR_ROUTER)
            self.agent.add("eth1", *FAR_ROUTER)
            self.agent.ip("link", "set", "eth1", "mtu", "1300")  # the far end does not know, and cannot say what fits
            self.agent.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
            for prefix, gateway in (("10.20.9.0/24", AGENT[0]), ("2001:db8:20:9::/64", AGENT[1])):
                self.appliance.ip("route", "add", prefix, "via", gateway)
            for family in FAMILIES:
                with self.subTest(mode, family=family):
                    with far.inside(), new_socket(of(ORIGIN, family)) as sock:
                        sock.settimeout(5)
                        sock.connect((of(ORIGIN, family), 443))
                        reader = sock.makefile("rb")
                        self.assertIn(b" meant ", reader.readline())
                        sock.sendall(b"!")
                        self.assertEqual(MUCH, reader.read(len(MUCH)))

    def test_quic_is_refused_at_once(self):
        for mode in MODES:
            self.setUpAgain(mode)
            for family in FAMILIES:
                with self.subTest(mode, family=family):
                    began = time.monotonic()
                    self.assertEqual("refused", ask_udp(self.agent, of(ORIGIN, family), 443))
                    self.assertLess(time.monotonic() - began, 0.1)


class WallTest(ScriptTest):
    def setUp(self):
        super().setUp()
        for port in (22, ADMIN_PORT):
            self.serve(self.appliance, port)
        self.serve(self.appliance, 53, kind=socket.SOCK_DGRAM, addresses=GATEWAY)

    def test_what_agents_reach_on_the_appliance(self):
        for mode in MODES:
            self.stand_in(mode)
            self.configure(mode)
            self.script("up")
            for family in FAMILIES:
                for address in (of(GATEWAY, family), of(OUTSIDE, family)):
                    with self.subTest(mode, address=address):
                        self.assertIn(" meant ", ask_tcp(self.agent, address, EXPLICIT_PORT))
                        self.assertIn(" meant ", ask_tcp(self.agent, address, 443))
                        closed = [(ask_tcp, self.agent, address, port) for port in (LISTEN_PORT, ADMIN_PORT, 22, 53)]
                        closed += [(ask_udp, self.agent, address, 53), (ask_echo, self.agent, address)]
                        self.assertEqual(["no answer"] * len(closed), ask_all(*closed))
                self.assertIn(" meant ", ask_tcp(self.internet, of(OUTSIDE, family), 22))
                self.assertEqual("no answer", ask_tcp(self.internet, of(OUTSIDE, family), LISTEN_PORT))
            self.assertEqual({"intercepted", "direct", "appliance"}, set(self.counts()))
            self.script("down")

    def test_ping(self):
        self.up("redirect", "PING=yes\n")
        for family in FAMILIES:
            self.assertEqual("pong", ask_echo(self.agent, of(GATEWAY, family)))
            self.assertEqual("no answer", ask_echo(self.agent, of(ORIGIN, family)))

    def test_nothing_gets_past_it(self):
        for mode in MODES:
            with self.subTest(mode):
                self.configure(mode)
                self.script("up")
                self.forward_everything()
                self.assertEqual(set(), self.try_all_ways())
                self.assertEqual(0, self.leaks())
                self.assertEqual({"intercepted", "quic", "other"}, set(self.counts()))
                self.script("down")

    def test_other_sources_are_dropped(self):
        self.stand_in("redirect")
        self.up("redirect")
        for family in FAMILIES:
            source = of(OTHER_SOURCE, family)
            self.agent.ip("address", "add", source, "dev", "eth0", *(["nodad"] if family == 6 else []))
            self.appliance.ip("route", "add", source, "dev", "eth1")
            self.assertEqual("no answer", ask_tcp(self.agent, of(ORIGIN, family), 443, source))
            self.assertEqual("no answer", ask_tcp(self.agent, of(GATEWAY, family), EXPLICIT_PORT, source))
        self.assertEqual({"foreign"}, set(self.counts()))

    def test_neighbours_find_each_other(self):
        self.up("redirect", "PING=yes\n")
        for namespace, there in ((self.agent, GATEWAY), (self.appliance, AGENT)):
            for family in FAMILIES:
                namespace.ip("neighbour", "flush", "all")
                self.assertEqual("pong", ask_echo(namespace, of(there, family)))

    def test_questions_for_an_address_come_through(self):
        """DHCP, to everybody on the link."""
        self.up("redirect")
        for port, client_port, group in ((67, 68, "255.255.255.255"), (547, 546, "ff02::1:2")):
            with self.appliance.inside():
                server = new_socket(group, socket.SOCK_DGRAM)
                index = socket.if_nametoindex("eth1")
                server.bind(("", port))
                if family_of(group) == 6:
                    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                                      socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index))
            with server, self.agent.inside(), new_socket(group, socket.SOCK_DGRAM) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
                client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                client.bind(("", client_port))
                client.sendto(b"an address?", (group, port))
                self.assertEqual(b"an address?", server.recv(100))

    def test_a_router_among_the_agents_is_not_believed(self):
        self.up("redirect")
        with self.agent.inside(), socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            index = socket.if_nametoindex("eth0")
            wait_until("a link-local address", lambda: "fe80" in self.agent.ip("-6", "address", "show", "dev", "eth0").stdout)
            sock.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 8, 1800, 0, 0), ("ff02::1", 0, 0, index))
        wait_until("it is counted", lambda: self.counts().get("foreign"))
        self.assertNotIn("proto ra", self.appliance.ip("-6", "route", "show", "default").stdout)

    def test_only_named_resolvers_are_asked(self):
        more = f'DNS_SERVERS="{" ".join((*GATEWAY, *ORIGIN))}"\n'
        for mode in MODES:
            with self.subTest(mode):
                self.configure(mode, more)
                self.script("up")
                for family in FAMILIES:
                    self.assertEqual("anybody?", ask_udp(self.agent, of(GATEWAY, family), 53))
                    self.assertEqual("anybody?", ask_udp(self.agent, of(ORIGIN, family), 53))
                    self.assertIn(" meant ", ask_tcp(self.agent, of(ORIGIN, family), 53))
                    closed = [(ask_tcp, self.agent, of(ORIGIN, family), port) for port in (22, 80)]
                    closed += [(ask, self.agent, of(NEIGHBOUR, family), 53) for ask in (ask_tcp, ask_udp)]
                    closed += [(ask_tcp, self.internet, of(AGENT, family), 22)]
                    self.assertEqual(["no answer"] * len(closed), ask_all(*closed))
                self.assertIn("forwarded", self.counts())
                self.script("down")

    def test_with_forwarding_on_and_all_rules_flushed_nothing_leaks(self):
        for mode in MODES:
            with self.subTest(mode):
                self.forward_everything()
                self.assertEqual("anybody?", ask_udp(self.agent, ORIGIN[0], 53), "the test could not fail")
                self.configure(mode)
                self.script("up")
                self.appliance.run("nft", "flush", "ruleset")
                before = self.leaks()
                self.assertEqual(set(), self.try_all_ways())
                self.assertEqual(before, self.leaks())
                self.script("down")

    def test_with_rules_flushed_agents_still_reach_nothing_but_the_resolvers(self):
        self.up("redirect", f"DNS_SERVERS={ORIGIN[0]}\n")
        self.appliance.run("nft", "flush", "ruleset")
        self.assertEqual("anybody?", ask_udp(self.agent, ORIGIN[0], 53))
        before = self.leaks()
        for family in FAMILIES:
            self.assertNotIn(" meant ", ask_tcp(self.agent, of(NEIGHBOUR, family), 80))
            self.assertNotIn(" meant ", ask_tcp(self.agent, of(NEIGHBOUR, family), 443))
        self.assertEqual(before, self.leaks())

    def test_no_packet_slips_through_while_rules_are_replaced(self):
        texts = []
        for ports in ("443", "443 8443"):
            self.configure("tproxy", f'PORTS="{ports}"\n')
            texts.append(self.script("print").stdout)
        self.forward_everything()
        stop = threading.Event()
        flood = threading.Thread(target=self.flood, args=(stop,))
        flood.start()
        try:
            wait_until("the flood gets through without rules", self.leaks)
            nft(self.appliance, texts[0])
            before = self.leaks()
            for turn in range(40):
                nft(self.appliance, texts[turn % 2])
            wait_until("the flood is stopped by the rules", lambda: self.counts().get("other"))
            self.assertEqual(before, self.leaks())
        finally:
            stop.set()
            flood.join()

    def flood(self, stop):
        with self.agent.inside(), new_socket(ORIGIN[0], socket.SOCK_DGRAM) as four, new_socket(ORIGIN[1], socket.SOCK_DGRAM) as six:
            while not stop.is_set():
                four.sendto(b"slip", (ORIGIN[0], 9))
                six.sendto(b"slip", (ORIGIN[1], 9))


class OneLegTest(ScriptTest):
    """Agents, appliance and the internet's router on one link; the appliance has one interface."""

    ONE_LEG = True

    def lay(self):
        link = self.namespace("link")
        link.ip("link", "add", "switch", "type", "bridge")
        link.ip("link", "set", "switch", "up")
        for namespace, interface, addresses in ((self.agent, "eth0", AGENT), (self.appliance, "eth1", (*GATEWAY, *OUTSIDE)),
                                                (self.internet, "eth0", NEIGHBOUR)):
            cable(link, namespace.name, namespace, interface)
            link.ip("link", "set", namespace.name, "master", "switch", "up")
            namespace.add(interface, *addresses)
        self.appliance.default(*NEIGHBOUR)
        for prefix, gateway in (("10.20.0.0/16", OUTSIDE[0]), ("2001:db8:20::/48", OUTSIDE[1])):
            self.internet.ip("route", "add", prefix, "via", gateway)

    def test_agents_are_confined_and_others_are_not(self):
        self.serve(self.appliance, 22)
        for mode in MODES:
            self.stand_in(mode)
            self.configure(mode)
            self.script("up")
            self.forward_everything()
            for family in FAMILIES:
                with self.subTest(mode, family=family):
                    self.assertEqual(f"{of(AGENT, family)} meant {of(ORIGIN, family)} 443", ask_tcp(self.agent, of(ORIGIN, family), 443))
                    self.assertIn(" meant ", ask_tcp(self.agent, of(GATEWAY, family), EXPLICIT_PORT))
                    self.assertEqual("refused", ask_udp(self.agent, of(ORIGIN, family), 443))
                    closed = [(ask_tcp, self.agent, of(GATEWAY, family), port) for port in (22, LISTEN_PORT)]
                    closed += [(ask_tcp, self.agent, of(ORIGIN, family), 80)]
                    self.assertEqual(["no answer"] * len(closed), ask_all(*closed))
                    self.assertIn(" meant ", ask_tcp(self.internet, of(OUTSIDE, family), 22))
                    self.assertIn(" meant ", ask_tcp(self.appliance, of(ORIGIN, family), 443))
            self.assertEqual(0, self.leaks())
            self.script("down")

    def test_an_agent_has_nothing_from_its_link_local_address(self):
        self.serve(self.appliance, 22)
        self.up("redirect")
        found = wait_until("a link-local address", lambda: re.search(r"inet6 (fe80:\S+)/64", self.appliance.ip("-6", "address", "show").stdout))
        with self.agent.inside():
            scope = (0, socket.if_nametoindex("eth0"))
        self.assertEqual("no answer", ask_tcp(self.agent, found.group(1), 22, scope=scope))

    def test_with_forwarding_on_and_all_rules_flushed_nothing_leaks(self):
        for mode in MODES:
            with self.subTest(mode):
                self.configure(mode)
                self.script("up")
                self.forward_everything()
                self.appliance.run("nft", "flush", "ruleset")
                self.assertEqual(set(), self.try_all_ways())
                self.assertEqual(0, self.leaks())
                self.script("down")

    def test_a_resolver_is_asked_by_the_same_leg(self):
        nft(self.agent, """
            table inet witness {
                counter redirects {}
                chain arrivals { type filter hook prerouting priority raw; icmp type redirect counter name redirects; }
            }""")
        self.up("tproxy", f'DNS_SERVERS="{" ".join(ORIGIN)}"\n')  # with NAT the kernel drops its redirects itself
        for family in FAMILIES:
            self.assertEqual("anybody?", ask_udp(self.agent, of(ORIGIN, family), 53))
        told = self.agent.run("nft", "list", "counter", "inet", "witness", "redirects").stdout
        self.assertIn("packets 0 ", told, "agents are told of a shorter way")
        self.appliance.run("nft", "flush", "ruleset")
        self.assertEqual("anybody?", ask_udp(self.agent, ORIGIN[0], 53))
        self.assertNotIn(" meant ", ask_tcp(self.agent, NEIGHBOUR[0], 80))


# ---- up and down ----

EVERYTHING = f"""\
DNS_SERVERS="{ORIGIN[0]} {ORIGIN[1]} {GATEWAY[0]}"
PING=yes
VPN_MARK=2
VPN_INTERFACE=vpn0
SOURCE_INTERFACE=eth0
SOURCE_ADDRESSES="203.0.113.16 2001:db8:80::16 {OUTSIDE[0]}"
"""


class StateTest(ScriptTest):
    def setUp(self):
        super().setUp()
        self.inside = self.namespace("inside")
        self.plug_vpn()

    def plug_vpn(self):
        cable(self.appliance, "vpn0", self.inside, "eth0")
        self.appliance.add("vpn0", *VPN)
        self.inside.add("eth0", *VPN_GATEWAY)
        wait_until("the vpn is up", lambda: self.is_settled(self.appliance) and self.is_settled(self.inside))

    def snapshot(self):
        """All that the script could have touched."""
        commands = {"rules": "nft list ruleset", "rule": "ip rule", "rule6": "ip -6 rule", "route": "ip route show table all",
                    "route6": "ip -6 route show table all", "address": "ip address", "sysctl": "sysctl -a -r ^net\\.ipv[46]"}
        told = {what: self.appliance.run(*command.split(), check=False).stdout.splitlines() for what, command in commands.items()}
        told["route6"].sort()
        return told

    def assertSame(self, expected, told):
        for what, lines in expected.items():
            self.assertEqual([], [f"-{line}" for line in lines if line not in told[what]] + [f"+{line}" for line in told[what] if line not in lines])
            self.assertEqual(lines, told[what])

    def test_up_again_changes_nothing_and_down_restores_everything(self):
        for mode in MODES:
            for forwarding in (0, 1):
                with self.subTest(mode, forwarding=forwarding):
                    self.sysctl(ipv4__ip_forward=forwarding, ipv6__conf__all__forwarding=forwarding, ipv4__conf__vpn0__rp_filter=1)
                    before = self.snapshot()
                    self.configure(mode, EVERYTHING)
                    self.script("up")
                    ask_udp(self.agent, ORIGIN[0], 443)
                    ask_udp(self.agent, ORIGIN[0], 9)
                    first = self.snapshot()
                    self.assertNotEqual(before["sysctl"], first["sysctl"])
                    self.script("up")
                    self.assertSame(first, self.snapshot())
                    self.assertEqual({"quic": 1, "other": 1}, self.counts())
                    self.script("down")
                    self.assertSame(before, self.snapshot())
                    self.script("down")
                    self.assertSame(before, self.snapshot())

    def test_a_changed_configuration_is_put_up_in_place_of_the_old(self):
        before = self.snapshot()
        for mode, other in (MODES, MODES[::-1]):
            self.configure(other)
            self.script("up")
            expected = self.snapshot()
            self.script("down")
            self.configure(mode, EVERYTHING)
            self.script("up")
            self.configure(other)
            self.script("up")
            self.assertSame(expected, self.snapshot())
            self.script("down")
            self.assertSame(before, self.snapshot())

    def test_down_does_without_a_configuration(self):
        before = self.snapshot()
        self.configure("tproxy", EVERYTHING)
        self.script("up")
        self.conf.write_text("MODE=sideways\n")
        self.assertEqual(2, self.script("up", check=False).returncode)
        self.script("down")
        self.assertSame(before, self.snapshot())

    def test_what_others_put_up_stays(self):
        self.appliance.ip("address", "add", "203.0.113.16/32", "dev", "eth0")
        self.appliance.ip("rule", "add", "priority", "110", "fwmark", "2", "lookup", "102")
        nft(self.appliance, "table inet other { chain input { type filter hook input priority 0; }; }")
        before = self.snapshot()
        self.configure("redirect", EVERYTHING)
        self.script("up")
        self.script("down")
        self.assertSame(before, self.snapshot())

    def test_what_was_lost_comes_back(self):
        self.up("tproxy", EVERYTHING)
        expected = self.snapshot()
        self.appliance.run("nft", "flush", "ruleset")
        self.appliance.ip("rule", "delete", "priority", "100")
        self.appliance.ip("-6", "route", "flush", "table", "100")
        self.appliance.ip("address", "delete", "203.0.113.16/32", "dev", "eth0")
        self.sysctl(ipv4__conf__vpn0__rp_filter=1, ipv4__conf__eth1__forwarding=0)
        self.script("up")
        self.assertSame(expected, self.snapshot())

    def test_rules_changed_by_hand_are_put_right(self):
        self.up("redirect")
        self.appliance.run("nft", "insert rule inet exeat_appliance from_agents accept")
        self.script("up")
        self.assertNotIn("\taccept\n", self.appliance.run("nft", "list", "chain", "inet", "exeat_appliance", "prerouting").stdout)
        self.assertEqual("no answer", ask_tcp(self.agent, GATEWAY[0], 22))

    def test_the_state_of_a_namespace_that_is_gone_is_forgotten(self):
        number = self.appliance.run("stat", "-L", "-c", "%i", "/proc/self/ns/net").stdout.strip()
        stale = pathlib.Path("/run/exeat-appliance", number)
        stale.mkdir(parents=True)
        (stale / "done").write_text("sysctl net/ipv4/ip_local_port_range 1 2\naddress eth0 198.51.100.2/24\n")
        before = self.snapshot()
        self.configure("redirect")
        self.script("up")
        self.script("down")
        self.assertSame(before, self.snapshot())
        self.assertFalse(stale.exists())

    def test_the_mark_of_the_vpn_never_leaves_elsewhere(self):
        self.inside.add("lo", *(f"{address}/{32 if family_of(address) == 4 else 128}" for address in CORPORATE))
        self.internet.add("lo", *(f"{address}/{32 if family_of(address) == 4 else 128}" for address in CORPORATE))  # a twin, should it go astray
        self.serve(self.inside, 443)
        gateways = "VPN_MARK=0x2\nVPN_INTERFACE=vpn0\n" + "".join(f"VPN_GATEWAY{family}={of(VPN_GATEWAY, family)}\n" for family in FAMILIES)
        self.sysctl(ipv4__conf__all__rp_filter=1)
        self.up("redirect", gateways)
        self.assertEqual(["answer", "answer"], self.ask_marked())
        self.appliance.ip("link", "set", "vpn0", "down")
        self.assertEqual(["unreachable", "unreachable"], self.ask_marked())
        self.appliance.ip("link", "delete", "vpn0")
        self.assertEqual(["unreachable", "unreachable"], self.ask_marked())
        self.assertEqual(0, self.script("up").returncode, "without a vpn the rest is put up")
        self.assertEqual(["unreachable", "unreachable"], self.ask_marked())
        self.plug_vpn()
        self.script("up")
        self.assertEqual(["answer", "answer"], self.ask_marked())

    def ask_marked(self):
        def ask(address):
            with new_socket(address) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 2)
                try:
                    sock.connect((address, 443))
                except OSError as error:
                    return "unreachable" if "unreachable" in str(error) or "No route" in str(error) else str(error)
                return "answer" if sock.recv(100) else "silence"

        with self.appliance.inside():
            return [ask(address) for address in CORPORATE]


# ---- the self-test, and the configuration ----


class CheckTest(ScriptTest):
    def setUp(self):
        super().setUp()
        self.exeat_conf = self.directory / "exeat.conf"
        self.more = (f"SOURCE_INTERFACE=eth0\nSOURCE_ADDRESSES=203.0.113.16\nEXEAT={os.path.abspath(EXEAT)}\nEXEAT_CONF={self.exeat_conf}\n")
        self.configure_exeat("tproxy")

    def configure_exeat(self, mode):
        self.exeat_conf.write_text(f"[listen network]\naddress = 0.0.0.0:3129\nmode = {mode}\n[clients all]\nfrom = 10.20.0.0/16\n"
                                   "[route nat]\nsource = 203.0.113.16\n[rule one]\nto = allowed.example\n")

    def check(self):
        """The exit code, and what is missing."""
        ran = self.script("check", check=False)
        lines = ran.stdout.splitlines()
        self.assertEqual("", ran.stderr)
        self.assertEqual([], [line for line in lines if not line.startswith(("ok       ", "missing  "))])
        return ran.returncode, [line.removeprefix("missing  ") for line in lines if line.startswith("missing  ")]

    def test_a_whole_appliance_lacks_nothing(self):
        for mode in MODES:
            with self.subTest(mode):
                self.stand_in(mode)
                self.configure_exeat(mode)
                self.configure(mode, self.more + f"DNS_SERVERS={ORIGIN[0]}\n")
                self.script("up")
                self.assertEqual((0, []), self.check())
                self.script("down")

    def test_before_up_it_names_everything(self):
        self.configure("tproxy", self.more)
        code, lacks = self.check()
        self.assertEqual(1, code)
        for part in ("nft: table inet exeat_appliance",
                     "rule, IPv4: priority 100 fwmark 0x1 iif eth1", "rule, IPv6: priority 100 fwmark 0x1 iif eth1",
                     "route, IPv4, table 100: local default dev lo", "route, IPv6, table 100: local default dev lo",
                     "route, IPv6, table 101: unreachable", "address: eth0 203.0.113.16/32", "this host does not have 203.0.113.16",
                     "port 3129, IPv4", "port 3129, IPv6", "port 3128, IPv4", "ip_local_port_range"):
            self.assertEqual(1, len([line for line in lacks if part in line]), f"{part} in {lacks}")

    def test_each_missing_line_ends_with_the_command_that_mends_it(self):
        damages = {
            "nft: table inet exeat_appliance": "nft flush ruleset",
            "nft: table inet exeat_appliance, as print shows it": "nft add rule inet exeat_appliance from_agents accept",
            "rule, IPv4: priority 100": "ip rule delete priority 100",
            "rule, IPv6: priority 120": "ip -6 rule delete priority 120",
            "route, IPv6, table 100": "ip -6 route flush table 100",
            "address: eth0 203.0.113.16/32": "ip address delete 203.0.113.16/32 dev eth0",
            "sysctl: net/ipv4/ip_local_port_range": "sysctl -qw net.ipv4.ip_local_port_range=32768\t60999",
            "rp_filter: strict (1) on eth1": "ip route replace 10.20.0.0/16 dev eth0",
            "local ports: 3129 of exeat's listener": "sysctl -qw net.ipv4.ip_local_port_range=1024\t65535",
        }
        self.stand_in("tproxy")
        self.up("tproxy", self.more)
        for part, damage in damages.items():
            with self.subTest(damage):
                if part.startswith("rp_filter"):
                    self.sysctl(ipv4__conf__all__rp_filter=1)
                    self.appliance.ip("address", "delete", GATEWAY[0] + "/24", "dev", "eth1")
                    self.appliance.ip("address", "add", GATEWAY[0] + "/32", "dev", "eth1")
                self.appliance.run(*damage.split(" "))
                code, lacks = self.check()
                found = [line for line in lacks if part in line]
                self.assertEqual((1, 1), (code, len(found)), lacks)
                self.appliance.run("sh", "-c", found[0].rpartition(": ")[2])
                self.assertEqual([], [line for line in self.check()[1] if part in line])

    def test_an_exeat_that_listens_in_the_other_mode_is_noticed(self):
        self.configure_exeat("redirect")
        self.up("tproxy", self.more)
        self.assertIn(f"exeat: no listener with mode = tproxy: ${{EDITOR-vi}} {self.exeat_conf}", self.check()[1])

    def test_who_may_not_look_is_told(self):
        self.up("redirect", self.more)
        ran = self.appliance.run("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin",
                                 str(SCRIPT), "check", "-c", str(self.conf), check=False)
        self.assertEqual(1, ran.returncode)
        self.assertIn("missing  capability: CAP_NET_ADMIN", ran.stdout)

    def test_print_is_what_is_loaded(self):
        self.up("redirect")
        listed = self.appliance.run("nft", "list", "ruleset").stdout
        nft(self.appliance, self.script("print").stdout)
        self.assertEqual(listed, self.appliance.run("nft", "list", "ruleset").stdout)


class ConfTest(ScriptTest):
    def faults(self, text):
        conf = self.directory / "faulty.conf"
        conf.write_text(text)
        ran = self.appliance.run(str(SCRIPT), "print", "-c", str(conf), check=False)
        self.assertEqual((2, ""), (ran.returncode, ran.stdout))
        return [line.removeprefix(f"exeat-appliance: {conf}") for line in ran.stderr.splitlines()]

    def test_every_fault_is_told_with_its_line(self):
        whole = CONF.format(mode="redirect")
        for line, fault in (
            ("FOO=1", "there is no key 'FOO'"),
            ("MARK=0", "MARK: '0' is not a mark from 1 to 0xffffffff"),
            ("MARK=0x1ffffffff", "MARK: '0x1ffffffff' is not a mark from 1 to 0xffffffff"),
            ("TABLE=254", "TABLE: '254' is not the number of a routing table of its own"),
            ("LISTEN_PORT=13129", "LISTEN_PORT: '13129' is not a port from 1 to 9999; those above are for exeat's own connections"),
            ("PORTS=0x1bb", "PORTS: '0x1bb' is not a port"),
            ("DNS_SERVERS=10.0.0.256", "DNS_SERVERS: '10.0.0.256' is not an address"),
            ('DNS_SERVERS="1::2::3"', "DNS_SERVERS: '1::2::3' is not an address"),
            ("PING=maybe", "PING: 'maybe' is not yes or no"),
            ('PORTS="443 80x"', "PORTS: '80x' is not a port"),
            ('PORTS="443', "the quote is not closed"),
            ("PORTS=443 8443", "'8443' behind the value; a list stands in quotes: KEY=\"one two\""),
            ("rm -rf x", 'this is not KEY="value": rm -rf x'),
            ("MODE=tproxy", "MODE stands here a second time"),
            ('EXEAT="$(touch pwned)"', "EXEAT: '$(touch pwned)' is not a path"),
        ):
            with self.subTest(line):
                self.assertEqual([f":5: {fault}"], self.faults(whole + line + "\n"))
        self.assertEqual([":2: there is no key 'A'", ":3: there is no key 'B'",
                          ": MODE is missing", ": AGENT_INTERFACES is missing", ": AGENTS is missing"],
                         self.faults("# nothing\nA=1\n  B=2 # both\n"))
        self.assertEqual([": VPN_MARK needs VPN_INTERFACE"], self.faults(whole + "VPN_MARK=3\n"))
        self.assertEqual([": LISTEN_PORT and a port of PORTS are the same"], self.faults(whole + 'PORTS="443 3129"\n'))

    def test_the_samples_are_taken(self):
        samples = TOP / "contrib" / "appliance"
        self.assertIn("table inet exeat_appliance {", self.appliance.run(str(SCRIPT), "print", "-c", str(samples / "appliance.conf")).stdout)
        self.appliance.run(os.path.abspath(EXEAT), "check", "-c", str(samples / "exeat.conf"))


del ScriptTest  # it has no test of its own
