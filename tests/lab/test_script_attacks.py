"""Attacks on what contrib/appliance's script puts up: packets with lent sources, errors as a way out, routers among the agents, commands that were
killed half way."""

import os
import pathlib
import re
import signal
import socket
import struct

import telling
from harness import PATIENCE, wait_until
from network import GATEWAY, LISTEN_PORT, SCRIPT, VPN, VPN_GATEWAY, cable, family_of, nft
from script import AGENT, ORIGIN, OUTSIDE, ScriptTest, ask_all, ask_tcp, ask_udp
from telling import in_each_mode
from test_script_rules import OneLeg
from test_script_state import CORPORATE, EVERYTHING, StateTest

setUpModule = telling.setUpModule

SECRET = b"SECRET" * 20
NOBODY = ("10.20.0.99", "2001:db8:20::99")           # an agent's address that does not answer
ELSEWHERE = ("203.0.113.99", "2001:db8:113::99")     # in the internet, too
FRAGMENT, OPTIONS, ROUTING, UDP, ICMP, ICMP6, TCP = 44, 0, 43, socket.IPPROTO_UDP, socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6, socket.IPPROTO_TCP
NS, NA, RA = 135, 136, 134

# ---- packets, by hand ----


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if family_of(address) == 6 else socket.AF_INET, address)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def packet(source, target, protocol, payload, hops=64, fragment=0):
    """Of the family of its addresses. `fragment` is the field of IPv4."""
    if family_of(source) == 6:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + packed(source) + packed(target) + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 77, fragment, hops, protocol, 0) + packed(source) + packed(target)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def summed(source, target, protocol, segment, at):
    """The segment with its checksum."""
    pseudo = packed(source) + packed(target) + struct.pack("!II", len(segment), protocol) if protocol != ICMP else b""
    return segment[:at] + struct.pack("!H", checksum(pseudo + segment)) + segment[at + 2:]


def udp(source, target, source_port, port):
    return summed(source, target, UDP, struct.pack("!4H", source_port, port, 8 + len(SECRET), 0) + SECRET, 6)


def syn(source, target, port):
    return summed(source, target, TCP, struct.pack("!HHIIBBHHH", 40000, port, 7, 0, 5 << 4, 2, 1024, 0, 0), 16)


def icmp(source, target, kind, code, body):
    protocol = ICMP6 if family_of(source) == 6 else ICMP
    return summed(source, target, protocol, struct.pack("!BBH", kind, code, 0) + body, 2)


def neighbour(source, target, kind, about, more=SECRET):
    """A solicitation or an advertisement."""
    return packet(source, target, ICMP6, icmp(source, target, kind, 0, bytes(4) + packed(about) + more), hops=255)


def too_big(source, target):
    """The error that says so, with whatever else in it."""
    kind, code, body = (2, 0, struct.pack("!I", 1280)) if family_of(source) == 6 else (3, 4, struct.pack("!I", 600))
    return packet(source, target, ICMP6 if family_of(source) == 6 else ICMP, icmp(source, target, kind, code, body + SECRET))


def hardware(namespace, interface):
    return bytes.fromhex(re.search(r"link/ether (\S+)", namespace.ip("link", "show", interface).stdout).group(1).replace(":", ""))


def send(sender, interface, target, *packets):
    """Sends them as they are, in frames to that hardware address."""
    with sender.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((interface, 0))
        for data in packets:
            sock.send(target + hardware(sender, interface) + (b"\x86\xdd" if data[0] >> 4 == 6 else b"\x08\x00") + data)


