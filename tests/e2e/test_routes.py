"""What leaves comes from the documented range: routes on loopback, and between real networks in namespaces that the test makes (as root)."""

import contextlib
import ctypes
import ipaddress
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import time
import unittest

from harness import EXEAT, PATIENCE, DnsStub, EndToEndTest, HeldPort, Origin, family_of, origins_on_one_port, policy, receive_exactly, wait_until

NAME = "allowed.example.test"
LACKING = "192.0.2.77"  # a documentation address: no host has it
LACK_LINE = f"this host does not have the source {LACKING}"


class RouteStory(EndToEndTest):
    """Tunnels without TLS: with `sni = off` the decision is in the journal before the 200, so its record is there when the client hears of it."""

    def dial(self, client=None, port=0):
        sock = self.proxy.dial(source=(client, port) if client else None)
        self.addCleanup(sock.close)
        return sock

    def tunnel(self, host, origin_port, client=None, client_port=0):
        """A CONNECT that must work; bytes have crossed it both ways when it is returned."""
        sock = self.dial(client, client_port)
        status, line = self.ask(sock, host, origin_port)
        self.assertEqual(200, status, line)
        self.assert_echo(sock)
        return sock

    def ask(self, sock, host, origin_port):
        sock.sendall(f"CONNECT {host}:{origin_port} HTTP/1.1\r\n\r\n".encode())
        status, head = self.proxy.read_head(sock)
        return status, head.splitlines()[0]

    def refusal(self, host, origin_port):
        """A CONNECT that must not work; returns (status, reason), which the answer and the record agree on."""
        with self.dial() as sock:
            status, line = self.ask(sock, host, origin_port)
        self.assertGreaterEqual(status, 400, line)
        session = line.split(", id ")[1].split(")")[0]
        record = self.proxy.wait_decision(id=session)
        self.assertEqual("deny", record["verdict"])
        self.assertIn(f"({record['reason']}, id ", line)
        self.assertIsNone(record["egress_ip"])
        if status in (502, 504):
            self.assertEqual("network", record["class"])
            self.assertRegex(line, r"(no such host|connection timed out|connection refused)$")
        return status, record["reason"]

    def decided(self, key):
        """That key of every allowed decision, in order."""
        return [record[key] for record in self.proxy.decisions() if record["verdict"] == "allow"]


# ---- loopback ----


def stay_silent(case, address, port):
    """Nobody refuses there and nobody answers: a listener whose queue is full, so that the kernel drops every SYN."""
    listener = socket.create_server((address, port), family=family_of(address), backlog=0)
    case.addCleanup(listener.close)
    for _ in range(10):
        sock = socket.socket(family_of(address))
        case.addCleanup(sock.close)
        sock.settimeout(0.2)
        try:
            sock.connect((address, port))
        except TimeoutError:
            return
    raise AssertionError("the listener's queue does not fill up")


def need_ipv6(case):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        case.skipTest(f"SKIPPED: this host has no ::1 ({error})")


