"""contrib/lab: one command puts the lab up, and whatever ends it takes everything down."""

import os
import pty
import re
import select
import signal
import subprocess
import unittest

import enclosure
import telling
from harness import PATIENCE, wait_until
from network import MODES, TOP
from walk import TRY

setUpModule = telling.setUpModule
COMMAND = str(TOP / "contrib" / "lab")

# What is seen of each row of walk.TRY, and the record of it.
TRIED = (
    ("this is allowed", "allow"),
    ("access denied", "deny"),
    ("unrecognized name", "deny"),
    ("this is git", "allow"),
    ("this is allowed", "allow"),
    ("access denied", "deny"),
    ("this is allowed", "allow"),
)


class Terminal:
    """A person at a terminal, in which a command runs."""

    def __init__(self, *command):
        self.keyboard, terminal = pty.openpty()
        self.process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
                                        preexec_fn=lambda: os.close(os.open(os.ttyname(terminal), os.O_RDWR)))  # it is that session's terminal now
        os.close(terminal)
        self.shown = ""

    def type(self, text, end="\n"):
        self.shown = ""
        os.write(self.keyboard, (text + end).encode())

    def expect(self, pattern):
        """Waits until what is shown since the last typing matches."""
        wait_until(f"{pattern} on the terminal", lambda: self.look() or re.search(pattern, self.shown, re.DOTALL))

    def look(self):
        if select.select([self.keyboard], [], [], 0.1)[0]:
            self.shown += os.read(self.keyboard, 4096).decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.keyboard)


class Walk(unittest.TestCase):
    def setUp(self):
        self.before = {pid for pid, _ in enclosure.others()}

    def tearDown(self):
        wait_until("the end of every process", lambda: not self.left())

    def left(self):
        return [command for pid, command in enclosure.others() if pid not in self.before]

    def run_lab(self, *arguments):
        return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=2 * PATIENCE)

    def test_what_a_person_is_told_to_try_in_either_mode(self):
        commands = [*(command for command, _ in TRY), "lab audit", "lab strays"]
        for mode in MODES:
            with self.subTest(mode):
                ran = self.run_lab(mode, "--run", "; echo ----; ".join(f"{{ {command}; }} 2>&1" for command in commands))
                self.assertEqual(0, ran.returncode, ran.stderr)
                *tried, audit, strays = ran.stdout.split("----\n")
                for (command, tells), (seen, _), said in zip(TRY, TRIED, tried, strict=True):
                    self.assertIn(seen, said, f"{command}: {tells}")
                self.assertEqual([verdict for _, verdict in TRIED], [line.split()[3] for line in audit.splitlines()[1:]])
                self.assertEqual("none\n", strays)

    def test_it_ends_as_its_command_ends(self):
        self.assertEqual(3, self.run_lab("--run", "exit 3").returncode)

    def test_the_vpn_is_taken_away_and_given_back(self):
        ask = "curl -sS https://wiki.corp.example/"
        ran = self.run_lab("--vpn", "mark", "--run", f"{ask}; lab vpn down; {ask}; lab audit | grep -c route_unavailable; lab vpn up; "
                                                     "lab in appliance ip link show vpn0")
        self.assertEqual(["this is wiki, asked for /", "the vpn is down", "1", "the vpn is up"], ran.stdout.splitlines()[:4])
        self.assertIn(",UP,", ran.stdout)

    def test_a_shell_that_a_person_types_into(self):
        terminal = self.enterContext(Terminal(COMMAND, "tproxy"))
        terminal.expect(r"lab audit.*agent1 # $")
        terminal.type("curl -s https://allowed.example/")
        terminal.expect(r"this is allowed.*agent1 # $")
        terminal.type("sleep 1000")
        wait_until("the sleep", lambda: "sleep 1000" in self.left())
        terminal.type("\x03", end="")
        terminal.expect(r"\^C.*agent1 # $")
        terminal.type("lab origins")
        terminal.expect(r"internet +allowed.*agent1 # $")
        terminal.type("exit")
        terminal.expect("the lab is being taken down")
        self.assertEqual(0, terminal.process.wait(PATIENCE))

    def test_whatever_kills_it_nothing_is_left(self):
        for how in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP):
            with self.subTest(how.name):
                process = subprocess.Popen([COMMAND, "--run", "echo ready; sleep 1000"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
                self.assertEqual(b"ready\n", process.stdout.readline())
                self.addCleanup(process.kill)
                wait_until("what it runs", lambda: "sleep 1000" in self.left())
                process.send_signal(how)
                process.wait(PATIENCE)
                wait_until("the end of every process", lambda: not self.left())
                process.stdout.close()
