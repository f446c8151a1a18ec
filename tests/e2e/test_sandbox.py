"""Power given up: whom each process runs as, what it may still do, and that it serves all the same."""

import contextlib
import errno
import os
import pathlib
import pwd
import signal
import subprocess
import sys
import unittest

import harness
import injection
from harness import EXEAT, LOW_PORTS, HeldPort, policy, wait_until
from proc import links, status
from tunnels import NAME, TunnelStory

NOBODY = pwd.getpwnam("nobody")
NAMES = 100  # more than are asked before resolv.conf is read again
NET_BIND_SERVICE, NET_ADMIN, NET_RAW = 1 << 10, 1 << 12, 1 << 13

# By the numbers of x86-64 and of the generic table alike.
LANDLOCK_CREATE_RULESET = "444"

# Sanitizers and gcov go without: the program says so in these words, or does not have them.
UNCONFINED = b"(a build with sanitizers or counters)" in pathlib.Path(EXEAT).read_bytes()

needs_root = unittest.skipIf(os.geteuid() != 0, "SKIPPED: only root can give power up")
needs_sandbox = unittest.skipIf(UNCONFINED, "SKIPPED: sanitizers and counters are in the way of the sandbox")
needs_injection = unittest.skipIf(injection.why_not() is not None, injection.why_not())


def capabilities(pid):
    """Permitted, effective, inheritable, ambient."""
    found = status(pid)
    return tuple(int(found[key], 16) for key in ("CapPrm", "CapEff", "CapInh", "CapAmb"))


class SandboxStory(TunnelStory):
    USER = f"user = {NOBODY.pw_name}\n"

    def run_as(self, exeat="", route="addresses = 127.0.0.0/8 ::1", extra="", **how):
        """One that keeps its files where `user` may write."""
        if "user =" in exeat:
            os.chown(self.directory, NOBODY.pw_uid, NOBODY.pw_gid)
        text = f"[exeat]\nname = test\nworkers = 2\n{exeat}" + policy(NAME, port=self.origin.port, hosts=self.hosts, route=route, extra=extra)
        self.proxy = self.exeat(text, **how)
        return self.proxy

    def pids(self):
        return {"supervisor": self.proxy.process.pid, **self.proxy.children()}

    def detail(self):
        return self.proxy.wait_records("the start", lambda records: next((r["detail"] for r in records if r["event"] == "start"), None))

    def assert_capabilities(self, supervisor=(0, 0), server=0):
        """`supervisor`: what is permitted and what is in force; of the journal none is."""
        pids = self.pids()
        self.assertEqual((*supervisor, 0, 0), capabilities(pids["supervisor"]))
        self.assertEqual((server, server, 0, 0), capabilities(pids["server"]))
        self.assertEqual((0, 0, 0, 0), capabilities(pids["journal"]))

    def assert_sandboxed(self):
        for role, pid in self.pids().items():
            found = status(pid)
            if UNCONFINED:
                continue
            self.assertEqual("1", found["NoNewPrivs"], role)
            self.assertEqual("0" if role == "supervisor" else "2", found["Seccomp"], role)

    def assert_user(self, user, groups=""):
        for role, pid in self.pids().items():
            found = status(pid)
            self.assertEqual([str(user.pw_uid)] * 4, found["Uid"].split(), role)
            self.assertEqual([str(user.pw_gid)] * 4, found["Gid"].split(), role)
            self.assertEqual(groups, found["Groups"], role)


