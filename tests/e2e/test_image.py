"""The image of contrib/oci, as a container: nobody's power, a root that is read-only, and exeat serves all the same.

What `rootfs` puts together is run by crun as Containerfile says. Building by podman, and its network, are not told of here: contrib/oci/README.md."""

import errno
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness import EXEAT, PATIENCE, SANITIZED, EndToEndTest, Exeat, Origin, client_hello, policy, wait_until
from proc import status

TOP = pathlib.Path(__file__).parents[2]
CONTAINERFILE = TOP / "contrib" / "oci" / "Containerfile"
NAME = "allowed.example.test"


def crun(directory):
    """The command, without control groups, which may not be ours to make. It looks at them all the same, and refuses to run where there are both kinds:
    hence a mount namespace in which there are none. What it knows of its containers is in the test's own directory."""
    hide = 'mount -t tmpfs none /sys/fs/cgroup && exec crun "$@"'
    return ["unshare", "--mount", "sh", "-c", hide, "crun", "--cgroup-manager=disabled", f"--root={directory}/crun"]


def why_not():
    if SANITIZED:
        return "SKIPPED: a build with sanitizers writes where the image is read-only"
    if os.geteuid() != 0:
        return "SKIPPED: only root may make a container"
    if shutil.which("crun") is None:
        return "SKIPPED: crun is not installed: contrib/test installs it"
    if subprocess.run([*crun("/nowhere"), "--version"], capture_output=True).returncode != 0:
        return "SKIPPED: root may not mount here"
    return None


class Recipe:
    """What the last stage of Containerfile says of the image."""

    def __init__(self):
        lines = [line for line in CONTAINERFILE.read_text().rsplit("\nFROM ", 1)[1].splitlines() if not line.startswith("#")]
        said = dict(line.split(None, 1) for line in lines[1:] if line)
        self.user = tuple(int(number) for number in said["USER"].split(":"))
        self.command = json.loads(said["ENTRYPOINT"]) + json.loads(said["CMD"])
        self.health = json.loads(said["HEALTHCHECK"].split(" CMD ", 1)[1])
        self.signal = signal.Signals[said["STOPSIGNAL"]]


def bundle(recipe, root, mounts, arguments, refused=()):
    """The container as `--read-only --cap-drop=ALL --security-opt=no-new-privileges --network=host` makes it. `mounts` has by the path there what is
    bound to it; `refused` are system calls that the engine's own list does not have."""
    uid, gid = recipe.user
    none = {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")}
    fixed = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "noexec", "mode=755", "size=64k"]},
        {"destination": "/run/exeat", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "noexec", "mode=0750", f"uid={uid}", f"gid={gid}"]},
    ]
    bound = [{"destination": at, "type": "bind", "source": str(path), "options": ["bind", mode, "nosuid", "nodev"]} for at, (path, mode) in mounts.items()]
    rules = [{"names": list(refused), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM}]
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": uid, "gid": gid}, "args": [*recipe.command, *arguments], "cwd": "/", "env": ["PATH=/usr/bin"], "capabilities": none,
                    "noNewPrivileges": True},
        "root": {"path": str(root), "readonly": True},
        "hostname": "container",
        "mounts": fixed + bound,
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")],
                  **({"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}} if refused else {}),
                  "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"], "readonlyPaths": ["/proc/bus", "/proc/sys", "/proc/sysrq-trigger"]},
    }


class Container(Exeat):
    """One exeat in a container of its own; pid 1 there is its supervisor, `self.pid` here."""

    pid = None

    def __init__(self, directory, root, text, hosts, refused):
        self.directory, self.recipe, self.name, self.crun = directory, Recipe(), directory.name, crun(directory)
        volume = self.make_volume("volume")
        self.config = self.make_volume("etc") / "exeat.conf"
        self.config.write_text(text)
        (self.config.parent / "hosts").write_text(hosts)
        self.audit_path, self.ports_path, self.log_path = volume / "audit.jsonl", volume / "ports", directory / "log"
        mounts = {"/etc/exeat": (self.config.parent, "ro"), "/var/log/exeat": (volume, "rw"), "/var/lib/exeat": (self.make_volume("state"), "rw")}
        (directory / "config.json").write_text(json.dumps(bundle(self.recipe, root, mounts, ["--ports-file", "/var/log/exeat/ports"], refused)))
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen([*self.crun, "run", "--bundle", directory, self.name], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            wait_until("readiness", lambda: self.ports_path.exists() or self.process.poll() is not None)
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.log_text()}"
        except AssertionError:
            self.kill()
            raise
        self.pid = json.loads((directory / "crun" / self.name / "status").read_text())["pid"]
        self.host, port = self.ports_path.read_text().split()[1].rsplit(":", 1)
        self.port = int(port)

    def make_volume(self, name):
        path = self.directory / name
        path.mkdir(mode=0o750)
        os.chown(path, *self.recipe.user)
        return path

    def run_inside(self, *command):
        user = "{}:{}".format(*self.recipe.user)
        return subprocess.run([*self.crun, "exec", "--user", user, self.name, *command], capture_output=True, text=True, timeout=PATIENCE)

    def send(self, how):
        subprocess.run([*self.crun, "kill", self.name, how.name.removeprefix("SIG")], check=True, timeout=PATIENCE)

    def stop(self, how=signal.SIGINT):
        if self.process.poll() is None:
            self.send(how)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.kill()

    def kill(self):
        subprocess.run([*self.crun, "delete", "--force", self.name], capture_output=True, timeout=PATIENCE)
        super().kill()


