"""A million host patterns in a hundred rules: what they take, and that each is found."""

import contextlib
import os
import signal
import subprocess
import unittest

from harness import EXEAT, SANITIZED, SEEN, EndToEndTest, Origin, client_hello, echoes, long_story, wait_until
from proc import GONE, links, own_bytes
from test_reload import ReloadStory

NAMES = 1000000
RULES = 100
BYTES = 64  # of memory a pattern, all processes together
CPU_S = 10  # for reading them; one second on a machine that does nothing else, but this one may be slow and busy


def name(number):
    """One of 21 characters or so."""
    return f"{number:x}.site{number % 977}.example"


def pattern(number):
    """Every third is a wildcard."""
    return f"*.{name(number)}" if number % 3 == 0 else name(number)


def memory(pid):
    """Bytes of a process that are no file's, and of files in memory that it holds open without mapping them."""
    total = own_bytes(pid, "Swap")
    for fd, link in links(pid).items():
        if link.startswith("/memfd:"):
            with contextlib.suppress(*GONE):
                total += os.stat(fd).st_blocks * 512
    return total


@unittest.skipIf(SANITIZED, "sanitizers have their own idea of time and memory")
class Million(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.origin = self.use(Origin())

    def write(self, names):
        """Lists of names for a hundred rules, one after the other; returns the text of the configuration."""
        rules = ""
        for rule in range(RULES):
            first, end = rule * names // RULES, (rule + 1) * names // RULES
            (self.directory / f"{rule}.hosts").write_text("".join(f"{pattern(number)}\n" for number in range(first, end)) or "none.example\n")
            rules += f"[hosts list{rule}]\nhost_file = {rule}.hosts\n[rule rule{rule}]\nto = @list{rule}\nport = {self.origin.port}\n"
        (self.directory / "hosts").write_text("".join(f"127.0.0.1 {name(number)} www.{name(number)} other.{name(number)}\n" for number in (0, 1, names - 2, names - 1)))
        return f"[clients local]\nfrom = 127.0.0.0/8\n[route loop]\naddresses = 127.0.0.0/8\n[dns]\nhosts_file = hosts\n{rules}"

    def taken(self, proxy):
        return sum(map(memory, [proxy.process.pid, *proxy.children().values()]))

    def ask(self, proxy, host, rule):
        """A tunnel by that rule; None: a denial."""
        sock, status, _ = proxy.connect(host, self.origin.port)
        with sock:
            self.assertEqual(200 if rule else 403, status, host)
            self.assertTrue(rule is None or echoes(sock, client_hello(host)))
        self.assertEqual(rule, proxy.wait_decision(host=host)["rule"])

    def ask_all(self, proxy):
        self.ask(proxy, f"www.{name(0)}", "rule0")
        self.ask(proxy, name(1), "rule0")
        self.ask(proxy, name(NAMES - 2), f"rule{RULES - 1}")
        self.ask(proxy, f"www.{name(NAMES - 1)}", f"rule{RULES - 1}")
        self.ask(proxy, name(0), None)
        self.ask(proxy, f"www.{name(1)}", None)
        self.ask(proxy, name(NAMES), None)

    def test_each_takes_64_bytes_and_is_found(self):
        few = self.exeat(self.write(RULES))
        before = self.taken(few)
        few.stop()
        proxy = self.exeat(self.write(NAMES), audit_path=self.directory / "audit-of-many.jsonl")
        wait_until("memory that only the reading took to come back", lambda: (self.taken(proxy) - before) / NAMES < BYTES)
        self.ask_all(proxy)
        server = proxy.children()["server"]
        os.kill(server, signal.SIGKILL)  # the next one has the files from memory, which is all that is left of them
        for rule in range(RULES):
            (self.directory / f"{rule}.hosts").unlink()
        wait_until("another server", lambda: proxy.children().get("server", server) != server)
        self.ask(proxy, f"other.{name(NAMES - 1)}", f"rule{RULES - 1}")

    def test_they_are_read_in_a_second_or_so(self):
        (self.directory / "exeat.conf").write_text(f"[listen explicit]\naddress = 127.0.0.1:0\n{self.write(NAMES)}")
        with subprocess.Popen([EXEAT, "check", "-c", self.directory / "exeat.conf"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as check:
            said = check.stdout.read()
            _, status, usage = os.wait4(check.pid, 0)
            check.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(0, check.returncode)
        self.assertIn(f"{RULES} rules, 1 route, {NAMES} patterns", said)
        self.assertLess(usage.ru_utime + usage.ru_stime, CPU_S)


RELOADS = 12
LISTED = 200000
LEFT = 3 * LISTED * BYTES  # what serves, what is being read, and what the heap has not given back


@long_story
@unittest.skipIf(SANITIZED, "sanitizers have their own idea of time and memory")
class Editions(ReloadStory):
    """Tunnels that stay open keep what their close repeats, and not the patterns of all the policies that let them out."""

    def write_list(self, edition):
        (self.directory / "listed.hosts").write_text("".join(f"e{edition}.{pattern(number).removeprefix('*.')}\n" for number in range(LISTED)))

    def test_old_ones_take_no_room(self):
        extra = f"[hosts listed]\nhost_file = listed.hosts\n[rule listed]\nto = @listed\nport = {self.origin.port}\n"
        self.write_list(0)
        self.start(extra, sandbox=SEEN)
        server = self.proxy.children()["server"]
        before, tunnels = own_bytes(server), []
        for edition in range(1, RELOADS + 1):
            tunnels.append(self.open_tunnel())
            self.write_list(edition)
            self.reload()
        print(f"\n{RELOADS} editions of {LISTED} patterns, each with a tunnel: {(own_bytes(server) - before) >> 20} MiB more than one", flush=True)
        wait_until("memory to come back", lambda: own_bytes(server) - before < LEFT)
        policies = {record["policy"] for record in self.proxy.decisions()}
        self.assertEqual(RELOADS, len(policies))
        for tunnel in tunnels:
            self.assert_echo(tunnel)
            tunnel.close()
        self.proxy.wait_records("all closes", lambda rs: sum(record["event"] == "close" for record in rs) == RELOADS)
        closes = [record for record in self.proxy.records() if record["event"] == "close"]
        self.assertEqual((policies, {"test"}, {"local"}), tuple({close[key] for close in closes} for key in ("policy", "rule", "client_group")))