class WhoRuns(SandboxStory):
    """/proc/PID/status of each process, by configuration."""

    @needs_root
    def test_root_with_a_user_becomes_it_and_keeps_nothing(self):
        self.run_as(self.USER, through=("setpriv", "--groups=1,2"))
        self.assert_user(NOBODY)
        self.assert_capabilities()
        self.assert_sandboxed()
        for role, pid in self.pids().items():
            self.assertEqual(0, int(status(pid)["CapBnd"], 16), role)
        self.open_tunnel()
        self.assertEqual(NOBODY.pw_uid, self.proxy.audit_path.stat().st_uid)
        self.assertIn(f"uid {NOBODY.pw_uid}, no capabilities", self.detail())
        self.await_log(f"supervisor: uid {NOBODY.pw_uid}, no capabilities")
        self.await_log(f"journal: uid {NOBODY.pw_uid}, no capabilities")

    @needs_root
    def test_root_without_a_user_stays_it_without_its_power(self):
        self.run_as()
        self.assert_user(pwd.getpwuid(0), status("self")["Groups"])
        self.assert_capabilities()
        self.assert_sandboxed()
        self.open_tunnel()
        self.await_log("started as root without [exeat] user")
        self.assertIn("uid 0, no capabilities", self.detail())

    @needs_root
    def test_a_mark_leaves_the_server_what_marks(self):
        self.run_as(self.USER, route="addresses = 127.0.0.0/8 ::1\nmark = 0x2")
        self.assert_capabilities(supervisor=(NET_RAW, 0), server=NET_RAW)
        self.open_tunnel()
        self.kill("server")
        wait_until("a tunnel", self.tunnel_works)
        self.assert_capabilities(supervisor=(NET_RAW, 0), server=NET_RAW)  # the next one has it, too
        self.assertIn("CAP_NET_RAW", self.detail())

    @needs_root
    def test_a_mark_that_comes_later_is_refused(self):
        """What marks was given up at the start: taken, its route would have no way out."""
        self.run_as(self.USER)
        tunnel, text = self.open_tunnel(), self.proxy.config.read_text()
        for turn, (mark, outcome) in enumerate((("mark = 0x2\n", "; refused "), ("", "nothing changed")), 1):
            self.proxy.config.write_text(text.replace("[route nat]\n", f"[route nat]\n{mark}"))
            self.proxy.process.send_signal(signal.SIGHUP)
            reloads = self.proxy.wait_records("the reload", lambda rs, n=turn: [r for r in rs if r["event"] == "reload"][n - 1:])
            self.assertIn(outcome, reloads[0]["detail"])
        self.await_log("[route nat] mark: takes a restart")
        self.assert_echo(tunnel)
        self.open_tunnel()

    @needs_root
    def test_a_low_port_leaves_the_supervisor_what_binds(self):
        self.run_as(self.USER, listen=f"127.0.0.1:{self.use(HeldPort('127.0.0.1', among=LOW_PORTS)).number}")
        self.assert_capabilities(supervisor=(NET_BIND_SERVICE, NET_BIND_SERVICE))
        self.open_tunnel()

    @needs_root
    def test_tproxy_leaves_the_supervisor_the_weaker_of_two(self):
        self.run_as(self.USER, extra="[listen explicit]\naddress = 127.0.0.1:0\n[listen tp]\naddress = 127.0.0.1:0\nmode = tproxy\n")
        self.assert_capabilities(supervisor=(NET_RAW, NET_RAW))
        self.open_tunnel()

    @needs_root
    def test_what_an_ordinary_user_is_given_is_kept_where_it_is_needed(self):
        """As a service manager does it: CAP_NET_ADMIN marks as well, where there is no CAP_NET_RAW."""
        given = "+net_admin,+sys_ptrace"
        os.chown(self.directory, NOBODY.pw_uid, NOBODY.pw_gid)
        through = ["setpriv", "--reuid", str(NOBODY.pw_uid), "--regid", str(NOBODY.pw_gid), "--clear-groups", "--inh-caps", given,
                   "--ambient-caps", given]
        self.run_as(route="addresses = 127.0.0.0/8 ::1\nmark = 0x2", through=through)
        self.assert_capabilities(supervisor=(NET_ADMIN, 0), server=NET_ADMIN)
        self.assert_sandboxed()
        self.open_tunnel()

    @needs_root
    def test_an_ordinary_user_cannot_become_another(self):
        os.chown(self.directory, NOBODY.pw_uid, NOBODY.pw_gid)
        self.run_as("user = root\n", through=["setpriv", "--reuid", str(NOBODY.pw_uid), "--clear-groups"])
        self.await_log(f"it cannot become [exeat] user = root, and stays uid {NOBODY.pw_uid}")

    def test_off_is_off(self):
        self.run_as("sandbox = off\n")
        for role, pid in self.pids().items():
            self.assertEqual(("0", "0"), (status(pid)["NoNewPrivs"], status(pid)["Seccomp"]), role)
        self.assertIn("no sandbox", self.detail())


