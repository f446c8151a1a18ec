"""contrib/appliance's script puts up and takes down exactly its own, whatever became of it meanwhile."""

import pathlib
import socket

import telling
from harness import wait_until
from network import FAMILIES, GATEWAY, INSIDE, MODES, VPN, VPN_GATEWAY, address_of, cable, nft
from script import ORIGIN, OUTSIDE, ScriptTest, ask_tcp, ask_udp, new_socket
from telling import in_each_mode

setUpModule = telling.setUpModule
CORPORATE = INSIDE["git"]

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


class UpAndDown:
    def test_up_again_changes_nothing_and_down_restores_everything(self):
        for forwarding in (0, 1):
            with self.subTest(forwarding=forwarding):
                self.sysctl(ipv4__ip_forward=forwarding, ipv6__conf__all__forwarding=forwarding, ipv4__conf__vpn0__rp_filter=1)
                before = self.snapshot()
                self.up(EVERYTHING)
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
        self.up()
        expected = self.snapshot()
        self.script("down")
        self.configure(EVERYTHING, mode=next(mode for mode in MODES if mode != self.mode))
        self.script("up")
        self.configure()
        self.script("up")
        self.assertSame(expected, self.snapshot())
        self.script("down")
        self.assertSame(before, self.snapshot())


class State(StateTest):
    mode = "tproxy"  # which puts up more

    def test_down_does_without_a_configuration(self):
        before = self.snapshot()
        self.up(EVERYTHING)
        self.conf.write_text("MODE=sideways\n")
        self.assertEqual(2, self.script("up", check=False).returncode)
        self.script("down")
        self.assertSame(before, self.snapshot())

    def test_what_others_put_up_stays(self):
        self.appliance.ip("address", "add", "203.0.113.16/32", "dev", "eth0")
        self.appliance.ip("rule", "add", "priority", "110", "fwmark", "2", "lookup", "102")
        nft(self.appliance, "table inet other { chain input { type filter hook input priority 0; }; }")
        before = self.snapshot()
        self.up(EVERYTHING)
        self.script("down")
        self.assertSame(before, self.snapshot())

    def test_what_was_lost_comes_back(self):
        self.up(EVERYTHING)
        expected = self.snapshot()
        self.appliance.run("nft", "flush", "ruleset")
        self.appliance.ip("rule", "delete", "priority", "100")
        self.appliance.ip("-6", "route", "flush", "table", "100")
        self.appliance.ip("address", "delete", "203.0.113.16/32", "dev", "eth0")
        self.sysctl(ipv4__conf__vpn0__rp_filter=1, ipv4__conf__eth1__forwarding=0)
        self.script("up")
        self.assertSame(expected, self.snapshot())

    def test_rules_changed_by_hand_are_put_right(self):
        self.up()
        expected = self.rules()
        self.appliance.run("nft", "insert rule inet exeat_appliance from_agents accept")
        self.assertNotEqual(expected, self.rules())
        self.assertEqual("refused", ask_tcp(self.agent, GATEWAY[0], 22))
        self.script("up")
        self.assertEqual(expected, self.rules())
        self.assertEqual("no answer", ask_tcp(self.agent, GATEWAY[0], 22))

    def rules(self):
        """The script's own, without their counts."""
        return self.appliance.run("nft", "-s", "list", "table", "inet", "exeat_appliance").stdout

    def test_the_state_of_a_namespace_that_is_gone_is_forgotten(self):
        number = self.appliance.run("stat", "-L", "-c", "%i", "/proc/self/ns/net").stdout.strip()
        stale = pathlib.Path("/run/exeat-appliance", number)
        stale.mkdir(parents=True)
        (stale / "done").write_text("sysctl net/ipv4/ip_local_port_range 1 2\naddress eth0 198.51.100.2/24\n")
        before = self.snapshot()
        self.up()
        self.script("down")
        self.assertSame(before, self.snapshot())
        self.assertFalse(stale.exists())

    def test_the_mark_of_the_vpn_never_leaves_elsewhere(self):
        self.inside.own(*CORPORATE)
        self.internet.own(*CORPORATE)  # a twin, should it go astray
        self.serve(self.inside, 443)
        gateways = "VPN_MARK=0x2\nVPN_INTERFACE=vpn0\n" + "".join(f"VPN_GATEWAY{family}={address_of(VPN_GATEWAY, family)}\n" for family in FAMILIES)
        self.sysctl(ipv4__conf__all__rp_filter=1)
        self.up(gateways)
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


in_each_mode(globals(), UpAndDown, StateTest)
