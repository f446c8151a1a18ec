"""contrib/appliance's script judges: its self-test sees what is missing, and a faulty configuration is told line by line."""

import os
import pathlib
import tempfile
import unittest

import telling
from harness import EXEAT
from network import GATEWAY, LISTEN_PORT, MODES, SCRIPT, TOP, nft, run
from script import CONF, ORIGIN, ScriptTest
from telling import in_each_mode

setUpModule = telling.setUpModule


class CheckTest(ScriptTest):
    def setUp(self):
        super().setUp()
        self.exeat_conf = self.directory / "exeat.conf"
        self.more = f"SOURCE_INTERFACE=eth0\nSOURCE_ADDRESSES=203.0.113.16\nEXEAT={os.path.abspath(EXEAT)}\nEXEAT_CONF={self.exeat_conf}\n"
        self.configure_exeat(self.mode)

    def configure_exeat(self, mode):
        self.exeat_conf.write_text(f"[listen network]\naddress = 0.0.0.0:{LISTEN_PORT}\nmode = {mode}\n[clients all]\nfrom = 10.20.0.0/16\n"
                                   "[route nat]\nsource = 203.0.113.16\n[rule one]\nto = allowed.example\n")

    def check(self):
        """The exit code, and what is missing."""
        ran = self.script("check", check=False)
        lines = ran.stdout.splitlines()
        self.assertEqual("", ran.stderr)
        self.assertEqual([], [line for line in lines if not line.startswith(("ok       ", "missing  "))])
        return ran.returncode, [line.removeprefix("missing  ") for line in lines if line.startswith("missing  ")]


class Check:
    def test_a_whole_appliance_lacks_nothing(self):
        self.stand_in()
        self.up(self.more + f"DNS_SERVERS={ORIGIN[0]}\n")
        self.assertEqual((0, []), self.check())

    def test_an_exeat_that_listens_in_the_other_mode_is_noticed(self):
        self.configure_exeat(next(mode for mode in MODES if mode != self.mode))
        self.up(self.more)
        self.assertIn(f"exeat: no listener with mode = {self.mode}: ${{EDITOR-vi}} {self.exeat_conf}", self.check()[1])

    def test_print_is_what_is_loaded(self):
        self.up()
        listed = self.appliance.run("nft", "list", "ruleset").stdout
        nft(self.appliance, self.script("print").stdout)
        self.assertEqual(listed, self.appliance.run("nft", "list", "ruleset").stdout)


class Lacks(CheckTest):
    mode = "tproxy"  # which has more to lack

    def test_before_up_it_names_everything(self):
        self.configure(self.more)
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
        self.stand_in()
        self.up(self.more)
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

    def test_who_may_not_look_is_told(self):
        self.up(self.more)
        ran = self.appliance.run("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin",
                                 str(SCRIPT), "check", "-c", str(self.conf), check=False)
        self.assertEqual(1, ran.returncode)
        self.assertIn("missing  capability: CAP_NET_ADMIN", ran.stdout)


class Conf(unittest.TestCase):
    def faults(self, text):
        conf = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), "faulty.conf")
        conf.write_text(text)
        ran = run(SCRIPT, "print", "-c", conf, check=False)
        self.assertEqual((2, ""), (ran.returncode, ran.stdout))
        return [line.removeprefix(f"exeat-appliance: {conf}") for line in ran.stderr.splitlines()]

    def test_every_fault_is_told_with_its_line(self):
        whole = CONF.format(mode=MODES[0])
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
        self.assertIn("table inet exeat_appliance {", run(SCRIPT, "print", "-c", samples / "appliance.conf").stdout)
        run(os.path.abspath(EXEAT), "check", "-c", samples / "exeat.conf")


in_each_mode(globals(), Check, CheckTest)