@needs_root
class WhatIsNotHandedOver(SandboxStory):
    def test_standard_output_is_the_journals(self):
        """It may be the audit file."""
        with open(self.directory / "stdout", "wb") as stdout:
            self.run_as(extra="[audit]\nfile = -\n", stdout=stdout)
        outputs = {role: os.readlink(f"/proc/{pid}/fd/1") for role, pid in self.pids().items()}
        self.assertEqual("/dev/null", outputs["server"])
        self.assertEqual(str(self.directory / "stdout"), outputs["journal"])

    def test_a_server_cannot_change_what_the_next_one_goes_by(self):
        self.run_as()
        shared = [path for path, link in links(self.proxy.process.pid).items() if "memfd:exeat-configuration" in link]
        self.assertEqual(1, len(shared))
        with open(shared[0], "r+b", buffering=0) as file:
            with self.assertRaises(PermissionError):
                file.write(b"x")
            with self.assertRaises(PermissionError):
                file.truncate(0)


class WhoDoesNotRun(SandboxStory):
    def refused(self, exeat, *through):
        config = self.directory / "exeat.conf"
        config.write_text(f"[exeat]\nname = test\n{exeat}[listen a]\naddress = 127.0.0.1:0\n"
                          f"{policy(NAME)}\n[audit]\nfile = {self.directory}/audit.jsonl\n")
        ran = subprocess.run([*through, EXEAT, "run", "-c", config], capture_output=True, text=True, timeout=harness.PATIENCE,
                             stdin=subprocess.DEVNULL)
        self.assertEqual(1, ran.returncode, ran.stderr)
        self.assertNotIn("ready", ran.stderr)
        return ran.stderr

    @needs_root
    def test_a_user_that_is_not_there_or_is_root(self):
        self.assertIn("[exeat] user = no-such-user: there is no such user here", self.refused("user = no-such-user\n"))
        self.assertIn("[exeat] user = root: that is root", self.refused("user = root\n"))

    @needs_root
    def test_a_user_who_may_not_write_the_audit_file(self):
        self.directory.chmod(0o755)
        self.assertIn(f"audit file {self.directory}/audit.jsonl: Permission denied", self.refused(self.USER))

    @needs_root
    def test_root_that_may_not_change_its_user(self):
        """In a container that was started without CAP_SETUID, say."""
        self.assertIn("its uid cannot be taken", self.refused(self.USER, "setpriv", "--bounding-set", "-setuid"))

    @needs_sandbox
    def test_on_without_landlock(self):
        log = self.refused("sandbox = on\n", sys.executable, "-B", pathlib.Path(__file__).with_name("without_calls.py"), LANDLOCK_CREATE_RULESET)
        self.assertIn("sandbox = on, and not all of it can be had", log)
        self.assertIn("no Landlock (Function not implemented)", log)

    @unittest.skipUnless(UNCONFINED, "SKIPPED: this build can be sandboxed")
    def test_on_with_a_sanitizer(self):
        self.assertIn("no sandbox (a build with sanitizers or counters)", self.refused("sandbox = on\n"))


@needs_sandbox
class WhatIsMissing(SandboxStory):
    def test_auto_goes_on_without_landlock_and_says_so(self):
        self.run_as(through=[sys.executable, "-B", str(pathlib.Path(__file__).with_name("without_calls.py")), LANDLOCK_CREATE_RULESET])
        self.open_tunnel()
        self.assertIn("no_new_privs, no Landlock (Function not implemented), seccomp", self.detail())
        self.await_log("no Landlock (Function not implemented), seccomp")

    @needs_root
    def test_auto_goes_on_in_a_container_that_allows_little(self):
        """Neither CAP_SETPCAP, nor a change of groups or limits."""
        self.run_as(through=["setpriv", "--bounding-set", "-all"])
        self.assert_capabilities()
        self.assert_sandboxed()
        self.open_tunnel()

    @needs_root
    def test_on_is_whole_here(self):
        self.run_as(self.USER + "sandbox = on\n")
        self.open_tunnel()
        self.assertRegex(self.detail(), r"^mode enforce; uid \d+, no capabilities, no_new_privs, Landlock \d+, seccomp$")


