"""The Debian package on a clean machine: it is installed, serves, is upgraded under open tunnels, removed and purged."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

import audit_check
from harness import PATIENCE, Exeat, TlsOrigin, policy, receive_all, wait_until
from machine import Machine
from proc import GONE
from tunnels import NAME, TunnelStory

PACKAGE = os.environ["EXEAT_PACKAGE"]
CONFIG, AUDIT, PROGRAM = "etc/exeat/exeat.conf", "var/log/exeat/audit.jsonl", "usr/bin/exeat"
EXPLICIT = ("127.0.0.1", 3128)
README = pathlib.Path(__file__).parents[2] / "contrib/systemd/README.md"
MACHINE = None


def setUpModule():
    global MACHINE
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    root = tempfile.mkdtemp()
    unittest.addModuleCleanup(os.rmdir, root)
    MACHINE = Machine(root, os.environ["EXEAT_ROOT"], os.environ["EXEAT_GROUP"])
    unittest.addModuleCleanup(MACHINE.close)


class Installed(Exeat):
    """The exeat of the machine, which systemd has started."""

    def __init__(self):
        self.host, self.port = EXPLICIT
        self.config, self.audit_path = MACHINE.path(CONFIG), MACHINE.path(AUDIT)

    @property
    def pid(self):
        return MACHINE.show("exeat", "MainPID")

    def child_pids(self):
        """The machine's numbers of them, as `pid` is."""
        pid = self.pid
        return MACHINE.path(f"proc/{pid}/task/{pid}/children").read_text().split()

    def log_text(self):
        return MACHINE.run("journalctl", "--unit=exeat", "--output=cat").stdout

    def stop_now(self):
        """A stop that does not drain."""
        MACHINE.run("systemctl", "stop", "--no-block", "exeat", check=False)
        MACHINE.run("systemctl", "kill", "--kill-whom=main", "--signal=INT", "exeat", check=False)
        MACHINE.run("systemctl", "stop", "exeat", check=False)

    def end(self):
        self.stop_now()
        if self.audit_path.exists():
            self.check_audit()


class PackageStory(TunnelStory):
    """Each begins on a machine without the package, and leaves it so."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.purge)

    def install(self, package="/exeat.deb", *options):
        """As a user does. What it depends on is in apt's cache: there is no network."""
        told = MACHINE.run("apt-get", "install", "--yes", *options, package).stdout
        self.proxy = self.use(Installed())
        return told

    def purge(self):
        return MACHINE.run("dpkg", "--purge", "exeat").stdout

    def state(self):
        return MACHINE.run("systemctl", "is-active", "exeat", check=False).stdout.strip()

    def systemctl(self, verb):
        done = MACHINE.run("systemctl", verb, "exeat", check=False)
        self.assertEqual(0, done.returncode, f"{done.stdout}{self.proxy.log_text()}")

    def drop_in(self, text, unit="exeat.service"):
        """As `systemctl edit` makes one; taken at the next start."""
        directory = MACHINE.path(f"etc/systemd/system/{unit}.d")
        directory.mkdir(exist_ok=True)
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        (directory / f"{len(list(directory.iterdir()))}.conf").write_text(text)
        MACHINE.run("systemctl", "daemon-reload")

    def assert_denied(self):
        """What the package's configuration has for a host that it does not know."""
        sock, status, head = self.proxy.connect("evil.example", 443)
        sock.close()
        self.assertEqual(403, status, head)
        self.assertIn("default_deny", head)

    def serve_here(self, port):
        """By the package's configuration, but out to an origin of this test."""
        hosts, config = MACHINE.path("etc/exeat/hosts"), MACHINE.path(CONFIG)
        self.addCleanup(hosts.unlink)
        hosts.write_text(f"127.0.0.1 {NAME}\n")
        kept = [section for section in re.split(r"(?m)^(?=\[)", config.read_text()) if re.match(r"\[(listen|audit|admin)", section)]
        config.write_text("".join(kept) + policy(NAME, port=port, hosts="/etc/exeat/hosts"))
        self.systemctl("reload")
        self.proxy.wait_records("the reload", lambda rs: any(r["event"] == "reload" for r in rs))

    def upgrade(self):
        """To the same package again, as a later version."""
        tree = self.directory / "tree"
        subprocess.run(["dpkg-deb", "--raw-extract", PACKAGE, tree], check=True)
        control = tree / "DEBIAN/control"
        control.write_text(re.sub(r"(?m)^(Version: .*)$", r"\1+next", control.read_text()))
        subprocess.run(["dpkg-deb", "--build", "-Zgzip", tree, MACHINE.path("next.deb")], check=True, stdout=subprocess.DEVNULL)
        return self.install("/next.deb")

    def installed_version(self):
        return MACHINE.run("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", "exeat").stdout


