"""The measurements of tests/bench still run; what they measure is no test's business."""

import json
import os
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