@needs_root
class LifeGoesOn(SandboxStory):
    """What the processes do later, without what they had at first."""

    def test_rotation_and_restarts(self):
        proxy = self.run_as(self.USER)
        tunnel = self.open_tunnel()
        self.rotate(".3")
        wait_until("a tunnel", self.tunnel_works)
        for role, suffix in (("journal", ".2"), ("server", ".1")):
            self.kill(role)
            wait_until("a tunnel", self.tunnel_works)
            self.rotate(suffix)
        self.assert_user(NOBODY)
        self.assert_sandboxed()
        tunnel.close()
        self.assertEqual(0, proxy.stop())

    def test_resolvers_are_read_from_a_file_that_is_replaced(self):
        """As dhclient and others do it: another file is renamed into its place."""
        zones = [{f"n{i}.example.test": {"A": ["127.0.0.1"]} for i in range(NAMES)} for _ in range(2)]
        stubs = [self.use(harness.DnsStub(zone, f"127.77.77.{i + 1}", 53)) for i, zone in enumerate(zones)]
        etc = self.directory / "etc"
        etc.mkdir()
        etc.joinpath("resolv.conf").write_text("nameserver 127.77.77.1\n")
        text = f"[exeat]\nname = test\nworkers = 1\n{policy('*.example.test', port=self.origin.port)}"
        self.proxy = self.exeat(text, through=["unshare", "-m", "sh", "-c", f"mount --bind {etc} /etc && exec \"$0\" \"$@\""])

        def asks(stub, names):
            sock, status, head = self.proxy.connect(next(names), self.origin.port)
            sock.close()
            self.assertEqual(200, status, head)
            return stub.questions

        names = iter(zones[0])
        asks(stubs[0], names)
        self.assertTrue(stubs[0].questions)
        etc.joinpath("new").write_text("nameserver 127.77.77.2\n")
        etc.joinpath("new").rename(etc / "resolv.conf")
        wait_until("the other resolver", lambda: asks(stubs[1], names))

    def test_the_key_may_be_roots_alone(self):
        key = self.directory / "sign.key"
        subprocess.run([EXEAT, "audit", "keygen", key], check=True, capture_output=True)
        key.chmod(0o600)
        proxy = self.run_as(self.USER, extra=f"[audit]\nfile = {self.directory}/audit.jsonl\nsign_key = {key}\ncheckpoint = 2 1s\n")
        self.assertEqual(0, key.stat().st_uid)
        self.kill("journal")  # the next one has a key, too
        wait_until("a tunnel", self.tunnel_works)
        proxy.wait_records("a checkpoint", lambda records: any(record["event"] == "checkpoint" for record in records))
        self.assertNotIn("records go unsigned", proxy.log_text())


@needs_sandbox
@needs_root
class OneUser(SandboxStory):
    """The three of one user, and others of that user, do not get at each other."""

    @staticmethod
    def attempt(attempt, *arguments):
        """The errno with which it fails for the user that exeat runs as, outside of any sandbox; 0: it does not."""
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                os.setgroups([])
                os.setresgid(*[NOBODY.pw_gid] * 3)
                os.setresuid(*[NOBODY.pw_uid] * 3)
                try:
                    attempt(*arguments)
                    os._exit(0)
                except OSError as error:
                    os._exit(error.errno)
            os._exit(255)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    ATTEMPTS = (
        ("its memory", lambda pid: open(f"/proc/{pid}/mem", "rb").close()),
        ("its environment", lambda pid: open(f"/proc/{pid}/environ", "rb").close()),
        ("its descriptors", lambda pid: os.listdir(f"/proc/{pid}/fd")),
    )

    def test_memory_and_descriptors_are_hidden(self):
        self.run_as(self.USER)
        for role, pid in self.pids().items():
            for name, attempt in self.ATTEMPTS:
                self.assertEqual(errno.EACCES, self.attempt(attempt, pid), f"{name} ({role})")
            self.assertEqual(errno.EPERM, self.attempt(injection.ptrace, injection.PTRACE_ATTACH, pid), role)

    def test_whoever_hides_nothing_is_seen(self):
        """That the attempts above could have gone well."""
        self.run_as(self.USER + "sandbox = off\n")
        for role, pid in self.proxy.children().items():
            for name, attempt in self.ATTEMPTS:
                self.assertEqual(0, self.attempt(attempt, pid), f"{name} ({role})")