class AttackTest(ScriptTest):
    def setUp(self):
        super().setUp()
        nft(self.internet, """
            table inet heard {
                counter errors {}
                chain arrivals {
                    type filter hook prerouting priority raw;
                    icmp type { destination-unreachable, time-exceeded, parameter-problem } counter name errors
                    icmpv6 type { destination-unreachable, time-exceeded, parameter-problem } counter name errors
                }
            }""")

    def errors(self):
        """How many ICMP errors have reached the internet."""
        return int(re.search(r"packets (\d+)", self.internet.run("nft", "list", "counter", "inet", "heard", "errors").stdout).group(1))

    def attack(self, *packets):
        """From the agent to the appliance, past the agent's own kernel."""
        send(self.agent, "eth0", hardware(self.appliance, "eth1"), *packets)

    def link_local(self, namespace, interface):
        return re.search(r"inet6 (fe80:\S+)/64", namespace.ip("-6", "address", "show", "dev", interface).stdout).group(1)

    def lay_vpn(self):
        """A company behind vpn0, whose hosts answer on port 22, and witness what comes from agents."""
        self.inside = self.namespace("inside")
        cable(self.appliance, "vpn0", self.inside, "eth0")
        self.appliance.add("vpn0", *VPN)
        self.inside.add("eth0", *VPN_GATEWAY)
        self.inside.own(*CORPORATE)
        self.inside.default(*VPN)
        wait_until("the vpn is up", lambda: self.is_settled(self.appliance) and self.is_settled(self.inside))
        for address, gateway, outside in zip(CORPORATE, VPN_GATEWAY, OUTSIDE):
            self.appliance.ip("route", "add", address, "via", gateway)
            self.internet.ip("route", "add", address, "via", outside)
        self.serve(self.inside, 22)
        nft(self.inside, f"""
            table inet heard {{
                counter agents {{}}
                chain arrivals {{
                    type filter hook prerouting priority raw;
                    ip saddr {AGENT[0]} counter name agents
                    ip6 saddr {AGENT[1]} counter name agents
                }}
            }}""")

    def heard_inside(self):
        return int(re.search(r"packets (\d+)", self.inside.run("nft", "list", "counter", "inet", "heard", "agents").stdout).group(1))


class Errors:
    """This host's ICMP errors quote what an agent sent, and go to whomever that named as its sender."""

    DROPPED = {"foreign": 5, "reported": 1}

    def test_a_lent_source_hears_no_error(self):
        self.stand_in()
        self.up("PING=yes\n")
        four, six = ORIGIN
        packets = {
            "DHCP": packet(four, GATEWAY[0], UDP, udp(four, GATEWAY[0], 68, 67)),
            "DHCP to the outer address": packet(four, OUTSIDE[0], UDP, udp(four, OUTSIDE[0], 68, 67)),
            "DHCPv6": packet(six, GATEWAY[1], UDP, udp(six, GATEWAY[1], 546, 547)),
            "an advertisement to elsewhere": neighbour(six, ELSEWHERE[1], NA, six),
            "a solicitation to elsewhere": neighbour(six, ELSEWHERE[1], NS, GATEWAY[1]),
            # Unknown, and to be answered: the kernel does so before any rule.
            "a hop-by-hop option": packet(six, GATEWAY[1], OPTIONS, bytes([UDP, 0, 0xc7, 4, 0, 0, 0, 0]) + udp(six, GATEWAY[1], 9, 9)),
        }
        for name, data in packets.items():
            with self.subTest(name):
                before = self.errors()
                self.attack(data)
                self.assertIn(" meant ", ask_tcp(self.appliance, four, 443), "what follows it arrives")
                self.assertEqual(before, self.errors())
        self.assertEqual(self.DROPPED, self.counts())

    def test_a_lent_source_hears_of_no_fragments(self):
        """Of a packet of which no more comes; fragments are put together before any rule."""
        self.sysctl(ipv4__ipfrag_time=1, netfilter__nf_conntrack_frag6_timeout=1, ipv6__ip6frag_time=1)
        self.up()
        four, six = ORIGIN
        more = 0x2000  # fragments
        self.attack(packet(four, GATEWAY[0], UDP, udp(four, GATEWAY[0], 9, 9), fragment=more),
                    packet(six, GATEWAY[1], FRAGMENT, struct.pack("!BBHI", UDP, 0, 1, 77) + udp(six, GATEWAY[1], 9, 9)))
        wait_until("the kernel gives up", lambda: self.timeouts() == (1, 1))
        self.assertIn(" meant ", ask_tcp(self.appliance, four, 443), "what follows it arrives")
        self.assertEqual(0, self.errors())

    def timeouts(self):
        with self.appliance.inside():
            names, values = [line.split() for line in pathlib.Path("/proc/thread-self/net/snmp").read_text().splitlines()[:2]]
            six = dict(line.split() for line in pathlib.Path("/proc/thread-self/net/snmp6").read_text().splitlines())
        return int(values[names.index("ReasmTimeout")]), int(six["Ip6ReasmTimeout"])

    def test_a_lent_target_does_not_hear_that_the_agent_is_silent(self):
        self.stand_in()
        self.up()
        with self.appliance.inside():
            for protocol in ("ipv4", "ipv6"):
                knobs = pathlib.Path(f"/proc/sys/net/{protocol}/neigh/eth1")
                (knobs / "mcast_solicit").write_text("1")
                (knobs / "retrans_time_ms").write_text("20")
        for nobody, origin in zip(NOBODY, ORIGIN):
            self.attack(packet(nobody, origin, TCP, syn(nobody, origin, 443)))
            wait_until("the kernel gives up", lambda: "FAILED" in self.appliance.ip("neighbour", "show", nobody).stdout)
            self.assertIn(" meant ", ask_tcp(self.appliance, origin, 443), "what follows it arrives")
        self.assertEqual(0, self.errors())

    def test_agents_and_this_host_hear_errors(self):
        self.up()
        for gateway, ports in zip(GATEWAY, ((67, 68), (547, 546))):
            self.assertEqual("refused", ask_udp(self.agent, gateway, *ports))
        for loopback in ("127.0.0.1", "::1"):
            self.assertEqual("refused", ask_udp(self.appliance, loopback, 9))