class Sources(RouteStory):
    def start(self, route, hosts=f"127.0.0.1 {NAME}", extra="", **how):
        self.origin = self.use(Origin())
        (self.directory / "hosts").write_text(hosts + "\n")
        return self.run_with(policy(NAME, port=self.origin.port, hosts=self.directory / "hosts", route=f"{route}\naddresses = 127.0.0.0/8 ::1",
                                    rule="sni = off\nroute = nat", extra=extra), **how)

    def start_with_dns(self, route, zone, port=None, server=None):
        self.origin = self.use(Origin())
        self.dns = self.use(DnsStub(zone))
        return self.run_with(policy("*.zone.test", port=port or self.origin.port, route=f"{route}\naddresses = 127.0.0.0/8 ::1", rule="sni = off",
                                    extra=f"[dns]\nserver = {server or self.dns.address}\ntimeout = 2s\n"))

    def run_with(self, text, **how):
        self.proxy = self.exeat(text, **how)
        return self.proxy

    def one(self, client=None):
        self.tunnel(NAME, self.origin.port, client).close()

    def assert_lack_was_said_once(self):
        """In all its life, the end of which its last line does not outlive."""
        self.assertEqual(0, self.proxy.stop())
        self.assertEqual(1, self.proxy.log_text().count(LACK_LINE), self.proxy.log_text())

    # -- picking --

    def test_a_client_keeps_its_source_and_clients_are_spread(self):
        self.start("source = 127.0.0.21 127.0.0.22")
        for _ in range(50):
            self.one("127.0.0.5")
        of_one = self.decided("egress_ip")
        self.assertEqual([of_one[0]] * 50, of_one)
        for last in range(100, 132):
            self.one(f"127.0.0.{last}")
        self.assertEqual({"127.0.0.21", "127.0.0.22"}, set(self.decided("egress_ip")[50:]))
        self.assertEqual(self.decided("egress_ip"), [peer[0] for peer in self.origin.connections], "the record is not what the origin saw")

    def test_round_robin_takes_turns_over_all_workers(self):
        self.start("source = 127.0.0.21 127.0.0.22\npick = round-robin")
        for _ in range(20):
            self.one("127.0.0.5")
        seen = [peer[0] for peer in self.origin.connections]
        self.assertEqual(self.decided("egress_ip"), seen)
        self.assertEqual({"127.0.0.21", "127.0.0.22"}, set(seen))
        self.assertTrue(all(a != b for a, b in zip(seen, seen[1:])), seen)

    def test_every_address_of_a_cidr_is_a_source(self):
        self.start("source = 127.0.0.24/30\npick = round-robin")
        for _ in range(8):
            self.one()
        self.assertEqual([2] * 4, [self.decided("egress_ip").count(f"127.0.0.{last}") for last in range(24, 28)])

    # -- what others see --

    def test_a_mapped_source_is_known_by_its_public_address(self):
        self.start("source = 127.0.0.21=203.0.113.17")
        self.one()
        record = self.proxy.wait_decision(verdict="allow")
        close = self.proxy.wait_close(record["id"])
        self.assertEqual([(record["egress_ip"], record["egress_port"])], self.origin.connections)
        for found in (record, close):
            self.assertEqual(("nat", "127.0.0.21", "203.0.113.17"), (found["route"], found["egress_ip"], found["egress_public_ip"]))
        ran = subprocess.run([EXEAT, "ranges", "-c", str(self.proxy.config)], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(0, ran.returncode, ran.stderr)
        self.assertIn("203.0.113.17", ran.stdout)
        self.assertNotIn("127.0.0.21", ran.stdout)

    def test_exeat_is_not_reached_by_its_own_public_address(self):
        name = f"self.{NAME}"
        (self.directory / "hosts").write_text(f"203.0.113.17 {name}\n")
        port = self.use(HeldPort("127.0.0.1")).number  # the rule and the listener have to name the same one
        self.run_with(policy(name, port=port, hosts=self.directory / "hosts", rule="sni = off",
                             route="source = 127.0.0.21=203.0.113.17\naddresses = any"), listen=f"127.0.0.1:{port}")
        self.assertEqual((403, "address_forbidden"), self.refusal(name, port))

    # -- what is lacking --

    def test_a_lacking_source_is_skipped_and_said_once(self):
        self.start(f"source = {LACKING} 127.0.0.21\npick = round-robin")
        for _ in range(20):
            self.one()
        self.assertEqual(["127.0.0.21"] * 20, self.decided("egress_ip"))
        self.assertEqual(["127.0.0.21"] * 20, [peer[0] for peer in self.origin.connections])
        self.assert_lack_was_said_once()

    def test_a_client_that_prefers_a_lacking_source_gets_the_other(self):
        self.start(f"source = {LACKING} 127.0.0.21")
        for last in range(100, 116):
            self.one(f"127.0.0.{last}")
        self.assertEqual(["127.0.0.21"] * 16, [peer[0] for peer in self.origin.connections])

    def test_without_its_only_source_a_route_is_unavailable(self):
        other = "other.example.test"
        self.start(f"source = {LACKING}", hosts=f"127.0.0.1 {NAME} {other}", extra=f"""
[route spare]
source = 127.0.0.21
addresses = 127.0.0.0/8
[rule spare]
to = {other}
port = 1-65535
sni = off
route = spare
""")
        for _ in range(3):
            self.assertEqual((502, "route_unavailable"), self.refusal(NAME, self.origin.port))
        self.tunnel(other, self.origin.port)
        self.assertEqual(["127.0.0.21"], [peer[0] for peer in self.origin.connections], "it left by another address")
        self.assert_lack_was_said_once()

    def test_without_its_source_a_route_asks_no_resolver(self):
        own = self.use(DnsStub({"x.zone.test": {"A": ["127.0.0.1"]}}))
        self.start_with_dns(f"source = {LACKING}\nresolver = {own.address}", {"x.zone.test": {"A": ["127.0.0.1"]}})
        self.assertEqual((502, "route_unavailable"), self.refusal("x.zone.test", self.origin.port))
        self.assertEqual(([], [], []), (own.questions, self.dns.questions, self.origin.connections))

    # -- families --

    def test_a_family_without_a_source_is_neither_asked_nor_dialled(self):
        self.start_with_dns("source = 127.0.0.21", {"both.zone.test": {"A": ["127.0.0.1"], "AAAA": ["::1"]}, "six.zone.test": {"AAAA": ["::1"]}})
        self.tunnel("both.zone.test", self.origin.port)
        self.assertEqual(502, self.refusal("six.zone.test", self.origin.port)[0])
        self.assertEqual({("both.zone.test", "A"), ("six.zone.test", "A")}, {question[:2] for question in self.dns.questions})

    def test_a_name_of_a_family_without_a_source_is_refused_for_the_route(self):
        self.start_with_dns("source = 127.0.0.21", {"six.zone.test": {"AAAA": ["::1"]}})
        self.assertEqual((502, "route_unavailable"), self.refusal("six.zone.test", self.origin.port))

    def test_a_name_that_does_not_exist_is_no_fault_of_the_route(self):
        self.start_with_dns("source = 127.0.0.21", {})
        self.assertEqual((502, "dns_failed"), self.refusal("missing.zone.test", self.origin.port))

    def test_the_hosts_file_gives_no_family_that_the_route_lacks(self):
        self.start("source = 127.0.0.21", hosts=f"::1 {NAME}")
        self.assertEqual((502, "route_unavailable"), self.refusal(NAME, self.origin.port))

    def test_a_literal_of_a_family_that_the_route_lacks(self):
        need_ipv6(self)
        six = self.use(Origin("::1"))
        self.run_with(policy("::1", port=six.port, rule="sni = off", route="source = 127.0.0.21\naddresses = ::1"))
        self.assertEqual((502, "route_unavailable"), self.refusal("[::1]", six.port))
        self.assertEqual([], six.connections)

    def test_a_resolver_of_a_family_that_the_route_lacks_is_not_replaced(self):
        self.start_with_dns("source = 127.0.0.21\nresolver = [::1]:53", {"x.zone.test": {"A": ["127.0.0.1"]}})
        self.assertEqual((502, "route_unavailable"), self.refusal("x.zone.test", self.origin.port))
        self.assertEqual([], self.dns.questions)

    # -- happy eyeballs --

    def reach_past_ipv6(self, port):
        """The origin on 127.0.0.1 is reached though ::1 comes first; returns how long that took."""
        four = self.use(Origin("127.0.0.1", port))
        self.start_with_dns("", {"x.zone.test": {"A": ["127.0.0.1"], "AAAA": ["::1"]}}, port=port)
        began = time.monotonic()
        self.tunnel("x.zone.test", port)
        took = time.monotonic() - began
        self.assertEqual(1, len(four.connections))
        self.assertEqual({"A", "AAAA"}, {question[1] for question in self.dns.questions})
        self.assertEqual(["127.0.0.1"], self.decided("upstream_ip"))
        return took

    def test_an_ipv6_address_that_refuses_costs_nothing(self):
        need_ipv6(self)
        port = self.use(HeldPort("::1", "127.0.0.1")).number
        self.assertLess(self.reach_past_ipv6(port), 5)

    def test_an_ipv6_address_that_is_silent_costs_a_moment(self):
        need_ipv6(self)
        port = self.use(HeldPort("::1", "127.0.0.1")).number
        stay_silent(self, "::1", port)
        took = self.reach_past_ipv6(port)
        self.assertGreater(took, 0.1, "the silent address was not tried first")
        self.assertLess(took, 5)

    def test_an_ipv6_address_that_is_unreachable_costs_nothing(self):
        port = self.use(Origin()).port
        # A link-local address without its link can be dialled by nobody.
        (self.directory / "hosts").write_text(f"fe80::1 {NAME}\n127.0.0.1 {NAME}\n")
        self.run_with(policy(NAME, port=port, hosts=self.directory / "hosts", route="addresses = any", rule="sni = off"))
        self.tunnel(NAME, port)
        self.assertEqual(["127.0.0.1"], self.decided("upstream_ip"))

    def test_when_every_address_refuses_the_client_is_told(self):
        need_ipv6(self)
        port = self.use(HeldPort("::1", "127.0.0.1")).number
        self.start_with_dns("", {"x.zone.test": {"A": ["127.0.0.1"], "AAAA": ["::1"]}}, port=port)
        self.assertEqual((502, "connect_failed"), self.refusal("x.zone.test", port))

    # -- both families --

    def test_ipv6_from_end_to_end(self):
        need_ipv6(self)
        six = self.use(Origin("::1"))
        self.run_with(policy("::1", port=six.port, rule="sni = off", route="source = ::1\naddresses = ::1"), listen="[::1]:0")
        self.tunnel("[::1]", six.port)
        record = self.proxy.wait_decision(verdict="allow")
        self.assertEqual(["::1"] * 4, [record[key] for key in ("client_ip", "host", "egress_ip", "upstream_ip")])
        self.assertEqual([record["egress_port"]], [peer[1] for peer in six.connections])

    def test_clients_of_one_family_reach_origins_of_the_other(self):
        need_ipv6(self)
        six, four = (self.use(origin) for origin in origins_on_one_port("::1", "127.0.0.1"))
        port = six.port
        (self.directory / "hosts").write_text("127.0.0.1 four.example.test\n::1 six.example.test\n")
        self.run_with(policy("*.example.test", port=port, hosts=self.directory / "hosts", rule="sni = off",
                             route="source = 127.0.0.21 ::1\naddresses = 127.0.0.0/8 ::1"), listen="127.0.0.1:0 [::1]:0")
        doors = [line.split()[1].rsplit(":", 1) for line in self.proxy.ports_path.read_text().splitlines()]
        self.assertEqual(["127.0.0.1", "[::1]"], sorted(host for host, _ in doors))
        for host, door in doors:
            self.proxy.host, self.proxy.port = host.strip("[]"), int(door)
            self.tunnel("four.example.test", port)
            self.tunnel("six.example.test", port)
        self.assertEqual((["127.0.0.21"] * 2, ["::1"] * 2), ([peer[0] for peer in four.connections], [peer[0] for peer in six.connections]))
        ways = {(record["client_ip"], record["egress_ip"], record["upstream_ip"]) for record in self.proxy.decisions()}
        self.assertEqual({(client, *way) for client in ("127.0.0.1", "::1") for way in (("127.0.0.21", "127.0.0.1"), ("::1", "::1"))}, ways)


# ---- networks of their own ----

CLONE_NEWNET = 0x40000000
PACKET_OUTGOING = 4
ETH_P_ALL = 3
LIBC = ctypes.CDLL(None, use_errno=True)


def system(call, *arguments):
    if call(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


class Namespace:
    """A network of its own. Only descriptors, sockets and processes hold it: it has no name or mount that could be left behind."""

    def __init__(self):
        home = self.current()
        try:
            system(LIBC.unshare, CLONE_NEWNET)
            self.descriptor = self.current()
            system(LIBC.setns, home, CLONE_NEWNET)
        finally:
            os.close(home)
        with self.inside():
            for which in ("all", "default"):  # answers may come by another way than the one that routing likes best
                pathlib.Path(f"/proc/sys/net/ipv4/conf/{which}/rp_filter").write_text("0")
            ip("link", "set", "lo", "up")

    @staticmethod
    def current():
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    @property
    def path(self):
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    @contextlib.contextmanager
    def inside(self):
        """The sockets and processes that this thread makes meanwhile belong to that network."""
        before = self.current()
        try:
            system(LIBC.setns, self.descriptor, CLONE_NEWNET)
            yield self
        finally:
            system(LIBC.setns, before, CLONE_NEWNET)
            os.close(before)

    def close(self):
        os.close(self.descriptor)


def ip(*words):
    ran = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=PATIENCE)
    if ran.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {ran.stderr.strip()}")


def why_no_namespaces():
    """Why the stories below cannot be told here; None when they can."""
    if os.geteuid() != 0:
        return "SKIPPED: network namespaces need root"
    if shutil.which("ip") is None:
        return "SKIPPED: `ip` (iproute2) is not installed"
    try:
        namespace = Namespace()
        with contextlib.closing(namespace), namespace.inside():
            ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
    except OSError as error:
        return f"SKIPPED: no network namespace can be made here ({error})"
    return None


class Tap:
    """Every IPv4 packet that comes in by an interface, as (source, destination); the kernel keeps them until they are looked at."""

    def __init__(self, interface):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.socket.bind((interface, ETH_P_ALL))
        self.socket.setblocking(False)
        self.packets = []

    def seen(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, address = self.socket.recvfrom(65536)
                if address[2] != PACKET_OUTGOING and address[1] == 0x0800:
                    self.packets.append(tuple(str(ipaddress.ip_address(part)) for part in struct.unpack("4s4s", packet[12:20])))
        return self.packets

    def close(self):
        self.socket.close()


class Resolver(DnsStub):
    """Notes also who asked."""

    def __init__(self, zone, address):
        self.peers = set()
        super().__init__(zone, address)

    def answer_udp(self, packet, peer):
        self.peers.add(peer[0])
        super().answer_udp(packet, peer)


PUBLIC = "1.2.3.4"     # routed nowhere but between these namespaces
PRIVATE = "10.1.2.3"
NAT = ("203.0.113.16", "203.0.113.17")
NAT_ELSE = "203.0.113.18"  # an address of the same host that is not the route's
VPN = "10.99.0.2"


class Networks(RouteStory):
    """
        internet 203.0.113.1 ---- nat0 203.0.113.16-18 [ the box with exeat ] vpn0 10.99.0.2 ---- 10.99.0.1 office

    Both ends have an origin on PUBLIC and one on PRIVATE, at the same port, and the box would rather send everything by nat: what goes
    astray arrives, and is seen. The test's own thread lives in the box."""

    def setUp(self):
        super().setUp()
        if why := why_no_namespaces():
            self.skipTest(why)
        self.box, self.internet, self.office = (self.use(Namespace()) for _ in range(3))
        self.enterContext(self.box.inside())
        self.lay("nat0", [*NAT, NAT_ELSE], self.internet, "203.0.113.1", [PUBLIC, PRIVATE, "203.0.113.53"])
        self.lay("vpn0", [VPN], self.office, "10.99.0.1", [PUBLIC, PRIVATE, "10.99.0.53", "10.98.0.53"])
        ip("route", "add", "default", "via", "203.0.113.1")
        ip("route", "add", "10.0.0.0/8", "via", "203.0.113.1", "metric", "10")
        self.route_by_vpn()
        with self.internet.inside():
            ip("route", "add", "default", "via", NAT[0])
            self.nat_tap = self.use(Tap("nat0"))
            self.nat_public, self.nat_private, self.nat_dns = self.people("203.0.113.53")
        with self.office.inside():
            ip("route", "add", "default", "via", VPN)
            self.vpn_tap = self.use(Tap("vpn0"))
            self.vpn_public, self.vpn_private, self.vpn_dns = self.people("10.99.0.53", self.port)

    def lay(self, interface, here, there, gateway, others):
        """A cable from the box to another namespace, where it has the same name."""
        ip("link", "add", interface, "type", "veth", "peer", "name", interface, "netns", there.path)
        for address in here:
            ip("address", "add", f"{address}/24", "dev", interface)
        ip("link", "set", interface, "up")
        with there.inside():
            ip("address", "add", f"{gateway}/24", "dev", interface)
            ip("link", "set", interface, "up")
            for address in others:
                ip("address", "add", f"{address}/32", "dev", "lo")

    @staticmethod
    def route_by_vpn():
        """The way by vpn that nobody takes unless made to."""
        ip("route", "add", "10.0.0.0/8", "via", "10.99.0.1", "dev", "vpn0", "metric", "100")

    def people(self, resolver, port=0):
        """Two origins and a resolver in the present namespace; any name is known to either resolver."""
        public = self.use(Origin(PUBLIC, port))
        self.port = public.port
        private = self.use(Origin(PRIVATE, self.port))
        return public, private, self.use(Resolver({
            "site.open.test": {"A": [PUBLIC]},
            "inside.open.test": {"A": [PRIVATE]},
            "mixed.open.test": {"A": [PRIVATE, PUBLIC]},
            "metadata.open.test": {"A": ["169.254.169.254"]},
            "git.corp.test": {"A": [PRIVATE]},
            "later.corp.test": {"A": [PRIVATE]},
            "big.corp.test": {"A": [PRIVATE], "truncate": True},
            "outside.corp.test": {"A": [PUBLIC]},
            "metadata.corp.test": {"A": ["169.254.169.254"]},
        }, resolver))

    def start(self, vpn):
        """The route nat is pinned; `vpn` is the text of the other one."""
        rules = "".join(f"[rule {route}]\nto = {to}\nport = {self.port}\nsni = off\nroute = {route}\n"
                        for route, to in (("nat", f"*.open.test {PUBLIC}"), ("vpn", f"*.corp.test {PRIVATE}")))
        self.proxy = self.exeat(f"""
[clients local]
from = 127.0.0.0/8
[route nat]
source = {NAT[0]}/31
[route vpn]
source = {VPN}
addresses = 10.0.0.0/8
{vpn}
{rules}
[limits]
connect_timeout = 2s
[dns]
server = {self.nat_dns.address}
timeout = 2s
""")

    def start_with_interface(self):
        self.start(f"interface = vpn0\nresolver = {self.vpn_dns.address}")

    def assert_nothing_private_by_nat(self):
        """Packets keep their order on a cable: what left before this tunnel has been seen when the tunnel stands."""
        before = len(self.nat_public.connections)
        self.tunnel("site.open.test", self.port)
        self.assertEqual(before + 1, len(self.nat_public.connections))
        self.assertEqual([], [packet for packet in self.nat_tap.seen() if packet[0] not in NAT or packet[1].startswith("10.")])
        self.assertEqual([], self.nat_private.connections)
        self.assertEqual([], [question for question in self.nat_dns.questions if "corp" in question[0]])

    def assert_left_to_itself_it_goes_by_nat(self):
        """Without this the stories would prove nothing."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((VPN, 0))
            sock.sendto(b"stray", (PRIVATE, self.port))
        wait_until("the stray packet", lambda: (VPN, PRIVATE) in self.nat_tap.seen())
        self.assertEqual([], self.vpn_tap.seen())
        self.nat_tap.packets.clear()

    # -- which way --

    def test_an_interface_holds_dials_and_questions(self):
        self.assert_left_to_itself_it_goes_by_nat()
        self.start_with_interface()
        self.tunnel("git.corp.test", self.port)
        self.tunnel("big.corp.test", self.port)
        self.assertIn(("big.corp.test", "A", "tcp"), self.vpn_dns.questions)
        self.tunnel(PRIVATE, self.port)
        self.assertEqual([VPN] * 3, [peer[0] for peer in self.vpn_private.connections])
        self.assertEqual({VPN}, self.vpn_dns.peers)
        self.assert_nothing_private_by_nat()
        self.assertEqual({VPN}, {packet[0] for packet in self.vpn_tap.seen()})

    def test_a_mark_holds_dials_and_questions(self):
        self.assert_left_to_itself_it_goes_by_nat()
        ip("rule", "add", "fwmark", "0x2", "lookup", "100")
        ip("route", "add", "default", "via", "10.99.0.1", "dev", "vpn0", "table", "100")
        with self.office.inside():
            dns = self.use(Resolver(self.vpn_dns.zone, "10.98.0.53"))
        self.start(f"mark = 0x2\nresolver = {dns.address}")
        self.tunnel("git.corp.test", self.port)
        self.tunnel("big.corp.test", self.port)
        self.assertIn(("big.corp.test", "A", "tcp"), dns.questions)
        self.tunnel(PRIVATE, self.port)
        self.assertEqual([VPN] * 3, [peer[0] for peer in self.vpn_private.connections])
        self.assertEqual({VPN}, dns.peers)
        self.assert_nothing_private_by_nat()

    def test_each_name_is_asked_only_where_its_route_asks(self):
        self.start_with_interface()
        self.tunnel("git.corp.test", self.port)
        self.tunnel("site.open.test", self.port)
        self.assertEqual({"git.corp.test"}, {question[0] for question in self.vpn_dns.questions})
        self.assertEqual({"site.open.test"}, {question[0] for question in self.nat_dns.questions})
        self.assertEqual({VPN}, self.vpn_dns.peers)
        ways = {record["host"]: (record["route"], record["egress_ip"] in NAT, record["upstream_ip"]) for record in self.proxy.decisions()}
        self.assertEqual({"git.corp.test": ("vpn", False, PRIVATE), "site.open.test": ("nat", True, PUBLIC)}, ways)

    def test_a_silent_resolver_is_not_replaced_by_another(self):
        self.start_with_interface()
        self.vpn_dns.zone["git.corp.test"] = {"drop": True}
        self.vpn_dns.zone["later.corp.test"] = {"rcode": 2}
        self.assertEqual((504, "dns_timeout"), self.refusal("git.corp.test", self.port))
        self.assertEqual((502, "dns_failed"), self.refusal("later.corp.test", self.port))
        self.assertEqual({"git.corp.test", "later.corp.test"}, {question[0] for question in self.vpn_dns.questions})
        self.assert_nothing_private_by_nat()

    # -- the way is gone --

    def test_a_link_that_is_down_is_not_gone_round(self):
        self.start_with_interface()
        held = self.tunnel("git.corp.test", self.port)
        ip("link", "set", "vpn0", "down")
        for host in (PRIVATE, "git.corp.test"):  # the name may be remembered, and is dialled then
            with self.subTest(host):
                self.assertIn(self.refusal(host, self.port), [(502, "route_unavailable"), (502, "connect_failed")])
        self.assertEqual((502, "route_unavailable"), self.refusal("later.corp.test", self.port))
        held.sendall(b"while it is down")
        self.assert_nothing_private_by_nat()
        self.assertEqual({("git.corp.test", "A", "udp")}, set(self.vpn_dns.questions))
        ip("link", "set", "vpn0", "up")
        self.route_by_vpn()
        self.assertEqual(b"while it is down", receive_exactly(held, 16), "an open tunnel stays open")
        self.tunnel("later.corp.test", self.port)
        self.assert_nothing_private_by_nat()

    def test_an_interface_that_is_gone_is_not_gone_round(self):
        self.start_with_interface()
        self.tunnel("git.corp.test", self.port)
        ip("link", "delete", "vpn0")
        self.assertEqual((502, "route_unavailable"), self.refusal(PRIVATE, self.port))
        self.assertEqual((502, "route_unavailable"), self.refusal("later.corp.test", self.port))
        self.assert_nothing_private_by_nat()

    def test_an_interface_that_is_gone_is_not_replaced_when_its_address_lives_on(self):
        self.start_with_interface()
        ip("link", "delete", "vpn0")
        ip("address", "add", f"{VPN}/32", "dev", "lo")
        self.assertEqual((502, "route_unavailable"), self.refusal(PRIVATE, self.port))
        self.assert_nothing_private_by_nat()

    def test_a_source_that_is_lost_is_not_replaced(self):
        self.start_with_interface()
        ip("address", "delete", f"{VPN}/24", "dev", "vpn0")
        ip("address", "add", "10.99.0.3/24", "dev", "vpn0")
        self.route_by_vpn()
        self.assertEqual((502, "route_unavailable"), self.refusal(PRIVATE, self.port))
        self.assertEqual(([], []), (self.vpn_private.connections, self.vpn_dns.questions))
        self.assert_nothing_private_by_nat()

    # -- where each may go --

    def test_each_route_accepts_its_own_addresses_alone(self):
        self.start_with_interface()
        for host in ("inside.open.test", "metadata.open.test", "outside.corp.test", "metadata.corp.test"):
            with self.subTest(host):
                self.assertEqual((403, "address_forbidden"), self.refusal(host, self.port))
        self.tunnel("mixed.open.test", self.port)
        self.tunnel("git.corp.test", self.port)
        self.assertEqual([PUBLIC, PRIVATE], self.decided("upstream_ip"))
        self.assert_nothing_private_by_nat()
        self.assertEqual({PRIVATE, "10.99.0.53"}, {packet[1] for packet in self.vpn_tap.seen()})
        self.assertEqual([], self.vpn_public.connections)

    def test_nat_leaves_from_its_range_alone(self):
        self.start_with_interface()
        for last in range(100, 116):
            self.tunnel("site.open.test", self.port, f"127.0.0.{last}")
        self.assertEqual(set(NAT), {peer[0] for peer in self.nat_public.connections})

    # -- ports --

    def test_when_a_source_has_no_port_left_the_next_one_is_used(self):
        self.start_with_interface()
        pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40007")
        # One client, sticky; its own ports are from outside the range, which has none to spare. A literal needs no socket for DNS.
        held = [self.tunnel(PUBLIC, self.port, "127.0.0.5", 20000 + i) for i in range(16)]
        sources = self.decided("egress_ip")
        self.assertEqual(set(NAT), set(sources))
        self.assertEqual([sources[0]] * 8 + [sources[-1]] * 8, sources)
        with self.dial("127.0.0.5", 20100) as sock:
            status, line = self.ask(sock, PUBLIC, self.port)
        self.assertEqual(502, status, line)
        self.assertIn("(route_unavailable, id ", line)
        self.assertEqual(set(NAT), {packet[0] for packet in self.nat_tap.seen()}, "it left by another address of the host")
        for sock in held:  # the tunnels that stand know nothing of it
            self.assert_echo(sock)
        self.free_its_port(held[0])
        self.tunnel(PUBLIC, self.port, "127.0.0.5", 20101)
        self.assertEqual(sources[0], self.decided("egress_ip")[-1])

    def free_its_port(self, first):
        """The origin ends the first tunnel, so that its end keeps the TIME_WAIT and the box has the port back."""
        record = self.proxy.decisions()[0]
        egress = record["egress_ip"], record["egress_port"]
        with self.nat_public.lock:
            next(sock for sock in self.nat_public.open if sock.getpeername() == egress).shutdown(socket.SHUT_RDWR)
        self.assertEqual(b"", first.recv(1))
        first.close()
        self.assertEqual("origin_eof", self.proxy.wait_close(record["id"])["end"])


if __name__ == "__main__":
    unittest.main()