@needs_sandbox
@needs_injection
class WhatIsRefused(SandboxStory):
    """System calls made by the very processes that serve."""

    def start_with_files(self, exeat):
        records = self.directory / "records"  # what is below it is the journal's
        records.mkdir()
        os.chown(records, NOBODY.pw_uid if exeat else 0, -1)
        self.other = self.directory / "other"
        self.other.touch()
        self.other.chmod(0o666)
        self.foreign = self.directory / "foreign"
        self.foreign.touch(0o600)
        os.chown(self.foreign, 1, 1)  # neither root's nor the user's
        self.run_as(exeat, audit_path=records / "audit.jsonl")
        self.pid = self.pids()

    def call(self, role, name, *arguments):
        return injection.inject(self.pid[role], name, *arguments)

    def open(self, role, path, flags=os.O_RDONLY):
        """Minus an errno, or 0. What was opened stays so: the process does not live long."""
        return min(0, self.call(role, "openat", injection.AT_FDCWD, path, flags))

    def assert_deadly(self, role, name, *arguments):
        """And that another one takes its place."""
        pid = self.pid[role]
        with self.assertRaises(injection.Died) as died:
            self.call(role, name, *arguments)
        self.assertEqual(signal.SIGSYS, died.exception.args[0])
        self.await_another(role, pid)
        wait_until("a tunnel", self.tunnel_works)
        self.await_log(f"the {role} died of signal {signal.SIGSYS.value} (Bad system call)")
        self.pid = self.pids()

    def refuse_all(self, exeat):
        self.start_with_files(exeat)
        audit, write = self.proxy.audit_path, os.O_WRONLY | os.O_APPEND
        self.assertEqual(self.pid["supervisor"], self.call("supervisor", "getpid"))  # that calls are made at all
        self.assertEqual(-errno.EPERM, self.call("supervisor", "mount", "none", "/", "tmpfs"))
        self.assertEqual(-errno.EPERM, self.call("supervisor", "setuid", 1))
        self.assertEqual(-errno.EACCES, self.open("supervisor", self.foreign))
        for role in ("server", "journal"):
            self.assertEqual(self.pid[role], self.call(role, "getpid"), role)
            for name, *arguments in (("mount", "none", "/", "tmpfs"), ("setuid", 1), ("unlink", audit), ("rename", audit, self.other),
                                     ("kill", self.pid["supervisor"], 0)):
                self.assertEqual(-errno.ENOSYS, self.call(role, name, *arguments), f"{role} {name}")
            for path in (self.foreign, self.other, f"/proc/{self.pid['supervisor']}/mem", "/usr/bin/env"):
                self.assertEqual(-errno.EACCES, self.open(role, path), f"{role} {path}")
        self.assertEqual(-errno.EACCES, self.open("server", audit))
        self.assertEqual(-errno.ENOSYS, self.open("server", audit, write))
        self.assertEqual(-errno.EACCES, self.open("journal", self.other, write))
        self.assertEqual(0, self.open("server", "/etc/passwd"))
        self.assertEqual(0, self.open("journal", audit, write))
        self.assert_deadly("server", "listen", 0, 1)
        self.assert_deadly("server", "execve", "/usr/bin/env", 0, 0)
        self.assert_deadly("journal", "execve", "/usr/bin/env", 0, 0)

    def test_of_a_user(self):
        self.refuse_all(self.USER)

    def test_of_root_without_a_user(self):
        self.refuse_all("")


if __name__ == "__main__":
    unittest.main()
