"""exeat under a service manager: what it tells it, and whether the unit file is right as far as that shows without systemd as init."""

import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import time
import unittest

from harness import EXEAT, PATIENCE, SANITIZED, SEEN, EndToEndTest, wait_until
from tunnels import TunnelStory

CONTRIB = pathlib.Path(__file__).parents[2] / "contrib" / "systemd"
BEAT = "WATCHDOG=1"


class Manager:
    """The service manager's end of NOTIFY_SOCKET; like systemd's it knows who speaks."""

    def __init__(self, address):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.sock.bind(address)
        self.pids = set()

    def hear(self, within=PATIENCE):
        """The next message, whatever it is, as it is; None when nothing comes."""
        if not select.select([self.sock], [], [], within)[0]:
            return None
        data, ancillary, _, _ = self.sock.recvmsg(4096, socket.CMSG_SPACE(12))
        self.pids.add(struct.unpack("3i", ancillary[0][2])[0])
        return data.decode("ascii")

    def next(self):
        """The next message that is more than a beat and words, by its keys."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            message = self.hear()
            assert message is not None, "nothing was said"
            if message != BEAT and not message.startswith("STATUS="):
                return dict(line.split("=", 1) for line in message.split("\n"))
        raise AssertionError("nothing was said but beats and words")

    def close(self):
        self.sock.close()


class ServiceStory(TunnelStory):
    def manage(self, address=None, **environment):
        address = address or str(self.directory / "notify")
        self.manager = self.use(Manager(address.replace("@", "\0", 1)))
        self.start(environment={"NOTIFY_SOCKET": address, **environment}, sandbox=SEEN)

    def assert_ready(self, message):
        self.assertEqual({"READY": "1", "STATUS": f"2 workers on 127.0.0.1:{self.proxy.port} (explicit)"}, message)


class Told(ServiceStory):
    def test_ready_reload_stop(self):
        self.manage()
        self.assert_ready(self.manager.next())
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.proxy.process.send_signal(signal.SIGHUP)
        reloading = self.manager.next()
        self.assertEqual("1", reloading["RELOADING"])
        self.assertLess(before, int(reloading["MONOTONIC_USEC"]), "the manager waits for a reload that began after it asked")
        self.assert_ready(self.manager.next())
        self.proxy.process.send_signal(signal.SIGTERM)
        self.assertEqual("1", self.manager.next()["STOPPING"])
        self.assertEqual(0, self.proxy.stop())
        self.assertEqual({self.proxy.process.pid}, self.manager.pids, "one process speaks for the service")

    def test_a_refused_reload_ends_too(self):
        self.manage()
        self.assert_ready(self.manager.next())
        text = self.proxy.config.read_text()
        self.proxy.config.write_text(text + "[rule broken]\n")
        self.proxy.process.send_signal(signal.SIGHUP)
        self.assertIn("RELOADING", self.manager.next())
        self.assert_ready(self.manager.next())
        wait_until("the log to say so", lambda: "the reload is refused" in self.proxy.log_text())  # which is written aside
        self.proxy.config.write_text(text)

    def test_who_cannot_serve_is_never_ready(self):
        address = str(self.directory / "notify")
        manager = self.use(Manager(address))
        config = self.directory / "early.conf"
        config.write_text(f"[listen explicit]\naddress = 127.0.0.1:0\n[audit]\nfile = {self.directory}/none/audit.jsonl\n")
        done = subprocess.run([EXEAT, "run", "-c", config], env={**os.environ, "NOTIFY_SOCKET": address}, capture_output=True, timeout=PATIENCE)
        self.assertEqual(1, done.returncode, done.stderr)
        messages = []
        while (message := manager.hear(0)) is not None:
            messages.append(message)
        self.assertFalse([m for m in messages if "READY" in m], messages)

    def test_an_abstract_name(self):
        self.manage(f"@exeat-test-{os.getpid()}")
        self.assert_ready(self.manager.next())

    def test_children_know_of_no_manager(self):
        self.manage(WATCHDOG_USEC="60000000")
        for role, pid in self.proxy.children().items():
            environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
            self.assertNotIn(b"NOTIFY_SOCKET", environment, role)
            self.assertNotIn(b"WATCHDOG", environment, role)

    def test_a_manager_that_is_gone_is_said_once_and_harms_nobody(self):
        self.manage()
        self.assert_ready(self.manager.next())
        self.manager.close()
        (self.directory / "notify").unlink()
        for count in (1, 2):
            self.proxy.process.send_signal(signal.SIGHUP)
            self.proxy.wait_records("the reload", lambda rs, n=count: sum(r["event"] == "reload" for r in rs) == n)
        self.assert_echo(self.open_tunnel())
        self.assertEqual(0, self.proxy.stop())
        self.assertEqual(1, self.proxy.log_text().count("$NOTIFY_SOCKET"))

    def test_it_says_that_tunnels_are_refused(self):
        """… because the audit file cannot be had: a directory stands in its place when it is to be opened anew."""
        self.manage(WATCHDOG_USEC="300000")
        file = self.proxy.audit_path
        other = self.rename(".1")
        file.mkdir()
        journal = self.strike("journal")
        self.await_status("new tunnels are refused: the audit journal cannot be written; 2 workers on ")
        file.rmdir()
        other.rename(file)
        self.await_another("journal", journal)
        self.await_status("2 workers on ")

    def await_status(self, words):
        wait_until(words, lambda: (self.manager.hear() or "").startswith(f"STATUS={words}"))


class Watchdog(ServiceStory):
    def beats(self, within):
        """How many come in this time."""
        count, end = 0, time.monotonic() + within
        while (left := end - time.monotonic()) > 0:
            count += self.manager.hear(left) == BEAT
        return count

    def await_beat(self):
        wait_until("a beat", lambda: self.manager.hear() == BEAT)

    def test_the_server_feeds_it_and_not_the_supervisor(self):
        self.manage(WATCHDOG_USEC="300000")
        server = self.proxy.children()["server"]
        self.await_beat()
        self.await_beat()
        os.kill(server, signal.SIGSTOP)
        try:
            # behind what was under way: the supervisor alone cannot know that the workers are alive
            wait_until("a second without a beat", lambda: self.beats(1) == 0)
        finally:
            os.kill(server, signal.SIGCONT)
        self.await_beat()

    def test_a_new_server_feeds_it_too(self):
        self.manage(WATCHDOG_USEC="300000")
        self.await_beat()
        os.kill(self.proxy.process.pid, signal.SIGSTOP)  # so that it starts no other yet
        self.strike("server")
        os.kill(self.proxy.process.pid, signal.SIGCONT)
        self.beats(0.3)
        self.await_beat()

    def test_another_process_s_watchdog_is_not_fed(self):
        self.manage(WATCHDOG_USEC="300000", WATCHDOG_PID="1")
        self.assert_ready(self.manager.next())
        self.assertEqual(0, self.beats(1))


def needs(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    return unittest.skipIf(missing, f"not installed here: {', '.join(missing)}")


class UnitStory(TunnelStory):
    def analyze(self, *words):
        return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=PATIENCE,
                              env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"})

    def unit(self):
        """A copy that starts the program under test."""
        unit = self.directory / "exeat.service"
        unit.write_text((CONTRIB / "exeat.service").read_text().replace("/usr/local/bin/exeat", str(pathlib.Path(EXEAT).resolve())))
        return unit

    def expand(self, words):
        """Names of calls for names of calls and of systemd's groups."""
        calls = set()
        for word in words:
            if not word.startswith("@"):
                calls.add(word)
                continue
            listed = self.analyze("syscall-filter", word).stdout.splitlines()
            calls |= self.expand([line.split()[0] for line in listed[1:] if line.strip() and not line.strip().startswith("#")])
        return calls

    def allowed_calls(self):
        allowed = set()
        for line in re.findall(r"^SystemCallFilter=(.*)$", (CONTRIB / "exeat.service").read_text(), re.M):
            named = self.expand(line.lstrip("~").split())
            allowed = allowed - named if line.startswith("~") else allowed | named
        return allowed