class Install(PackageStory):
    def test_it_serves_at_once(self):
        told = self.install()
        self.assertEqual("active", self.state(), told)
        self.assertEqual("enabled", MACHINE.run("systemctl", "is-enabled", "exeat").stdout.strip())
        self.assert_denied()
        self.assertIn("ready", MACHINE.run("exeat", "status", "-c", "/" + CONFIG).stdout)

    def test_whose_things_are(self):
        self.install()
        user = MACHINE.run("id", "-u", "exeat").stdout.strip()
        for name in ("var/log/exeat", "var/lib/exeat", "run/exeat"):
            seen = MACHINE.path(name).stat()
            self.assertEqual((user, 0o40750), (str(seen.st_uid), seen.st_mode), name)
        self.assertEqual((0, 0o100644), (MACHINE.path(CONFIG).stat().st_uid, MACHINE.path(CONFIG).stat().st_mode))

    def test_what_the_unit_takes_from_it(self):
        self.install()
        status = MACHINE.path(f"proc/{self.proxy.pid}/status").read_text()
        self.assertIn(f"\nUid:\t{MACHINE.run('id', '-u', 'exeat').stdout.strip()}\t", status)
        self.assertRegex(status, r"\nCapBnd:\t0+\n")
        self.assertIn("\nNoNewPrivs:\t1\n", status)
        self.assertIn("\nSeccomp:\t2\n", status)
        start = self.proxy.records()[0]
        self.assertEqual("start", start["event"])
        self.assertIn("seccomp", str(start), "exeat's own sandbox is set inside the unit's")

    def test_a_page_through_it(self):
        self.install()
        certificate = self.certificate(NAME)
        origin = self.use(TlsOrigin(certificate))
        self.serve_here(origin.port)
        done = subprocess.run(["curl", "-sS", "--proxy", "http://127.0.0.1:3128", "--cacert", certificate.path, f"https://{NAME}:{origin.port}/page"],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((0, "hello from the origin: /page\n"), (done.returncode, done.stdout), done.stderr)
        self.proxy.wait_decision(host=NAME, verdict="allow")

    def test_a_configuration_with_a_fault_is_left_alone(self):
        MACHINE.path("etc/exeat").mkdir()
        MACHINE.path(CONFIG).write_text("[rule broken]\n")
        told = self.install("/exeat.deb", "-o", "Dpkg::Options::=--force-confold")
        self.assertIn("installed", self.installed_version())
        self.assertIn("neither started nor upgraded", told)
        self.assertEqual("inactive", self.state())
        MACHINE.path(CONFIG).write_text(MACHINE.path(CONFIG + ".dpkg-dist").read_text())
        MACHINE.run("dpkg-reconfigure", "exeat")
        self.assertEqual("active", self.state())

    def test_without_systemd(self):
        """As in an image that is being built: installed, nobody started; and removed."""
        told = MACHINE.run("unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && apt-get install --yes /exeat.deb && "
                           "test -d /run/exeat && test -d /var/log/exeat && apt-get remove --yes exeat").stdout
        self.assertEqual("inactive", self.state(), told)


class Service(PackageStory):
    def test_the_watchdog_strikes(self):
        """A server that hangs feeds it no more: systemd ends the service and starts it anew."""
        self.drop_in("[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n")
        self.install()
        pid = self.proxy.pid
        server = next(child for child in self.proxy.child_pids() if b"server" in MACHINE.path(f"proc/{child}/cmdline").read_bytes())
        MACHINE.run("sh", "-c", f"kill -STOP {server}")
        wait_until("another one", lambda: self.proxy.pid not in (pid, "0") and self.state() == "active")
        self.assertIn("Watchdog timeout", self.proxy.log_text())

    def test_sockets_that_systemd_holds(self):
        """A client starts the service that was stopped, and after a removal there is nobody."""
        self.install()
        self.drop_in("[Socket]\nListenStream=\nListenStream=127.0.0.1:3128\n", "exeat.socket")
        self.drop_in("[Unit]\nRequires=exeat.socket\n")
        self.proxy.stop_now()
        MACHINE.run("systemctl", "enable", "--now", "exeat.socket")
        self.assert_denied()
        MACHINE.run("apt-get", "remove", "--yes", "exeat")
        with self.assertRaises(ConnectionRefusedError):
            self.proxy.dial()

    def test_what_a_configuration_may_need(self):
        """A port below 1024 and a key that is root's, by the drop-ins that the README has."""
        self.install()
        key = MACHINE.path("etc/exeat/sign_key")
        self.addCleanup(lambda: [path.unlink() for path in key.parent.glob("sign_key*")])
        MACHINE.run("exeat", "audit", "keygen", "/etc/exeat/sign_key")
        for block in re.findall(r"(?s)```ini\n(.*?)```", README.read_text()):
            if "AmbientCapabilities" in block or "LoadCredential" in block:
                self.drop_in(block)
        text = MACHINE.path(CONFIG).read_text().replace("127.0.0.1:3128 ", "127.0.0.1:3128 127.0.0.1:443 ", 1)
        MACHINE.path(CONFIG).write_text(text.replace("[audit]\n", "[audit]\nsign_key = /run/credentials/exeat.service/sign_key\n"))
        self.systemctl("restart")
        socket.create_connection(("127.0.0.1", 443), PATIENCE).close()
        self.proxy.end()
        self.assertIn("checkpoint", [record["event"] for record in self.proxy.records()], "what was written last is signed")

    def test_a_supervisor_that_dies_is_started_again(self):
        self.install()
        pid = self.proxy.pid
        MACHINE.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "exeat")
        wait_until("another one", lambda: self.proxy.pid not in (pid, "0") and self.state() == "active")

    def test_logrotate(self):
        self.install()
        self.proxy.connect("evil.example", 443)[0].close()
        self.proxy.wait_decision(host="evil.example")
        MACHINE.run("logrotate", "--force", "/etc/logrotate.d/exeat")
        self.await_new_file()
        self.assertEqual(2, len(audit_check.history(self.proxy.audit_path)))