class Neighbours(AttackTest):
    def test_who_has_no_address_of_an_agent_finds_the_appliance(self):
        """By link-local addresses, from and to either, as when the kernel looks whether a neighbour is still there."""
        self.up()
        nft(self.agent, f"""
            table inet heard {{
                counter answers {{}}
                chain arrivals {{ type filter hook prerouting priority raw; icmpv6 type nd-neighbor-advert counter name answers; }}
            }}""")
        from_link, to_link = self.link_local(self.agent, "eth0"), self.link_local(self.appliance, "eth1")
        pairs = [(from_link, to_link), (from_link, GATEWAY[1]), (AGENT[1], to_link), (AGENT[1], GATEWAY[1])]
        self.attack(*(neighbour(source, target, NS, target, b"") for source, target in pairs))
        counter = ("nft", "list", "counter", "inet", "heard", "answers")
        wait_until("an answer to each", lambda: f"packets {len(pairs)} " in self.agent.run(*counter).stdout)


    def test_what_is_for_elsewhere_is_nothing_between_neighbours(self):
        self.up()
        self.attack(neighbour(AGENT[1], ELSEWHERE[1], NA, AGENT[1]))
        wait_until("it is dropped", lambda: self.counts() == {"other": 1})


class Resolvers:
    """Where DNS_SERVERS are forwarded to, nothing else is."""

    def setUp(self):
        super().setUp()
        self.lay_vpn()

    def test_the_way_to_resolvers_is_no_way_between_others(self):
        self.up(f'DNS_SERVERS="{" ".join(ORIGIN)}"\n')
        self.assertEqual(["no answer"] * 2, ask_all(*((ask_tcp, self.internet, address, 22) for address in CORPORATE)))
        self.assertEqual(["no answer"] * 2, ask_all(*((ask_tcp, self.inside, address, 80) for address in ORIGIN)))
        for origin in ORIGIN:
            self.assertEqual("anybody?", ask_udp(self.agent, origin, 53, patience=PATIENCE))

    def test_a_question_is_not_sent_on_by_the_resolver(self):
        """By a routing header, which names the next one."""
        self.up(f'DNS_SERVERS="{" ".join(ORIGIN)}"\n')
        for header in (2, 4):
            routing = bytes([UDP, 2, header, 1]) + bytes(4) + packed(ELSEWHERE[1])
            self.attack(packet(AGENT[1], ORIGIN[1], ROUTING, routing + udp(AGENT[1], ELSEWHERE[1], 9, 53)))
        wait_until("both are dropped", lambda: self.counts() == {"forwarded": 2})

    def test_networks_of_agents_that_are_wider_than_the_link_open_no_other(self):
        self.configure(f'DNS_SERVERS="{" ".join(ORIGIN)}"\n')
        self.conf.write_text(re.sub(r"AGENTS=.*", 'AGENTS="10.0.0.0/8 ::/0"', self.conf.read_text()))
        self.addCleanup(self.script, "down")
        self.script("up")
        for agent, company in zip(AGENT, CORPORATE):
            self.attack(too_big(agent, company))
            self.assertIn(" meant ", ask_tcp(self.appliance, company, 22), "what follows it arrives")
        self.assertEqual(0, self.heard_inside())
        self.appliance.run("nft", "flush", "ruleset")
        for company, origin in zip(CORPORATE, ORIGIN):
            self.assertNotIn(" meant ", ask_tcp(self.agent, company, 22))
            self.assertEqual("anybody?", ask_udp(self.agent, origin, 53, patience=PATIENCE))
        self.assertEqual(0, self.heard_inside())


