"""The commands that answer and end: check, explain, ranges, env, hosts; what all have in common. No network; the program is the one that EXEAT names."""

import json
import os
import pathlib
import pty
import re
import subprocess
import tempfile
import unittest

from harness import unthreaded_story

EXEAT = os.environ.get("EXEAT", "./exeat")
ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMANDS = ["run", "check", "explain", "ranges", "env", "hosts", "audit", "status", "reload", "upgrade"]

POLICY = """\
[exeat]
name = egress-a

[listen explicit]
address = 0.0.0.0:3128

[clients builders]
from = 10.20.0.0/16

[clients special]
from = 10.20.7.0/24

[hosts internal]
host = git.corp.example *.artifacts.corp.example

[route nat]
source = 203.0.113.16/29 10.0.1.10=198.51.100.7

[route vpn]
source    = 10.99.0.2
addresses = 10.0.0.0/8

[rule agents]
from   = builders
to     = agent.example cdn.example
route  = nat
owner  = platform
ticket = OPS-7

[rule internal]
to    = @internal
route = vpn

[rule shared]
to    = shared.example
route = nat
sni   = any

[rule old]
to      = old.example
route   = nat
expires = 2020-02-29
"""


def line_of(text, wanted):
    return text.splitlines().index(wanted) + 1


@unthreaded_story
class CommandTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.conf = self.write("exeat.conf", POLICY)

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def exeat(self, *args, status=0, env=None):
        done = subprocess.run([EXEAT, *args], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
                              env={**os.environ, **(env or {})})
        self.assertEqual(done.returncode, status, f"{args}: {done.stdout}{done.stderr}")
        for line in done.stderr.splitlines():
            self.assertTrue(line.startswith("exeat: "), line)
        return done

    def on_terminal(self, *args, **env):
        """What a person would see, with the terminal's line ends taken off."""
        try:
            master, slave = pty.openpty()
        except OSError as error:
            self.skipTest(f"no terminal can be had here: {error}")
        child = subprocess.Popen([EXEAT, *args], stdout=slave, stdin=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm", **env})
        os.close(slave)
        seen = b""
        try:
            while chunk := os.read(master, 4096):
                seen += chunk
        except OSError:  # how Linux says that the other end of a terminal is closed
            pass
        os.close(master)
        child.wait(timeout=30)
        return seen.decode().replace("\r\n", "\n")


class MainTest(CommandTest):
    def test_help_lists_every_command(self):
        text = self.exeat("--help").stdout
        for command in COMMANDS:
            self.assertRegex(text, rf"(?m)^  {command} +\S")

    def test_version(self):
        self.assertRegex(self.exeat("--version").stdout, r"^exeat \S+\n$")

    def test_each_command_has_help(self):
        for command in COMMANDS:
            with self.subTest(command):
                self.assertTrue(self.exeat(command, "--help").stdout.startswith(f"usage: exeat {command}"))

    def test_manual_names_every_option_of_help(self):
        manual = (ROOT / "man/exeat.8").read_text()
        for command in COMMANDS:
            for option in re.findall(r"--([a-z-]+)", self.exeat(command, "--help").stdout):
                with self.subTest(command=command, option=option):
                    self.assertIn(f"Fl -{option}", manual)

    def test_help_and_manual_name_the_same_signals(self):
        signals = {"SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"}
        manual = (ROOT / "man/exeat.8").read_text()
        for text in (self.exeat("run", "--help").stdout, manual[manual.index(".Sh SIGNALS"):manual.index(".Sh ENVIRONMENT")]):
            self.assertEqual(set(re.findall(r"SIG[A-Z]+[0-9]?", text)) - {"SIGNALS"}, signals)
            self.assertRegex(text, r"(?s)SIGUSR2.*[Uu]pgrades")

    def test_misuse(self):
        self.assertIn("usage:", self.run_plain([]).stderr)
        self.assertIn('did you mean "explain"', self.exeat("explian", status=2).stderr)
        for command in COMMANDS:
            with self.subTest(command):
                self.assertIn(f"exeat {command} --help", self.exeat(command, "--no-such-option", status=2).stderr)

    def run_plain(self, args):
        done = subprocess.run([EXEAT, *args], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stdout, "")
        return done

    def test_an_answer_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([EXEAT, "hosts"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
        self.assertEqual(done.returncode, 2)
        self.assertIn("standard output", done.stderr)


class CheckTest(CommandTest):
    def test_good_configuration(self):
        out = self.exeat("check", "-c", self.conf).stdout
        self.assertRegex(out, rf"^exeat: {re.escape(self.conf)} ok: 4 rules, 2 routes, 6 patterns, \d+ warnings?\n$")

    def test_embedded_default(self):
        self.assertRegex(self.exeat("check").stdout, r" ok: 1 rule, 1 route, ")

    def test_warning_names_its_line_and_strict_refuses_it(self):
        at = f"exeat: {self.conf}:{line_of(POLICY, '[rule old]')}"
        def of_old(done):
            return [line for line in done.stderr.splitlines() if "[rule old]" in line and line.endswith("(warning)")]
        self.assertEqual(len(of_old(self.exeat("check", "-c", self.conf))), 1)
        strict = self.exeat("check", "-c", self.conf, "--strict", status=2)
        self.assertTrue(of_old(strict)[0].startswith(at.rsplit(":", 1)[0]), of_old(strict))
        self.assertIn("--strict", strict.stderr)
        self.assertEqual(strict.stdout, "")

    def test_every_fault_is_reported_with_its_line(self):
        conf = self.write("faulty.conf", "[listen a]\naddress = 127.0.0.1:3128\n\n[rule r]\nto = *.*.example\nrouet = nat\nport = 70000\n")
        done = self.exeat("check", "-c", conf, status=2)
        for line, key in ((5, "to"), (6, "rouet"), (7, "port")):
            with self.subTest(key):
                self.assertRegex(done.stderr, rf"(?m)^exeat: {re.escape(conf)}:{line}: \[rule r\] {key}: ")
        self.assertIn('did you mean "route"', done.stderr)
        self.assertEqual(done.stdout, "")

    def test_failed_expectation(self):
        conf = self.write("expect.conf", POLICY + "\n[expect e]\nfrom = 10.20.0.7\nallow = evil.example\n")
        done = self.exeat("check", "-c", conf, status=2)
        self.assertRegex(done.stderr, rf"(?m)^exeat: {re.escape(conf)}:\d+: \[expect e\] ")

    def test_missing_file(self):
        missing = str(self.directory / "missing.conf")
        self.assertIn(missing, self.exeat("check", "-c", missing, status=2).stderr)

    def test_missing_include_is_a_fault_of_its_line(self):
        conf = self.write("include.conf", "[exeat]\nname = a\ninclude = more.conf\n[listen a]\naddress = 127.0.0.1:3128\n")
        self.assertEqual(self.exeat("check", "-c", conf, status=2).stderr.splitlines()[0],
                         f"exeat: {conf}:3: [exeat] include: {self.directory}/more.conf cannot be read: No such file or directory")

    def test_argument_in_place_of_option(self):
        self.assertIn("-c", self.exeat("check", self.conf, status=2).stderr)

    def test_sample_configuration(self):
        self.exeat("check", "-c", str(ROOT / "conf/exeat.conf"))


class OptionsTest(CommandTest):
    maxDiff = None

    def options(self):
        rows = [line.split("\t") for line in self.exeat("check", "--options").stdout.splitlines()]
        for row in rows:
            self.assertEqual(len(row), 4, row)
        return rows

    def manual(self):
        """The (section, key) of exeat.conf(5), in its order."""
        keys, section = [], None
        for line in (ROOT / "man/exeat.conf.5").read_text().splitlines():
            if line.startswith((".Sh", ".Ss")):
                found = re.fullmatch(r"\.Ss \[(\w+)( NAME)?\]", line)
                section = found and found[1]
            elif section and line.startswith(".It Ic "):
                keys.append((section, line.removeprefix(".It Ic ")))
        return keys

    def test_each_row_says_what(self):
        rows = self.options()
        self.assertGreater(len(rows), 40)
        for _, key, _, text in rows:
            with self.subTest(key):
                self.assertTrue(text)

    def test_manual_has_exactly_the_keys_of_the_table(self):
        self.assertCountEqual(self.manual(), [(section, key) for section, key, _, _ in self.options()])

    def test_manual_has_exactly_the_reasons_of_the_table(self):
        manual = (ROOT / "man/exeat-audit.5").read_text().partition("\n.Sh CLASSES AND REASONS\n")[2].partition("\n.Sh ")[0]
        reasons = re.findall(r'^    X\([A-Z0-9_]+, "([a-z0-9_]+)", ', (ROOT / "src/policy/reason.h").read_text(), re.MULTILINE)
        self.assertGreater(len(reasons), 20)
        listed = re.findall(r"^\.It Li (\w+)$", manual, re.MULTILINE)
        self.assertCountEqual([code for code in listed if code != "unknown"], [code for code in reasons if code != "unknown"])

    def test_sample_uses_only_keys_of_the_table(self):
        keys = {(section, key) for section, key, _, _ in self.options()}
        section = None
        for line in (ROOT / "conf/exeat.conf").read_text().splitlines():
            if found := re.match(r"\[(\w+)", line):
                section = found[1]
            elif found := re.match(r"(?:# )?(\w+) *= ", line):
                self.assertIn((section, found[1]), keys)


class ExplainTest(CommandTest):
    def explain(self, *args, status=0):
        out = self.exeat("explain", "-c", self.conf, "--from", "10.20.7.1", "--json", *args, status=status).stdout
        return [json.loads(line) for line in out.splitlines()]

    def test_allowed(self):
        (answer,) = self.explain("Agent.Example.")
        sources = [f"203.0.113.{n}" for n in range(16, 24)] + ["198.51.100.7"]
        self.assertEqual(list(answer.items()), list({
            "host": "agent.example", "port": 443, "verdict": "allow", "reason": "rule_allow", "rule": "agents",
            "rule_at": f"{self.conf}:{line_of(POLICY, '[rule agents]')}", "route": "nat", "sources": sources,
            "groups": ["special", "builders"], "nearest": None}.items()))

    def test_answers_come_in_the_order_asked(self):
        answers = self.explain("evil.example", "agent.example", "no host", "agent.example:8443", status=1)
        self.assertEqual([(a["host"], a["port"], a["reason"]) for a in answers], [
            ("evil.example", 443, "default_deny"), ("agent.example", 443, "rule_allow"),
            ("no host", 443, "bad_request"), ("agent.example", 8443, "default_deny")])

    def test_nearest_rule(self):
        (answer,) = self.explain("agent.example:8443", status=1)
        self.assertRegex(answer["nearest"], r"^rule agents: port 8443 ")
        self.assertIsNone(answer["rule"])

    def test_what_is_no_target(self):
        for target in ("2001:db8::1", "010.0.0.1", "0x7f.1", "", "a..example", "*.example", "agent.example\n",
                       "agent.example:", "agent.example:0", "agent.example:65536", "agent.example:+443", "agent.example:443:443",
                       "[agent.example]:443", "[2001:db8::1", "[2001:db8::1]443"):
            with self.subTest(target):
                (answer,) = self.explain(target, status=1)
                self.assertEqual((answer["verdict"], answer["reason"]), ("deny", "bad_request"))

    def test_outside_bytes_are_escaped(self):
        done = self.exeat("explain", "-c", self.conf, "--json", 'a"\\\x1b[31m\u00e9', status=1)
        self.assertEqual(json.loads(done.stdout)["host"], 'a"\\\x1b[31m\u00e9')
        self.assertTrue(done.stdout.isascii())
        self.assertNotIn("\x1b", self.exeat("explain", "-c", self.conf, "a\x1b[31m", status=1).stdout)

    def test_address(self):
        (answer,) = self.explain("[2001:db8::1]:8443", status=1)
        self.assertEqual((answer["host"], answer["port"], answer["reason"]), ("2001:db8::1", 8443, "address_literal"))

    def test_unknown_client(self):
        (answer,) = self.explain("agent.example", "--from", "192.0.2.1", status=1)
        self.assertEqual((answer["reason"], answer["groups"], answer["sources"]), ("client_unknown", [], []))

    def test_quotas_of_the_clients_groups(self):
        conf = self.write("quotas.conf", POLICY.replace("from = 10.20.0.0/16", "from = 10.20.0.0/16\nupload = 2048M/h\ndownload = 1G/d"))
        for client, wanted in (("10.20.7.1", ["  quota    upload 2G/h of builders", "  quota    download 1G/d of builders"]), ("192.0.2.1", [])):
            out = self.exeat("explain", "-c", conf, "--from", client, "agent.example", status=0 if wanted else 1).stdout
            self.assertEqual(wanted, [line for line in out.splitlines() if line.startswith("  quota ")])

    def test_client_is_this_host_unless_given(self):
        out = self.exeat("explain", "-c", self.conf, "--json", "agent.example", status=1).stdout
        self.assertEqual(json.loads(out)["reason"], "client_unknown")

    def test_expired_rule(self):
        (answer,) = self.explain("old.example", status=1)
        self.assertEqual((answer["reason"], answer["rule"]), ("rule_expired", "old"))

    def test_server_name(self):
        self.assertEqual(self.explain("agent.example", "--sni", "AGENT.example")[0]["reason"], "rule_allow")
        self.assertEqual(self.explain("agent.example", "--sni", "cdn.example", status=1)[0]["reason"], "sni_mismatch")
        self.assertEqual(self.explain("agent.example", "--sni", "192.0.2.1", status=1)[0]["reason"], "sni_invalid")
        self.assertEqual(self.explain("shared.example", "--sni", "cdn.example")[0]["reason"], "rule_allow")

    def test_resolved_addresses(self):
        cases = [
            ("agent.example", ["8.8.8.8"], 0, "rule_allow"),
            ("agent.example", ["10.0.0.1", "8.8.8.8"], 0, "rule_allow"),
            ("agent.example", ["10.0.0.1", "169.254.169.254", "::ffff:8.8.8.8"], 1, "address_forbidden"),
            ("agent.example", ["2606:4700::1"], 1, "route_unavailable"),
            ("git.corp.example", ["10.1.2.3"], 0, "rule_allow"),
            ("git.corp.example", ["8.8.8.8"], 1, "address_forbidden"),
        ]
        for host, addresses, status, reason in cases:
            with self.subTest(host=host, addresses=addresses):
                options = [word for address in addresses for word in ("--resolved", address)]
                (answer,) = self.explain(host, *options, status=status)
                self.assertEqual(answer["reason"], reason)
                self.assertIsNotNone(answer["rule"])

    def test_hosts_file_stands_for_resolved(self):
        self.write("hosts", "10.0.0.1 agent.example\n")
        conf = self.write("dns.conf", POLICY + "\n[dns]\nhosts_file = hosts\n")
        out = self.exeat("explain", "-c", conf, "--from", "10.20.0.1", "--json", "agent.example", status=1).stdout
        self.assertEqual(json.loads(out)["reason"], "address_forbidden")

    def test_observed_is_let_out(self):
        conf = self.write("observe.conf", POLICY.replace("[exeat]\n", "[exeat]\nmode = observe\nobserve_route = nat\n"))
        out = self.exeat("explain", "-c", conf, "--from", "10.20.0.1", "--json", "evil.example").stdout
        answer = json.loads(out)
        self.assertEqual((answer["verdict"], answer["reason"], answer["route"]), ("observe", "default_deny", "nat"))

    def test_text(self):
        out = self.exeat("explain", "-c", self.conf, "--from", "10.20.7.1", "agent.example", "agent.example:22", status=1).stdout
        at = f"{self.conf}:{line_of(POLICY, '[rule agents]')}"
        for wanted in ("agent.example:443: allow (rule_allow)", "10.20.7.1 in special, builders", f"rule     agents at {at}", "OPS-7", "platform",
                       "sources  198.51.100.7/32 203.0.113.16/29", "agent.example:22: deny (default_deny)", f"nearest  rule agents at {at}: "):
            self.assertIn(wanted, out)

    def test_colour_only_on_a_terminal(self):
        args = ("explain", "-c", self.conf, "evil.example")
        self.assertIn("\x1b[31mdeny", self.on_terminal(*args))
        self.assertNotIn("\x1b", self.on_terminal(*args, NO_COLOR="1"))
        self.assertNotIn("\x1b", self.exeat(*args, status=1).stdout)

    def test_errors(self):
        self.assertIn("HOST", self.exeat("explain", "-c", self.conf, status=2).stderr)
        self.assertIn("10.20.0", self.exeat("explain", "-c", self.conf, "--from", "10.20.0", "a.example", status=2).stderr)
        self.assertIn("::g", self.exeat("explain", "-c", self.conf, "--resolved", "::g", "a.example", status=2).stderr)
        faulty = self.write("faulty.conf", "[rule\n")
        self.assertIn(f"{faulty}:1", self.exeat("explain", "-c", faulty, "a.example", status=2).stderr)


class RangesTest(CommandTest):
    UNPINNED = "not pinned: whatever this host uses"

    def setUp(self):
        super().setUp()
        self.conf = self.write("ranges.conf", POLICY + "\n[route loose]\npick = sticky\n\n[route six]\nsource = 2001:db8::/127\n")

    def ranges(self, form, *routes, status=0):
        return self.exeat("ranges", "-c", self.conf, "--format", form, *routes, status=status)

    def test_text(self):
        out = self.exeat("ranges", "-c", self.conf).stdout
        self.assertEqual(out, "# nat\n198.51.100.7/32\n203.0.113.16/29\n# vpn\n10.99.0.2/32\n"
                              f"# loose: {self.UNPINNED}\n# six\n2001:db8::/127\n")

    def test_json(self):
        self.assertEqual(json.loads(self.ranges("json").stdout), {"routes": [
            {"name": "nat", "pinned": True, "ranges": ["198.51.100.7/32", "203.0.113.16/29"]},
            {"name": "vpn", "pinned": True, "ranges": ["10.99.0.2/32"]},
            {"name": "loose", "pinned": False, "ranges": []},
            {"name": "six", "pinned": True, "ranges": ["2001:db8::/127"]}]})

    def test_csv(self):
        done = self.ranges("csv")
        self.assertEqual(done.stdout, "route,family,range\nnat,ipv4,198.51.100.7/32\nnat,ipv4,203.0.113.16/29\n"
                                      "vpn,ipv4,10.99.0.2/32\nsix,ipv6,2001:db8::/127\n")
        self.assertIn(self.UNPINNED, done.stderr)

    def test_terraform(self):
        self.assertEqual(self.ranges("terraform", "nat", "loose").stdout, "\n".join([
            "locals {", "  exeat_ranges = {", '    "nat" = ["198.51.100.7/32", "203.0.113.16/29"]', f"    # loose: {self.UNPINNED}", "  }", "}", ""]))

    def test_nft(self):
        self.assertEqual(self.ranges("nft", "nat", "loose", "six").stdout, "\n".join([
            "define exeat_nat_ipv4 = { 198.51.100.7/32, 203.0.113.16/29 }", f"# loose: {self.UNPINNED}",
            "define exeat_six_ipv6 = { 2001:db8::/127 }", ""]))

    def test_buildkite(self):
        done = self.ranges("buildkite")
        self.assertEqual(done.stdout, "198.51.100.7/32 203.0.113.16/29\n")
        self.assertIn(self.UNPINNED, done.stderr)
        self.assertIn("IPv6", done.stderr)

    def test_buildkite_has_no_empty_answer(self):
        self.assertEqual(self.ranges("buildkite", "vpn", status=2).stdout, "")

    def test_buildkite_warns_past_24(self):
        sources = " ".join(f"203.0.113.{2 * n}" for n in range(25))
        self.conf = self.write("many.conf", POLICY.replace("203.0.113.16/29", sources))
        done = self.ranges("buildkite", "nat")
        self.assertEqual(len(done.stdout.split()), 26)
        self.assertIn("24", done.stderr)

    def test_named_routes_in_their_order(self):
        self.assertEqual(self.ranges("text", "vpn", "nat").stdout.split()[:3], ["#", "vpn", "10.99.0.2/32"])

    def test_unknown_words(self):
        done = self.ranges("text", "vp", status=2)
        self.assertIn('did you mean "vpn"', done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertIn("terraform", self.ranges("yaml", status=2).stderr)

    def test_default_configuration_is_not_pinned(self):
        self.assertIn(self.UNPINNED, self.exeat("ranges").stdout)


class EnvTest(CommandTest):
    def no_proxy(self, value):
        entries = value.split(",")
        for wanted in ("localhost", "127.0.0.1", "169.254.169.254", "169.254.170.2", "fd00:ec2::254", "metadata.google.internal"):
            self.assertIn(wanted, entries)
        for entry in entries:
            self.assertNotRegex(entry, r"[*/\s]|^$")
        self.assertNotIn("corp.example", value)

    def sourced(self, text):
        script = self.write("env.sh", text)
        done = subprocess.run(["sh", "-c", '. "$1"; env', "sh", script], capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, timeout=30)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return dict(line.split("=", 1) for line in done.stdout.splitlines())

    def check_variables(self, variables, url):
        self.assertEqual([variables["HTTPS_PROXY"], variables["https_proxy"]], [url, url])
        self.assertEqual(variables["NO_PROXY"], variables["no_proxy"])
        self.no_proxy(variables["NO_PROXY"])
        self.assertFalse({"http_proxy", "HTTP_PROXY"} & set(variables))

    def test_sh(self):
        self.check_variables(self.sourced(self.exeat("env", "-c", self.conf).stdout), "http://egress-a:3128")

    def test_agent_hook(self):
        out = self.exeat("env", "-c", self.conf, "--format", "agent-hook").stdout
        self.assertTrue(out.startswith("#!/"))
        self.check_variables(self.sourced(out), "http://egress-a:3128")

    def test_systemd(self):
        lines = self.exeat("env", "-c", self.conf, "--format", "systemd").stdout.splitlines()
        self.assertEqual(lines[0], "[Service]")
        variables = {}
        for line in lines[1:]:
            self.assertRegex(line, r'^Environment=("\w+=[^"%\\]+" ?)+$')
            variables.update(assignment.split("=", 1) for assignment in re.findall(r'"([^"]+)"', line))
        self.check_variables(variables, "http://egress-a:3128")

    def test_docker(self):
        default = json.loads(self.exeat("env", "-c", self.conf, "--format", "docker").stdout)["proxies"]["default"]
        self.assertEqual(set(default), {"httpsProxy", "noProxy"})
        self.assertEqual(default["httpsProxy"], "http://egress-a:3128")
        self.no_proxy(default["noProxy"])

    def url_for(self, address, status=0):
        conf = self.write("listen.conf", POLICY.replace("0.0.0.0:3128", address))
        done = self.exeat("env", "-c", conf, "--format", "docker", status=status)
        return json.loads(done.stdout)["proxies"]["default"]["httpsProxy"] if status == 0 else done.stderr

    def test_url_is_the_listener(self):
        self.assertEqual(self.url_for("127.0.0.1:3129"), "http://127.0.0.1:3129")
        self.assertEqual(self.url_for("[2001:db8::5]:3128 0.0.0.0:3129"), "http://[2001:db8::5]:3128")
        self.assertEqual(self.url_for("[::]:8080"), "http://egress-a:8080")
        self.assertIn("port 0", self.url_for("127.0.0.1:0", status=2))

    def test_only_listeners_that_agents_connect_to(self):
        transparent, balanced = "0.0.0.0:3129\nmode = redirect", "0.0.0.0:3129\nproxy_protocol = required\ntrusted = 10.0.3.0/28"
        own = "\n[listen own]\naddress = 127.0.0.1:3128"
        self.assertIn("need nothing set", self.url_for(transparent, status=2))
        self.assertIn("balancer", self.url_for(balanced, status=2))
        self.assertEqual(self.url_for(transparent + own), "http://127.0.0.1:3128")
        self.assertEqual(self.url_for(balanced + own), "http://127.0.0.1:3128")

    def test_default_configuration(self):
        self.check_variables(self.sourced(self.exeat("env").stdout), "http://127.0.0.1:3128")

    def test_unknown_format(self):
        self.assertIn("agent-hook", self.exeat("env", "--format", "yaml", status=2).stderr)


class HostsTest(CommandTest):
    def test_lists_every_file_with_its_count(self):
        rows = dict(line.split("\t") for line in self.exeat("hosts").stdout.splitlines())
        files = {path.stem: path for path in (ROOT / "conf/hosts").glob("*.hosts")}
        self.assertIn("buildkite", files)
        self.assertEqual(set(rows), set(files))
        for name, path in files.items():
            patterns = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
            self.assertEqual(int(rows[name]), len(patterns), name)

    def test_prints_a_list(self):
        text = (ROOT / "conf/hosts/buildkite.hosts").read_text()
        self.assertEqual(self.exeat("hosts", "buildkite").stdout, text)
        self.assertEqual(self.exeat("hosts", "@buildkite").stdout, text)

    def test_unknown(self):
        self.assertIn('did you mean "github"', self.exeat("hosts", "gihtub", status=2).stderr)
        self.exeat("hosts", "s3", "gcs", status=2)

    def test_terminal_gets_a_header_and_columns(self):
        lines = self.on_terminal("hosts").splitlines()
        self.assertRegex(lines[0], r"^LIST +PATTERNS$")
        column = lines[0].index("PATTERNS")
        for line in lines[1:]:
            self.assertRegex(line[column:], r"^\d+$")


if __name__ == "__main__":
    unittest.main()