class Upgrade(PackageStory):
    def is_new(self):
        """Whether supervisor, journal and a server are the program that is installed."""
        program, supervisor = MACHINE.path(PROGRAM), self.proxy.pid
        with contextlib.suppress(*GONE):  # one of them has just ended
            new = [pid for pid in (supervisor, *self.proxy.child_pids()) if MACHINE.path(f"proc/{pid}/exe").samefile(program)]
            return supervisor in new and len(new) >= 3
        return False

    def test_nobody_notices(self):
        """A tunnel stands across it, others come one after another meanwhile, and the pid that systemd knows stays."""
        self.install()
        self.serve_here(self.origin.port)
        tunnel, pid = self.open_tunnel(), self.proxy.pid
        self.assertTrue(self.is_new(), "as long as it is")
        failures, done = [], threading.Event()
        others = threading.Thread(target=lambda: [failures.append(1) for _ in iter(done.is_set, True) if not self.tunnel_works()])
        others.start()
        try:
            told = self.upgrade()
            wait_until("the new version", self.is_new)
        finally:
            done.set()
            others.join()
        self.assertIn("+next", self.installed_version())
        self.assertIn("told to go on as this version", told)
        self.assert_echo(tunnel)
        self.assertEqual((pid, []), (self.proxy.pid, failures))

    def test_systemd_goes_on_with_it(self):
        """Fed by the new version it has the watchdog not strike, and a reload is the new version's."""
        self.drop_in("[Service]\nWatchdogSec=5\n")
        self.install()
        self.serve_here(self.origin.port)
        tunnel, pid = self.open_tunnel(), self.proxy.pid
        self.upgrade()
        wait_until("the new version", lambda: "upgraded: generation 2 serves" in self.proxy.log_text())
        fed = {self.watchdog_time()}
        wait_until("the watchdog to be fed", lambda: fed.add(self.watchdog_time()) or len(fed) > 2)
        self.systemctl("reload")
        self.proxy.wait_records("another reload", lambda rs: [r["event"] for r in rs].count("reload") == 2)
        self.assert_echo(tunnel)
        self.assertEqual((pid, "0", "active"), (self.proxy.pid, MACHINE.show("exeat", "NRestarts"), self.state()))

    def watchdog_time(self):
        """When it was fed last."""
        return MACHINE.show("exeat", "WatchdogTimestampMonotonic")

    def test_a_fault_found_by_the_new_version(self):
        """What runs goes on, and the package is installed all the same."""
        self.install()
        self.serve_here(self.origin.port)
        tunnel, pid = self.open_tunnel(), self.proxy.pid
        good = MACHINE.path(CONFIG).read_text()
        MACHINE.path(CONFIG).write_text(good + "[rule broken]\n")
        told = self.upgrade()
        self.assertIn("neither started nor upgraded", told)
        self.assertIn("installed", self.installed_version())
        self.assertNotIn("told to go on", told)
        self.assert_echo(tunnel)
        self.assertTrue(self.tunnel_works())
        self.assertEqual(pid, self.proxy.pid)
        MACHINE.path(CONFIG).write_text(good)

    def test_who_was_disabled_and_stopped_stays_so(self):
        self.install()
        self.systemctl("disable")
        self.proxy.stop_now()
        self.upgrade()
        self.assertEqual("inactive", self.state())


