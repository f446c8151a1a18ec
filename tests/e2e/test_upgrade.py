"""Upgrades: another program in place of the one that runs, while tunnels are open and others are opened."""

import concurrent.futures
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import audit_check
import harness
from harness import EXEAT, LOW_PORTS, SANITIZED, HeldPort, client_hello, echoes, long_story, plain_story, receive_all, wait_until
from proc import is_gone, status
from test_service import Manager
from tunnels import NAME, TunnelStory
from watching import Door

# The supervisor holds the signal back until it looks for it, also over an exec.
EARLY = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
os.kill(os.getpid(), signal.SIGUSR2)
os.execv(sys.argv[1], sys.argv[1:])
"""

ADMIN = "[admin]\nlisten = unix:{dir}/admin.sock\n"


class UpgradeStory(TunnelStory):
    """exeat runs from a place of its own, where another program may be put."""

    def setUp(self):
        super().setUp()
        self.program = self.directory / "exeat"
        shutil.copy(EXEAT, self.program)
        self.upgrades = 0

    def start(self, extra="", exeat="", **how):
        self.exeat_section = f"[exeat]\nname = test\nworkers = 2\n{exeat}"
        super().start(extra=self.exeat_section + ADMIN + extra, program=self.program, **how)
        self.door = Door(self.proxy.ports["admin"])
        return self.proxy

    def install(self, content=None):
        """Puts another program in place, as a package does: the same one anew, or a script."""
        new = self.directory / "exeat.new"
        if content is None:
            shutil.copy(EXEAT, new)
        else:
            new.write_text(content)
            new.chmod(0o755)
        new.rename(self.program)

    def ask(self):
        self.proxy.process.send_signal(signal.SIGUSR2)

    def upgrade(self):
        self.upgrades += 1
        self.ask()
        self.await_log("upgraded: generation ", self.upgrades)

    def refuse(self, why):
        """An upgrade that must not be, after which everything is as it was."""
        before = self.pids()
        self.ask()
        self.await_log(f"the upgrade is refused: {why}")
        self.assertEqual(before, self.pids())
        self.assertTrue(self.tunnel_works())

    def pids(self, role=None):
        """Of those that run, the oldest first."""
        return [pid for found, pid in self.proxy.processes() if role in (None, found)]

    def await_servers(self, count):
        return wait_until(f"{count} servers", lambda: len(self.pids("server")) == count and self.pids("server"))

    def runs_new(self, pid):
        return os.stat(f"/proc/{pid}/exe").st_ino == self.program.stat().st_ino


class Upgrade(UpgradeStory):
    def test_everything_runs_the_new_program_and_tunnels_go_on(self):
        self.start()
        tunnel = self.open_tunnel()
        waiting = self.connect()  # which has not said hello yet
        pid, before = self.proxy.process.pid, self.pids()
        self.install()
        self.upgrade()
        self.assert_echo(tunnel)
        self.assert_echo(waiting, client_hello(NAME))
        self.assert_echo(self.open_tunnel())
        old, new = self.await_servers(2)
        self.assertIn(old, before)
        for one in (pid, new, *self.pids("journal")):
            self.assertTrue(self.runs_new(one), f"{one} runs another program")
        self.assertFalse(set(self.pids("journal")) & set(before))
        tunnel.close()
        waiting.close()
        wait_until("the old server's end", lambda: is_gone(old))
        self.assertEqual(0, self.proxy.stop())
        events = [record["event"] for record in self.proxy.records()]
        self.assertEqual((2, 2, 0), tuple(map(events.count, ("start", "stop", "recovered"))))

    def test_the_command_waits_until_it_is_done(self):
        self.start()
        tunnel = self.open_tunnel()
        for generation in (2, 3):
            done = self.command()
            self.assertEqual((0, f"upgraded: generation {generation} serves\n"), (done.returncode, done.stdout), done.stderr)
        self.await_servers(2)  # the one between had nothing open
        self.assert_echo(tunnel)

    def command(self):
        return subprocess.run([EXEAT, "upgrade", "-c", str(self.proxy.config)], capture_output=True, text=True, timeout=harness.PATIENCE)

    def test_the_command_says_why_not(self):
        self.start()
        self.install("#!/bin/sh\necho '<2>this is none' >&2\nexit 1\n")
        done = self.command()
        self.assertEqual(1, done.returncode, done.stdout)
        self.assertIn("this is none", done.stderr)

    def test_a_program_that_cannot_go_on_changes_nothing(self):
        self.start()
        tunnel = self.open_tunnel()
        for content, why in (
                ("#!/bin/sh\necho 'not this one' >&2\nexit 1\n", "not this one"),
                ("#!/bin/sh\nexit 3\n", "the new program cannot go on from here, and does not say why"),
                ("no program\n", f"{self.program}: Exec format error"),
        ):
            with self.subTest(why):
                self.install(content)
                self.refuse(why)
        self.program.unlink()
        self.refuse(f"{self.program}: No such file or directory")
        self.install()
        self.upgrade()
        self.assert_echo(tunnel)

    def test_a_server_that_does_not_come_up_changes_nothing(self):
        self.start()
        tunnel = self.open_tunnel()
        server = self.pids("server")
        self.install(f'#!/bin/sh\nEVENT_NOEPOLL=1 EVENT_NOPOLL=1 EVENT_NOSELECT=1 exec {EXEAT} "$@"\n')  # a libevent that has nothing to wait with
        self.ask()
        self.await_log("the upgrade is refused: the server of the new program has ended before it was ready")
        self.assertEqual(server, self.await_servers(1))
        self.assert_echo(tunnel)
        self.assert_echo(self.open_tunnel())

    def test_what_is_asked_for_in_an_upgrade_is_done_after_it(self):
        self.start()
        go = self.directory / "go"
        os.mkfifo(go)
        self.install(f'#!/bin/sh\ncase $EXEAT_HANDOVER in try:*) read go < {go} ;; esac\nexec {EXEAT} "$@"\n')
        with concurrent.futures.ThreadPoolExecutor() as others:
            asked = [others.submit(self.door.ask, "/upgrade", "POST")]
            self.await_log("is tried")
            asked += [others.submit(self.door.ask, path, "POST") for path in ("/upgrade", "/reload", "/upgrade")]
            for how in (signal.SIGHUP, signal.SIGUSR2):
                self.proxy.process.send_signal(how)
            wait_until("the signals to be taken", lambda: int(status(self.proxy.process.pid)["ShdPnd"], 16) == 0)
            go.write_text("on\n")
            answers = [answer.result() for answer in asked]
        self.assertEqual([200] * 4, [answer[0] for answer in answers], answers)
        self.await_log("upgraded: generation 3 serves")
        self.await_log("reloaded: ")
        self.await_servers(1)

    def test_one_that_is_asked_for_before_exeat_is_ready(self):
        where = self.directory / "notify"
        manager = self.use(Manager(str(where)))
        early = [sys.executable, "-c", EARLY]  # asks as soon as that does not end exeat
        self.start(environment={"NOTIFY_SOCKET": str(where)}, through=early)
        self.assertEqual("1", manager.next()["READY"])
        self.await_log("upgraded: generation 2 serves")
        self.assertTrue(self.tunnel_works())

    def test_whoever_looks_finds_it_ready_all_the_time(self):
        self.start()
        done, seen = threading.Event(), set()

        def look():
            while not done.is_set():
                seen.add(self.door.ask("/readyz")[0::2])
        lookers = [threading.Thread(target=look, daemon=True) for _ in range(3)]
        for looker in lookers:
            looker.start()
        for _ in range(6):
            self.upgrade()
        done.set()
        for looker in lookers:
            looker.join()
        self.assertEqual({(200, "ready\n")}, seen)

    def test_a_reload_reaches_every_generation(self):
        self.start()
        old = self.open_tunnel()
        self.upgrade()
        new = self.open_tunnel()
        text = self.proxy.config.read_text()
        self.proxy.config.write_text(text.replace(f"to = {NAME}", "to = other.example.test"))
        begun = time.monotonic()
        self.proxy.process.send_signal(signal.SIGHUP)
        for tunnel in (old, new):
            self.assertEqual(b"", receive_all(tunnel))
        self.assertLess(time.monotonic() - begun, harness.BACK_WITHIN + 1)
        self.await_log("reloaded: ")
        self.await_servers(1)
        closes = self.proxy.wait_records("both closes", lambda rs: len(found := [r for r in rs if r["event"] == "close"]) == 2 and found)
        self.assertEqual(["policy_revoked"] * 2, [close["end"] for close in closes])

    @plain_story
    def test_a_generation_that_hangs_does_not_refuse_a_reload(self):
        """It is ended, so that what it has open does not go on by rules that are not in force any more."""
        self.start()
        old = self.open_tunnel()
        mine = self.proxy.wait_decision()["id"]
        self.upgrade()
        new = self.open_tunnel()
        hanging, serving = self.await_servers(2)
        os.kill(hanging, signal.SIGSTOP)
        text = self.proxy.config.read_text()
        self.proxy.config.write_text(text.replace(f"to = {NAME}", "to = other.example.test"))
        self.proxy.process.send_signal(signal.SIGHUP)
        self.await_log("generation 1 has retired and does not follow a reload")
        for tunnel in (old, new):
            self.assertEqual(b"", receive_all(tunnel))
        self.await_log("reloaded: ")
        self.assertEqual([serving], self.await_servers(1))
        recovered = self.proxy.wait_records("what became of it", lambda records: [r for r in records if r["event"] == "recovered"])
        self.assertIn(mine, recovered[0]["detail"])

    def test_no_edition_has_the_number_of_one_that_was_refused(self):
        """A server may still answer to that, and would be taken at its word."""
        self.start()
        taken = self.use(socket.create_server(("127.0.0.1", 0)))
        self.proxy.config.write_text(self.proxy.config.read_text() + f"[listen taken]\naddress = 127.0.0.1:{taken.getsockname()[1]}\n")
        self.proxy.process.send_signal(signal.SIGHUP)
        self.await_log("the reload is refused")
        left = self.directory / "left"
        self.install(f"#!/bin/sh\ncat /proc/self/fd/${{EXEAT_HANDOVER#try:}} >{left}\necho seen >&2\nexit 1\n")
        self.refuse("seen")
        words = left.read_text().split()
        self.assertEqual("2", words[words.index("configuration") + 3], words)

    def test_what_only_a_restart_changes_stays(self):
        self.start()
        text = self.proxy.config.read_text()
        self.proxy.config.write_text(text.replace("name = test", "name = other"))
        self.proxy.process.send_signal(signal.SIGHUP)
        self.await_log("reloaded: ")
        self.upgrade()
        self.open_tunnel()
        self.assertEqual({"test"}, {record["instance"] for record in self.proxy.records()})

    def test_files_are_watched_further(self):
        self.start(exeat="watch = on\n")
        self.upgrade()
        self.proxy.config.write_text(self.proxy.config.read_text() + "\n[rule more]\nto = more.example.test\n")
        self.await_log("reloaded: rule more added")

    def test_a_stop_and_a_drain_reach_every_generation(self):
        for how in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(how):
                self.start()
                old = self.open_tunnel()
                self.upgrades = self.proxy.log_text().count("upgraded: generation ")
                self.upgrade()
                new = self.open_tunnel()
                self.proxy.process.send_signal(how)
                if how == signal.SIGTERM:
                    self.await_log("draining: nobody is let in any more")
                    for tunnel in (old, new):
                        self.assert_echo(tunnel)
                        tunnel.close()
                self.assertEqual(0, self.proxy.process.wait(harness.PATIENCE), self.proxy.log_text())

    def test_a_generation_that_dies_takes_only_its_own_with_it(self):
        self.start()
        old = self.open_tunnel()
        self.upgrade()
        new = self.open_tunnel()
        old_pid, new_pid = self.await_servers(2)
        mine = self.proxy.decisions()[0]["id"]
        os.kill(old_pid, signal.SIGKILL)
        self.assertEqual(b"", receive_all(old))
        self.assert_echo(new)
        self.await_log("generation 1 has ended")
        recovered = self.proxy.wait_records("what became of it", lambda records: [r for r in records if r["event"] == "recovered"])
        self.assertIn(mine, recovered[0]["detail"])
        self.assertEqual([new_pid], self.pids("server"))

    def test_the_journal_may_die_and_rotate_with_two_generations(self):
        self.start()
        old = self.open_tunnel()
        self.upgrade()
        new = self.open_tunnel()
        self.kill("journal")
        wait_until("a tunnel", self.tunnel_works)
        self.rotate(".1")
        for tunnel in (old, new):
            self.assert_echo(tunnel)
            tunnel.close()
        self.await_servers(1)

    def test_a_listener_on_a_port_of_the_privileged_after_it(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to begin with")
        nobody = pwd.getpwnam("nobody")
        os.chown(self.directory, nobody.pw_uid, nobody.pw_gid)
        port = self.use(HeldPort("127.0.0.1")).number
        low, another = (self.use(HeldPort("127.0.0.1", among=LOW_PORTS)).number for _ in range(2))
        self.start(exeat="user = nobody\n", extra=f"[listen low]\naddress = 127.0.0.1:{low}\n[listen explicit]\naddress = 127.0.0.1:{port}\n")
        self.upgrade()
        text = self.proxy.config.read_text()
        self.proxy.config.write_text(text.replace(f"127.0.0.1:{low}", f"127.0.0.1:{another}"))
        self.proxy.process.send_signal(signal.SIGHUP)
        self.await_log(f"listening on 127.0.0.1:{another}")
        self.assertIn("CapEff:\t0000000000000400", pathlib.Path(f"/proc/{self.proxy.process.pid}/status").read_text())
        self.assertIn("CapEff:\t0000000000000000", pathlib.Path(f"/proc/{self.pids('server')[-1]}/status").read_text())


class UnderLoad(UpgradeStory):
    COUNT = 5 if SANITIZED else 20
    GENERATIONS = 6  # that have something open, in the end

    def setUp(self):
        super().setUp()
        self.failures, self.done, self.opened = [], threading.Event(), 0

    def client(self):
        """Opens one tunnel after the other; each must work."""
        while not self.done.is_set():
            try:
                sock, status, head = self.proxy.connect(NAME, self.origin.port, timeout=harness.PATIENCE)
                with sock:
                    if status != 200 or not echoes(sock, client_hello(NAME)):
                        raise ConnectionError(head or "no answer")
                self.opened += 1
            except OSError as error:
                self.failures.append(repr(error))

    @long_story
    def test_many_upgrades_lose_no_connection(self):
        self.start()
        clients = [threading.Thread(target=self.client, daemon=True) for _ in range(4)]
        for client in clients:
            client.start()
        tunnels = []
        for number in range(self.COUNT):
            tunnels.append(self.open_tunnel())
            if number % 5 == 0:
                self.install()
            self.upgrade()
            for tunnel in tunnels:
                self.assert_echo(tunnel)
            if len(tunnels) == self.GENERATIONS:
                tunnels.pop(0).close()
        self.done.set()
        for client in clients:
            client.join()
        self.assertEqual([], self.failures)
        self.assertGreater(self.opened, self.COUNT)
        for tunnel in tunnels:
            tunnel.close()
        self.await_servers(1)
        self.assertEqual(0, self.proxy.stop())
        records = self.proxy.records()
        events = [record["event"] for record in records]
        self.assertEqual((self.COUNT + 1, self.COUNT + 1), (events.count("start"), events.count("stop")))
        self.assertFalse({"recovered", "gap"} & set(events))
        audit_check.check_files(audit_check.history(self.proxy.audit_path), first=1)
        print(f"{self.COUNT} upgrades, {self.opened} tunnels", flush=True)