@needs("systemd-analyze")
class Unit(UnitStory):
    def test_systemd_finds_no_fault(self):
        done = self.analyze("verify", "--man=no", str(self.unit()))
        self.assertEqual((0, ""), (done.returncode, done.stderr))

    def test_nor_in_the_unit_of_the_sockets(self):
        self.unit()
        unit = pathlib.Path(shutil.copy(CONTRIB / "exeat.socket", self.directory))
        done = self.analyze("verify", "--man=no", str(unit))
        self.assertEqual((0, ""), (done.returncode, done.stderr))

    def test_exposure(self):
        done = self.analyze("security", "--offline=true", "--threshold=15", str(self.unit()))
        self.assertEqual(0, done.returncode, done.stdout[-500:] + done.stderr)


@needs("systemd-analyze", "strace")
@unittest.skipIf(SANITIZED, "sanitizers make system calls of their own")
class UnitCalls(UnitStory):
    def test_every_call_of_a_life_is_in_the_list(self):
        calls = self.directory / "calls"
        self.start(through=("strace", "-D", "-f", "-c", "-o", str(calls)), sandbox="on")
        self.assert_echo(self.open_tunnel())
        self.rotate(".1")
        self.proxy.process.send_signal(signal.SIGHUP)
        self.proxy.wait_records("the reload", lambda rs: any(r["event"] == "reload" for r in rs))
        self.proxy.process.send_signal(signal.SIGUSR2)
        wait_until("the upgrade", lambda: "upgraded: generation 2 serves" in self.proxy.log_text())
        self.kill("server")
        wait_until("a tunnel", self.tunnel_works)
        self.assertEqual(0, self.proxy.stop())
        wait_until("strace's end", lambda: "total" in calls.read_text())
        made = {line.split()[-1] for line in calls.read_text().splitlines()[2:-2]}
        self.assertLess({"landlock_restrict_self", "seccomp", "capset", "execveat", "sched_setattr"}, made, "not all of a life was seen")
        self.assertEqual(set(), made - self.allowed_calls())


@needs("systemd-sysusers", "systemd-tmpfiles")
@unittest.skipUnless(os.geteuid() == 0, "makes files that are another user's, as root")
class Accounts(EndToEndTest):
    def test_user_and_directories(self):
        """In a root of its own, where nothing else is."""
        root = self.directory / "root"
        (root / "etc").mkdir(parents=True)
        for words in (["systemd-sysusers", "exeat.sysusers"], ["systemd-tmpfiles", "--create", "exeat.tmpfiles"]):
            done = subprocess.run([*words[:-1], f"--root={root}", CONTRIB / words[-1]], capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(0, done.returncode, done.stderr)
        name, _, uid, gid, _, home, shell = (root / "etc/passwd").read_text().strip().split(":")
        self.assertEqual(("exeat", "/var/lib/exeat"), (name, home))
        self.assertIn("nologin", shell)
        for path in ("run/exeat", "var/lib/exeat", "var/log/exeat"):
            made = (root / path).stat()
            self.assertEqual((int(uid), int(gid), 0o40750), (made.st_uid, made.st_gid, made.st_mode), path)