WHY_NOT = why_not()


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Image(EndToEndTest):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="exeat-image-"))
        cls.addClassCleanup(shutil.rmtree, cls.root)
        cls.root.chmod(0o755)
        subprocess.run([TOP / "contrib" / "oci" / "rootfs", EXEAT, TOP / "LICENSE", cls.root], check=True, timeout=6 * PATIENCE)

    def setUp(self):
        super().setUp()
        self.origin = self.use(Origin())

    def start(self, sandbox="on", refused=()):
        text = policy(NAME, port=self.origin.port, hosts="hosts", extra=f"""
[exeat]
workers = 2
sandbox = {sandbox}
[listen explicit]
address = 127.0.0.1:0
[audit]
file = /var/log/exeat/audit.jsonl
[admin]
listen = unix:/run/exeat/admin.sock
state  = /var/lib/exeat/rules
""")
        self.proxy = self.use(Container(self.directory, self.root, text, f"127.0.0.1 {NAME}\n", refused))

    def open_tunnel(self):
        sock, status_, head = self.proxy.connect(NAME, self.origin.port)
        self.addCleanup(sock.close)
        self.assertEqual(200, status_, head)
        self.assert_echo(sock, client_hello(NAME))
        return sock

    def test_it_serves_without_any_power(self):
        self.start()
        self.open_tunnel()
        sock, code, _ = self.proxy.connect("denied.example.test", 443)
        sock.close()
        self.assertEqual(403, code)
        processes = {"supervisor": self.proxy.pid, **self.proxy.children()}
        self.assertEqual({"supervisor", "server", "journal"}, set(processes))
        for role, pid in processes.items():
            said = status(pid)
            with self.subTest(role=role):
                self.assertEqual({str(self.proxy.recipe.user[0])}, set(said["Uid"].split()))
                self.assertEqual({0}, {int(said[key], 16) for key in ("CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd")})
                self.assertEqual("1", said["NoNewPrivs"])
                self.assertEqual("0" if role == "supervisor" else "2", said["Seccomp"], "exeat's own sandbox is there in a container, too")
        self.assertRegex(self.said_at_the_start(), "no capabilities, no_new_privs, Landlock [0-9]+, seccomp")

    def said_at_the_start(self):
        return self.proxy.wait_records("the start", lambda rs: next((r["detail"] for r in rs if r["event"] == "start"), None))

    def test_an_engine_that_knows_no_landlock_takes_that_half_away(self):
        self.start(sandbox="auto", refused=("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"))
        self.assertIn("no Landlock (Operation not permitted), seccomp", self.said_at_the_start())
        self.open_tunnel()

    def test_nothing_but_the_volumes_can_be_written(self):
        self.start()
        inside = pathlib.Path(f"/proc/{self.proxy.pid}/root")
        for directory in ("", "etc", "etc/exeat", "usr/bin", "lib"):
            with self.subTest(directory=directory), self.assertRaisesRegex(OSError, "Read-only file system"):
                (inside / directory / "new").write_text("")
        for directory in ("run/exeat", "var/log/exeat", "var/lib/exeat"):
            (inside / directory / "new").write_text("")

    def test_nothing_but_exeat_can_be_executed(self):
        names = {path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file() and path.stat().st_mode & 0o111}
        self.assertEqual({"usr/bin/exeat"}, {name for name in names if not re.match(r"lib(64)?/", name)})
        self.assertEqual([], [path for path in self.root.rglob("*") if path.stat().st_mode & 0o6000])

    def test_it_says_whether_it_is_ready(self):
        self.start()
        wait_until("that it is ready", lambda: self.proxy.run_inside(*self.proxy.recipe.health).returncode == 0)
        self.open_tunnel()
        self.proxy.send(self.proxy.recipe.signal)
        wait_until("that it is not ready", lambda: self.proxy.run_inside(*self.proxy.recipe.health).returncode == 1)

    def test_the_stop_signal_drains(self):
        """pid 1 hears no signal for which it has no handler: this one it hears."""
        self.start()
        sock = self.open_tunnel()
        self.proxy.send(self.proxy.recipe.signal)
        wait_until("the drain", lambda: "draining" in self.proxy.log_text())
        self.assert_echo(sock)
        sock.close()
        self.assertEqual(0, self.proxy.process.wait(PATIENCE), self.proxy.log_text())

    def test_it_mends_and_reloads(self):
        self.start()
        server = self.proxy.children()["server"]
        os.kill(server, signal.SIGKILL)
        wait_until("another server", lambda: self.proxy.children().get("server") not in (None, server))
        wait_until("readiness", lambda: self.proxy.run_inside(*self.proxy.recipe.health).returncode == 0)
        self.open_tunnel()
        text = self.proxy.config.read_text()
        self.proxy.config.write_text(text.replace(f"to = {NAME}", "to = other.example.test"))
        ran = self.proxy.run_inside("/usr/bin/exeat", "reload", "-c", "/etc/exeat/exeat.conf")
        self.assertEqual(0, ran.returncode, ran.stderr)
        sock, code, _ = self.proxy.connect(NAME, self.origin.port)
        sock.close()
        self.assertEqual(403, code)

    def test_without_a_configuration_nothing_is_served(self):
        """The image has none; what to mount is said."""
        recipe = Recipe()
        (self.directory / "config.json").write_text(json.dumps(bundle(recipe, self.root, {}, [])))
        ran = subprocess.run([*crun(self.directory), "run", "--bundle", self.directory, self.directory.name], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(2, ran.returncode)
        self.assertIn("/etc/exeat/exeat.conf", ran.stderr)


if __name__ == "__main__":
    unittest.main()
