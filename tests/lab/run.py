"""Runs the tests of the lab in an enclosure, and looks at its end whether anything was left behind. Arguments are passed to unittest."""

import os
import pathlib
import sys
import unittest

import e2e  # noqa: F401
import enclosure

HERE = pathlib.Path(__file__).parent


def tests():
    told = unittest.main(module=None, argv=["run-lab", "discover", "-v", "-s", str(HERE), *sys.argv[1:]], exit=False).result
    left = [f"process {pid}: {command}" for pid, command in enclosure.others()] + [f"namespace {name}" for name in os.listdir("/run/netns")]
    for thing in left:
        print(f"LEFT BEHIND: {thing}")
    if told.testsRun == 0:
        print("NO TEST has such a name")
    return int(not told.wasSuccessful() or told.testsRun == 0 or bool(left))


if __name__ == "__main__":
    sys.exit(enclosure.run(tests))
