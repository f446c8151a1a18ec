"""contrib/appliance's script: what its rules let through, whatever this host's sysctls are, and what the second wall keeps in without them."""

import re
import socket
import struct
import threading
import time

import telling
from harness import PATIENCE, wait_until
from network import EXPLICIT_PORT, GATEWAY, LISTEN_PORT, cable, family_of, join, nft
from script import AGENT, MUCH, NEIGHBOUR, ORIGIN, OUTSIDE, ScriptTest, ask_all, ask_echo, ask_tcp, ask_udp, new_socket
from telling import in_each_mode

setUpModule = telling.setUpModule
OTHER_SOURCE = ("192.0.2.7", "2001:db8:2::7")
FAR_AGENT, FAR_ROUTER = ("10.20.9.2", "2001:db8:20:9::2"), ("10.20.9.1", "2001:db8:20:9::1")
ADMIN_PORT = 9128


class Interception:
    def intercept(self, more=""):
        self.stand_in()
        self.up(more)

    def test_a_connection_comes_with_the_address_it_was_meant_for(self):
        self.intercept('PORTS="443 8443"\n')
        for agent, origin in zip(AGENT, ORIGIN):
            for port in (443, 8443):
                self.assertEqual(f"{agent} meant {origin} {port}", ask_tcp(self.agent, origin, port))
        self.assertEqual({"intercepted": 4}, self.counts())
        self.assertEqual(0, self.leaks())

    def test_it_works_whatever_the_sysctls(self):
        """Strict rp_filter, and what wg-quick and others turn on."""
        self.intercept()
        for rp_filter in (0, 1, 2):
            for src_valid_mark in (0, 1):
                for tcp_fwmark_accept in (0, 1):
                    with self.subTest(rp_filter=rp_filter, src_valid_mark=src_valid_mark, tcp_fwmark_accept=tcp_fwmark_accept):
                        self.sysctl(ipv4__conf__all__rp_filter=rp_filter, ipv4__conf__all__src_valid_mark=src_valid_mark,
                                    ipv4__tcp_fwmark_accept=tcp_fwmark_accept)
                        for origin in ORIGIN:
                            self.assertIn(" meant ", ask_tcp(self.agent, origin, 443))

    def test_redirect_costs_one_entry_of_connection_tracking_and_tproxy_none(self):
        self.intercept()
        nft(self.appliance, "table inet tracking { chain input { type filter hook input priority 0; ct state established accept; }; }")
        for number in (1, 2, 3):
            for origin in ORIGIN:
                self.assertIn(" meant ", ask_tcp(self.agent, origin, 443))
            tracked = self.appliance.run("cat", "/proc/net/nf_conntrack").stdout
            self.assertEqual(2 * number if self.mode == "redirect" else 0, tracked.count(" dport=443 "), tracked)

    def test_without_exeat_a_connection_is_refused(self):
        self.up()
        for origin in ORIGIN:
            self.assertEqual("refused", ask_tcp(self.agent, origin, 443))

    def test_a_narrow_link_on_the_way_to_an_agent_is_found_out(self):
        """The ICMP error is for the origin, whose address exeat lends."""
        self.intercept()
        far = self.namespace("far")
        cable(far, "eth0", self.agent, "eth1")
        far.add("eth0", *FAR_AGENT)
        far.default(*FAR_ROUTER)
        self.agent.add("eth1", *FAR_ROUTER)
        self.agent.ip("link", "set", "eth1", "mtu", "1300")  # the far end does not know, and cannot say what fits
        self.agent.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for prefix, gateway in (("10.20.9.0/24", AGENT[0]), ("2001:db8:20:9::/64", AGENT[1])):
            self.appliance.ip("route", "add", prefix, "via", gateway)
        for origin in ORIGIN:
            with self.subTest(origin), far.inside(), new_socket(origin) as sock:
                sock.settimeout(5)
                sock.connect((origin, 443))
                reader = sock.makefile("rb")
                self.assertIn(b" meant ", reader.readline())
                sock.sendall(b"!")
                self.assertEqual(MUCH, reader.read(len(MUCH)))

    def test_quic_is_refused_at_once(self):
        self.intercept()
        for origin in ORIGIN:
            with self.subTest(origin):
                began = time.monotonic()
                self.assertEqual("refused", ask_udp(self.agent, origin, 443))
                self.assertLess(time.monotonic() - began, 0.1)