class Removal(PackageStory):
    def files(self):
        """All names there are, but dpkg's and apt's own, and what whoever makes a user leaves."""
        found = MACHINE.run("find", "/", "-xdev", "-not", "-path", "/var/lib/dpkg/*", "-not", "-path", "/var/log/apt/*", "-not", "-path",
                            "/var/cache/*", "-not", "-path", "/var/log/journal/*", "-not", "-path", "/etc/*-", "-not", "-path", "/tmp/*").stdout
        return set(found.splitlines())

    def test_it_ends_at_once_and_leaves_the_records(self):
        """… with a tunnel open, for which a stop would wait for hours."""
        self.install()
        self.serve_here(self.origin.port)
        tunnel = self.open_tunnel()
        MACHINE.run("apt-get", "remove", "--yes", "exeat")
        self.assertEqual(b"", receive_all(tunnel))
        self.assertTrue(MACHINE.path(CONFIG).exists())
        self.proxy.check_audit()
        events = [record["event"] for record in self.proxy.records()]
        self.assertEqual(["close", "stop"], events[-2:])
        self.install()
        self.assertEqual("active", self.state(), "it is back as it was before")
        self.assertTrue(self.tunnel_works())

    def test_nothing_is_left_of_what_is_purged(self):
        MACHINE.run("apt-get", "autoremove", "--yes")  # what other tests needed
        before = self.files()
        self.install()
        self.proxy.connect("evil.example", 443)[0].close()
        MACHINE.run("apt-get", "purge", "--yes", "--auto-remove", "exeat")
        self.assertEqual(set(), self.files() - before)
        self.assertEqual(set(), before - self.files())
        self.assertFalse(MACHINE.path("run/exeat").exists())


class Lint(unittest.TestCase):
    def test_lintian_finds_no_fault(self):
        done = subprocess.run(["lintian", "--fail-on", "error,warning", "--allow-root", PACKAGE], capture_output=True, text=True, timeout=3 * PATIENCE)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
