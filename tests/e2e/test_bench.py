"""The measurements of tests/bench still run, and what the study of sockmap found still holds; what they measure is no test's business."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

from harness import DATA, EXEAT, PATIENCE, SANITIZED, EndToEndTest


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

    def test_bench(self):
        load = pathlib.Path(EXEAT).parent / "tests/bench/load"
        if not load.exists():
            self.skipTest(f"there is no {load}: make check builds it")
        cases = ["connect", "sni", "down", "echo", "idle", "reject"]
        path = self.directory / "bench.json"
        ran = subprocess.run([sys.executable, DATA / "bench/bench", "--exeat", os.path.abspath(EXEAT), "--load", load.absolute(), "--scale", "0.02", "--rounds", "1",
                              "--subjects", "floor", "exeat", "--cases", *cases, "--json", path],
                             capture_output=True, text=True, timeout=6 * PATIENCE, check=False)
        self.assertEqual(0, ran.returncode, ran.stderr)
        medians = {row["case"]: row["median"] for row in json.loads(path.read_text())["rows"] if row["subject"] == "exeat"}
        self.assertLessEqual(set(cases) - {"sni"}, set(medians))  # which may be left out where there can be no enclosure
        self.assertTrue(all(median > 0 for median in medians.values()), medians)


class Sockmap(EndToEndTest):
    EXPERIMENTS = ("counts", "half-close", "back-pressure", "revoke", "hand-over", "errors", "privilege", "cost")
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