class Wall:
    def setUp(self):
        super().setUp()
        for port in (22, ADMIN_PORT):
            self.serve(self.appliance, port)
        self.serve(self.appliance, 53, kind=socket.SOCK_DGRAM, addresses=GATEWAY)

    def test_what_agents_reach_on_the_appliance(self):
        self.stand_in()
        self.up()
        for address in (*GATEWAY, *OUTSIDE):
            with self.subTest(address):
                self.assertIn(" meant ", ask_tcp(self.agent, address, EXPLICIT_PORT))
                self.assertIn(" meant ", ask_tcp(self.agent, address, 443))
                closed = [(ask_tcp, self.agent, address, port) for port in (LISTEN_PORT, ADMIN_PORT, 22, 53)]
                closed += [(ask_udp, self.agent, address, 53), (ask_echo, self.agent, address)]
                self.assertEqual(["no answer"] * len(closed), ask_all(*closed))
        for address in OUTSIDE:
            self.assertIn(" meant ", ask_tcp(self.internet, address, 22))
            self.assertEqual("no answer", ask_tcp(self.internet, address, LISTEN_PORT))
        self.assertEqual({"intercepted", "direct", "appliance"}, set(self.counts()))

    def test_nothing_gets_past_it(self):
        self.up()
        self.forward_everything()
        self.assertEqual(set(), self.try_all_ways())
        self.assertEqual(0, self.leaks())
        self.assertEqual({"intercepted", "quic", "other"}, set(self.counts()))

    def test_only_named_resolvers_are_asked(self):
        self.up(f'DNS_SERVERS="{" ".join((*GATEWAY, *ORIGIN))}"\n')
        for agent, gateway, origin, neighbour in zip(AGENT, GATEWAY, ORIGIN, NEIGHBOUR):
            self.assertEqual("anybody?", ask_udp(self.agent, gateway, 53, patience=PATIENCE))
            self.assertEqual("anybody?", ask_udp(self.agent, origin, 53, patience=PATIENCE))
            self.assertIn(" meant ", ask_tcp(self.agent, origin, 53))
            closed = [(ask_tcp, self.agent, origin, port) for port in (22, 80)]
            closed += [(ask, self.agent, neighbour, 53) for ask in (ask_tcp, ask_udp)]
            closed += [(ask_tcp, self.internet, agent, 22)]
            self.assertEqual(["no answer"] * len(closed), ask_all(*closed))
        self.assertIn("forwarded", self.counts())

    def test_with_forwarding_on_and_all_rules_flushed_nothing_leaks(self):
        self.forward_everything()
        self.assertEqual("anybody?", ask_udp(self.agent, ORIGIN[0], 53, patience=PATIENCE), "the test could not fail")
        self.up()
        self.appliance.run("nft", "flush", "ruleset")
        before = self.leaks()
        self.assertEqual(set(), self.try_all_ways())
        self.assertEqual(before, self.leaks())

    def test_with_rules_flushed_agents_still_reach_nothing_but_the_resolvers(self):
        self.up(f"DNS_SERVERS={ORIGIN[0]}\n")
        self.appliance.run("nft", "flush", "ruleset")
        self.assertEqual("anybody?", ask_udp(self.agent, ORIGIN[0], 53, patience=PATIENCE))
        before = self.leaks()
        for address in NEIGHBOUR:
            self.assertNotIn(" meant ", ask_tcp(self.agent, address, 80))
            self.assertNotIn(" meant ", ask_tcp(self.agent, address, 443))
        self.assertEqual(before, self.leaks())

    def test_no_packet_slips_through_while_rules_are_replaced(self):
        texts = []
        for ports in ("443", "443 8443"):
            self.configure(f'PORTS="{ports}"\n')
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


