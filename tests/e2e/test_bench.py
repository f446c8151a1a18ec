"""The measurements of tests/bench still run, and what the study of sockmap found still holds; what they measure is no test's business."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

from harness import DATA, EXEAT, PATIENCE, SANITIZED, EndToEndTest, long_story, plain_story


@long_story
@unittest.skipIf(SANITIZED, "what a sanitized program costs tells nothing")
class Bench(EndToEndTest):
    def test_journal(self):
        ran = subprocess.run([sys.executable, DATA / "bench/journal.py", "--rounds", "1", "--tunnels", "40", "--json", "--directory", self.directory],
                             env={**os.environ, "EXEAT": EXEAT}, capture_output=True, text=True, timeout=3 * PATIENCE, check=False)
        self.assertEqual(0, ran.returncode, ran.stderr)
        results = [json.loads(line) for line in ran.stdout.splitlines()]
        self.assertEqual(["pipe, no chain", "no chain", "chain", "sync, no chain", "sync and chain"], [result["variant"] for result in results])
        for result in results:
            self.assertTrue(0 < result["journal_us"] < result["whole_us"] and 0 < result["p50_ms"] <= result["p99_ms"], result)

    def run_script(self, script, *words):
        """What it printed."""
        load = pathlib.Path(EXEAT).parent / "tests/bench/load"
        if not load.exists():
            self.skipTest(f"there is no {load}: make check builds it")
        ran = subprocess.run([sys.executable, DATA / "bench" / script, "--exeat", os.path.abspath(EXEAT), "--load", load.absolute(), *words],
                             capture_output=True, text=True, timeout=6 * PATIENCE, check=False)
        if ran.returncode == 77:
            self.skipTest(ran.stderr)
        self.assertEqual(0, ran.returncode, ran.stderr)
        return ran.stdout

    def bench(self, *cases):
        """{(case, subject): row} of a bench so small that it says nothing."""
        path = self.directory / "bench.json"
        self.run_script("bench", "--scale", "0.02", "--rounds", "1", "--subjects", "floor", "exeat", "--cases", *cases, "--json", path)
        return {(row["case"], row["subject"]): row for row in json.loads(path.read_text())["rows"]}

    def test_bench(self):
        cases = ["connect", "sni", "down", "echo", "idle", "reject"]
        medians = {case: row["median"] for (case, subject), row in self.bench(*cases).items() if subject == "exeat"}
        self.assertLessEqual(set(cases) - {"sni"}, set(medians))  # which may be left out where there can be no enclosure
        self.assertTrue(all(median > 0 for median in medians.values()), medians)

    def test_who_is_unknown_is_not_left_out_in_silence(self):
        ran = subprocess.run([sys.executable, DATA / "bench/bench", "--subjects", "floor", "celling"], capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(2, ran.returncode)
        self.assertIn("invalid choice: 'celling' (choose from 'floor', 'floor (copy)', 'exeat',", ran.stderr)

    def test_scale(self):
        """Rows with subjects of their own, which are compared with something else than the floor."""
        rows = self.bench("idle-active", "connect-workers", "echo-workers")
        self.assertEqual([("idle-active", "floor"), ("idle-active", "2 workers")] +
                         [(case, who) for case in ("connect-workers", "echo-workers") for who in ("1 worker", "2 workers", "4 workers")], list(rows))
        self.assertTrue(all(row["median"] > 0 and row["ratio_least"] > 0 for row in rows.values()), rows)
        self.assertEqual((1.2, "without the idle ones"), (rows["idle-active", "2 workers"]["bound"], rows["idle-active", "2 workers"]["base"]))
        self.assertEqual([1, 1, 1], [rows["echo-workers", "1 worker"][key] for key in ("ratio", "ratio_least", "ratio_most")])

    def test_reload(self):
        row = self.bench("reload")["reload", "reloaded"]
        self.assertEqual((2000, True), (row["bound"], row["absolute"]))

    @unittest.skipUnless(shutil.which("strace"), "strace is not installed")
    def test_syscalls(self):
        calls = json.loads(self.run_script("syscalls", "--tunnels", "20", "--parallel", "1", "--json"))
        found = {(call["process"], call["call"], call["on"]): call for call in calls}
        for key in (("server", "socket", "-"), ("server", "connect", "origin"), ("server", "close", "client"), ("server", "close", "origin")):
            self.assertEqual(1, found[key]["a_tunnel"], key)
        self.assertLessEqual(1, found["server", "accept4", "listener"]["a_tunnel"])
        self.assertLessEqual(1, found["journal", "write", "file"]["a_tunnel"], "alone, each has a decision of its own")
        self.assertEqual([], [key for key, call in found.items() if call["a_tunnel"] >= 0.5 and not call["why"]], "why is each needed?")


@long_story
@plain_story
class Sockmap(EndToEndTest):
    EXPERIMENTS = ("counts", "half-close", "revoke", "hand-over", "errors", "privilege", "cost")  # not back-pressure: on a busy machine it is too slow to be held to
    SKIPPED = 77

    def test_study(self):
        study = pathlib.Path(EXEAT).parent / "tests/bench/sockmap/study"
        if not study.exists():
            self.skipTest(f"there is no {study}: make check builds it")
        ran = subprocess.run([study.absolute(), "--rounds", "1", "--scale", "0.02", *self.EXPERIMENTS], capture_output=True, text=True, timeout=6 * PATIENCE, check=False)
        if ran.returncode == self.SKIPPED:
            self.skipTest(ran.stderr.strip())
        self.assertEqual(0, ran.returncode, ran.stdout + ran.stderr)
        titles = [line.split(":")[0] for line in ran.stdout.splitlines() if line[0] != " "]
        self.assertEqual(list(self.EXPERIMENTS), titles)
