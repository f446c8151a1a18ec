"""Thousands of connections through each mode: none is lost, each has exactly one decision and one close; and what that costs in conntrack."""

import collections
import json
import pathlib
import subprocess
import sys

import telling
import load
from harness import SANITIZED
from network import FAMILIES, SOURCES, address_of
from telling import Telling, in_each_mode

setUpModule = telling.setUpModule
AGENTS = ("agent1", "agent2")
TOTAL = 1000 if SANITIZED else 10000
EACH = TOTAL // len(AGENTS) // len(FAMILIES)
OTHERS = TOTAL // 100  # what else may have come into conntrack's sight meanwhile: questions, other tests' last packets
PROGRAM = [sys.executable, "-B", str(pathlib.Path(load.__file__))]


class Load:
    def start(self, namespace, *arguments):
        process = self.lab.network[namespace].start(*PROGRAM, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def conclude(self, process):
        """What the program printed at its end."""
        said = json.loads(process.communicate(timeout=240)[0].splitlines()[-1])
        self.assertEqual(0, process.returncode)
        return said

    def ask_thousands(self):
        """Both agents ask at the same time, one family after the other; returns how many entries conntrack got from it."""
        origin = self.start("internet", "serve", *(address_of("busy", family) for family in FAMILIES))
        self.assertEqual("ready\n", origin.stdout.readline())
        self.lab.network["appliance"].run("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_timeout_time_wait=600")  # none is forgotten meanwhile
        before = self.lab.conntrack()
        for family in FAMILIES:
            askers = [self.start(agent, "ask", address_of("busy", family), str(EACH)) for agent in AGENTS]
            for asker in askers:
                self.assertEqual({"asked": EACH, "faults": {}}, self.conclude(asker))
        entries = self.lab.conntrack() - before
        seen = self.conclude(origin)
        self.assertEqual(TOTAL, seen["answered"])
        self.assertLessEqual(set(seen["sources"]), {*SOURCES, "203.0.113.20"})
        return entries

    def check_records(self):
        records = [record for record in self.finish() if record["host"] == "busy.example"]
        decisions = [record for record in records if record["event"] == "decision"]
        self.assertEqual({("rule_allow", self.lab.mode): TOTAL}, collections.Counter((record["reason"], record["mode"]) for record in decisions))
        expected = {address_of(agent, family): EACH for agent in AGENTS for family in FAMILIES}
        self.assertEqual(expected, collections.Counter(record["client_ip"] for record in decisions))
        self.assertEqual({record["id"] for record in decisions}, {record["id"] for record in records if record["event"] == "close"})
        self.assertEqual(2 * TOTAL, len(records))
        self.assertEqual({}, self.lab.network.strays())

    def test_none_is_lost_and_redirect_tracks_each_and_tproxy_none(self):
        self.open()
        entries = self.ask_thousands()
        self.check_records()
        if self.mode == "redirect":
            self.assertGreaterEqual(entries, TOTAL)
        else:
            self.assertLess(entries, OTHERS)


in_each_mode(globals(), Load, Telling)