class Advertisements(AttackTest):
    """A router among the agents."""

    def advertise(self):
        """Router and prefix, to all."""
        source = self.link_local(self.agent, "eth0")
        prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xc0, 9000, 9000, 0) + packed("2001:db8:bad::")
        data = icmp(source, "ff02::1", RA, 0, struct.pack("!BBHII", 64, 0, 9000, 0, 0) + prefix)
        send(self.agent, "eth0", bytes.fromhex("333300000001"), packet(source, "ff02::1", ICMP6, data, hops=255))

    def routes(self):
        return self.appliance.ip("-6", "route", "show", "proto", "ra").stdout

    def accepted(self):
        return self.appliance.run("cat", "/proc/sys/net/ipv6/conf/eth1/accept_ra").stdout.strip()

    def test_what_it_said_before_is_forgotten_and_it_is_not_heard_when_rules_are_gone(self):
        self.advertise()
        wait_until("it is believed, without the script", self.routes)
        self.up()
        self.assertEqual("", self.routes())
        self.assertEqual("0", self.accepted())
        self.appliance.run("nft", "flush", "ruleset")
        self.advertise()
        for gateway in GATEWAY:
            self.assertEqual("refused", ask_udp(self.agent, gateway, 9), "what follows it arrives")
        self.assertEqual("", self.routes())
        self.script("down")
        self.assertEqual("1", self.accepted())

    def test_the_self_test_sees_it(self):
        self.up()
        self.sysctl(ipv6__conf__eth1__accept_ra=1)
        self.appliance.ip("-6", "route", "add", "2001:db8:bad::/48", "via", "fe80::99", "dev", "eth1", "proto", "ra")
        said = self.script("check", check=False).stdout
        for part in ("sysctl: net/ipv6/conf/eth1/accept_ra 0", "IPv6 routes that a router advertised on eth1"):
            self.assertRegex(said, f"(?m)^missing  .*{part}")
        self.script("up")
        self.assertRegex(self.script("check", check=False).stdout, "(?m)^ok       .*no IPv6 routes that a router advertised on eth1")


class Wildcard:
    """One leg: others than agents come in by it, too."""

    ONE_LEG, lay = True, OneLeg.lay

    def test_only_agents_are_intercepted(self):
        self.stand_in()
        self.up()
        for elsewhere, outside in zip(ELSEWHERE, OUTSIDE):
            self.internet.ip("route", "add", elsewhere, "via", outside)
            self.assertNotIn(" meant ", ask_tcp(self.internet, elsewhere, LISTEN_PORT))
            self.assertNotIn(" meant ", ask_tcp(self.internet, elsewhere, 443))


class Connections:
    def test_a_connection_outlives_up(self):
        self.stand_in()
        self.up()
        for origin in ORIGIN:
            with self.subTest(origin), self.agent.inside(), socket.create_connection((origin, 443), 5) as sock:
                reader = sock.makefile("rb")
                self.assertIn(b" meant ", reader.readline())
                self.configure('PORTS="443 8443"\n' if origin == ORIGIN[0] else "")
                self.script("up")
                sock.sendall(b"!")
                self.assertEqual(b"xxx", reader.read(3))


# ---- an `up` that is killed, and what is lost beside it ----

KILLER = """#!/bin/sh
# Does what the tool does; the command that is meant is the last one: everything in its process group is killed, before it or after it.
name=${0##*/}
PATH=${PATH#*:}
case "$name $*" in
$MEANT)
    echo >>"$COUNT"
    if [ "$(wc -l <"$COUNT")" -eq "$NUMBER" ]; then
        [ "$WHEN" = before ] || "$name" "$@"
        kill -9 0
    fi
    ;;
esac
exec "$name" "$@"
"""