class Link(ScriptTest):
    """What agents and the appliance tell each other that is nobody's traffic; the rules for it are the same in either mode."""

    def test_ping(self):
        self.up("PING=yes\n")
        for gateway, origin in zip(GATEWAY, ORIGIN):
            self.assertEqual("pong", ask_echo(self.agent, gateway))
            self.assertEqual("no answer", ask_echo(self.agent, origin))

    def test_other_sources_are_dropped(self):
        self.stand_in()
        self.up()
        for source, gateway, origin in zip(OTHER_SOURCE, GATEWAY, ORIGIN):
            self.agent.add("eth0", f"{source}/{128 if family_of(source) == 6 else 32}")
            self.appliance.ip("route", "add", source, "dev", "eth1")
            self.assertEqual("no answer", ask_tcp(self.agent, origin, 443, source))
            self.assertEqual("no answer", ask_tcp(self.agent, gateway, EXPLICIT_PORT, source))
        self.assertEqual({"foreign"}, set(self.counts()))

    def test_neighbours_find_each_other(self):
        self.up("PING=yes\n")
        for namespace, there in ((self.agent, GATEWAY), (self.appliance, AGENT)):
            for address in there:
                namespace.ip("neighbour", "flush", "all")
                self.assertEqual("pong", ask_echo(namespace, address))

    def test_questions_for_an_address_come_through(self):
        """DHCP, to everybody on the link."""
        self.up()
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
        self.up()
        with self.agent.inside(), socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            index = socket.if_nametoindex("eth0")
            wait_until("a link-local address", lambda: "fe80" in self.agent.ip("-6", "address", "show", "dev", "eth0").stdout)
            sock.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 8, 1800, 0, 0), ("ff02::1", 0, 0, index))
        wait_until("it is counted", lambda: self.counts().get("foreign"))
        self.assertNotIn("proto ra", self.appliance.ip("-6", "route", "show", "default").stdout)


class OneLeg:
    """Agents, appliance and the internet's router on one link; the appliance has one interface."""

    ONE_LEG = True

    def lay(self):
        ends = (self.agent, "eth0", AGENT), (self.appliance, "eth1", (*GATEWAY, *OUTSIDE)), (self.internet, "eth0", NEIGHBOUR)
        join(self.namespace("link"), ends)
        self.appliance.default(*NEIGHBOUR)
        for prefix, gateway in (("10.20.0.0/16", OUTSIDE[0]), ("2001:db8:20::/48", OUTSIDE[1])):
            self.internet.ip("route", "add", prefix, "via", gateway)

    def test_agents_are_confined_and_others_are_not(self):
        self.serve(self.appliance, 22)
        self.stand_in()
        self.up()
        self.forward_everything()
        for agent, gateway, outside, origin in zip(AGENT, GATEWAY, OUTSIDE, ORIGIN):
            with self.subTest(agent):
                self.assertEqual(f"{agent} meant {origin} 443", ask_tcp(self.agent, origin, 443))
                self.assertIn(" meant ", ask_tcp(self.agent, gateway, EXPLICIT_PORT))
                self.assertEqual("refused", ask_udp(self.agent, origin, 443))
                closed = [(ask_tcp, self.agent, gateway, port) for port in (22, LISTEN_PORT)] + [(ask_tcp, self.agent, origin, 80)]
                self.assertEqual(["no answer"] * len(closed), ask_all(*closed))
                self.assertIn(" meant ", ask_tcp(self.internet, outside, 22))
                self.assertIn(" meant ", ask_tcp(self.appliance, origin, 443))
        self.assertEqual(0, self.leaks())

    def test_an_agent_has_nothing_from_its_link_local_address(self):
        self.serve(self.appliance, 22)
        self.up()
        found = wait_until("a link-local address", lambda: re.search(r"inet6 (fe80:\S+)/64", self.appliance.ip("-6", "address", "show").stdout))
        with self.agent.inside():
            scope = (0, socket.if_nametoindex("eth0"))
        self.assertEqual("no answer", ask_tcp(self.agent, found.group(1), 22, scope=scope))

    def test_with_forwarding_on_and_all_rules_flushed_nothing_leaks(self):
        self.up()
        self.forward_everything()
        self.appliance.run("nft", "flush", "ruleset")
        self.assertEqual(set(), self.try_all_ways())
        self.assertEqual(0, self.leaks())

    def test_a_resolver_is_asked_by_the_same_leg(self):
        nft(self.agent, """
            table inet witness {
                counter redirects {}
                chain arrivals { type filter hook prerouting priority raw; icmp type redirect counter name redirects; }
            }""")
        self.up(f'DNS_SERVERS="{" ".join(ORIGIN)}"\n')
        for origin in ORIGIN:
            self.assertEqual("anybody?", ask_udp(self.agent, origin, 53, patience=PATIENCE))
        told = self.agent.run("nft", "list", "counter", "inet", "witness", "redirects").stdout
        self.assertIn("packets 0 ", told, "agents are told of a shorter way")  # with NAT, as in redirect, the kernel tells nobody anyway
        self.appliance.run("nft", "flush", "ruleset")
        self.assertEqual("anybody?", ask_udp(self.agent, ORIGIN[0], 53, patience=PATIENCE))
        self.assertNotIn(" meant ", ask_tcp(self.agent, NEIGHBOUR[0], 80))


for tests in (Interception, Wall, OneLeg):
    in_each_mode(globals(), tests, ScriptTest)