class Killed(StateTest):
    mode = "tproxy"  # which puts up more

    def setUp(self):
        super().setUp()
        self.tools = self.directory / "tools"
        self.tools.mkdir()
        for tool in ("ip", "nft", "sed"):
            (self.tools / tool).write_text(KILLER)
            (self.tools / tool).chmod(0o755)

    def kill(self, meant, number=1, when="after"):
        """Says `up`, which is killed at so many a command that is like that. False: there were not so many."""
        count = self.directory / "count"
        count.write_text("")
        how = {"MEANT": meant, "NUMBER": number, "WHEN": when, "COUNT": count, "PATH": f"{self.tools}:{os.environ['PATH']}"}
        ran = self.appliance.run("env", *(f"{name}={value}" for name, value in how.items()), str(SCRIPT), "up", "-c", str(self.conf),
                                 check=False, start_new_session=True)
        self.assertIn(ran.returncode, (0, -signal.SIGKILL), ran.stderr)
        return ran.returncode != 0

    def tables(self):
        return self.appliance.run("nft", "list", "tables").stdout

    def test_while_it_writes_down_what_the_kernel_holds(self):
        for when in ("before", "after"):
            with self.subTest(when):
                self.up()
                self.appliance.run("nft", "flush", "ruleset")
                self.assertTrue(self.kill("nft -s list table inet exeat_appliance", 3, when))
                self.assertIn("exeat_appliance", self.tables())
                self.appliance.run("nft", "flush", "ruleset")
                self.assertRegex(self.script("check", check=False).stdout, "(?m)^missing  nft: table")
                self.script("up")
                self.assertIn("exeat_appliance", self.tables())

    def test_an_empty_listing_proves_nothing(self):
        self.up()
        listing, = pathlib.Path("/run/exeat-appliance").glob("*/listing")
        listing.write_text("")
        self.appliance.run("nft", "flush", "ruleset")
        self.assertRegex(self.script("check", check=False).stdout, "(?m)^missing  nft: table")
        self.script("up")
        self.assertIn("exeat_appliance", self.tables())

    def test_while_it_forgets_what_is_no_longer_wanted(self):
        before = self.snapshot()
        for number in (1, 2):
            with self.subTest(number):
                self.up(EVERYTHING)
                self.configure()
                self.assertTrue(self.kill("sed 1!G; h; $!d *", number, "before"))
                self.script("down")
                self.assertSame(before, self.snapshot())

    def test_down_takes_away_what_it_put_up(self):
        before = self.snapshot()
        self.configure(EVERYTHING)
        for meant in ("ip * add *", "ip * replace *"):
            number = 1
            while self.kill(meant, number):
                self.script("down")
                with self.subTest(meant, number=number):
                    self.assertSame(before, self.snapshot())
                number += 1
            self.script("down")
            self.assertGreater(number, 5)

    def test_what_could_not_be_put_up_is_not_taken_away(self):
        self.configure("SOURCE_INTERFACE=eth7\nSOURCE_ADDRESSES=203.0.113.16\n")
        self.assertEqual(1, self.script("up", check=False).returncode)
        cable(self.appliance, "eth7", self.inside, "eth7")
        self.appliance.add("eth7", "203.0.113.16/32")
        self.script("down")
        self.assertIn("203.0.113.16", self.appliance.ip("address", "show", "dev", "eth7").stdout)


class Lost(StateTest):
    def test_down_gives_sysctls_back_when_rules_and_routes_are_gone(self):
        before = self.snapshot()
        for more in (EVERYTHING, ""):  # the latter does not want them any more
            with self.subTest(more):
                self.up(EVERYTHING)
                self.appliance.run("nft", "flush", "ruleset")
                for family in ("-4", "-6"):
                    for priority in ("100", "110", "120"):
                        self.appliance.run("ip", family, "rule", "delete", "priority", priority, check=False)
                self.configure(more)
                self.script("up")
                self.script("down")
                self.assertEqual(before["sysctl"], self.snapshot()["sysctl"])

    def test_a_vpn_that_is_not_there_excuses_nothing_else(self):
        """Its name is a part of another."""
        self.configure("VPN_MARK=2\nVPN_INTERFACE=e\nSOURCE_INTERFACE=eth9\nSOURCE_ADDRESSES=203.0.113.16\n")
        self.addCleanup(self.script, "down")
        self.assertEqual(1, self.script("up", check=False).returncode)

    def test_the_self_test_sees_other_ways_out_for_agents(self):
        self.up(f'DNS_SERVERS="{" ".join(ORIGIN)}"\n')
        self.assertNotRegex(self.script("check", check=False).stdout, "(?m)^missing  .*table 101")
        for family, other in (("4", "throw 192.0.2.0/24"), ("6", "throw default metric 1"), ("4", "default via 198.51.100.1 dev eth0")):
            self.appliance.ip(f"-{family}", "route", "add", *other.split(), "table", "101")
            said = re.findall(f"(?m)^missing  (route, IPv{family}, table 101: .*)", self.script("check", check=False).stdout)
            self.assertEqual(1, len(said), other)
            self.appliance.run("sh", "-c", said[0].rpartition(": ")[2])
            self.assertNotRegex(self.script("check", check=False).stdout, "(?m)^missing  .*table 101")


class ErrorsOnOneLeg(Errors):
    """Where the network fails to keep agents from lending sources, which are not looked at."""

    ONE_LEG, lay = True, OneLeg.lay
    DROPPED = {"reported": 6}


for tests in (Errors, ErrorsOnOneLeg, Resolvers, Wildcard, Connections):
    in_each_mode(globals(), tests, AttackTest)
