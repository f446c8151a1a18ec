"""A machine to install things on: a clean root of this machine's own distribution, in which systemd is process 1.

It has its own files, processes and control groups; the network is that of whoever boots it. What the kernel has only once, as its settings, is read-only."""

import pathlib
import subprocess

from harness import PATIENCE, wait_until

# Said by a shell that is already in namespaces of its own: $1 is an empty directory, $2 what is unpacked there.
BOOT = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=1g tmpfs "$1"
tar -x -C "$1" -f "$2"
cd "$1"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
for name in null zero full random urandom tty; do
    touch dev/$name
    mount --bind /dev/$name dev/$name
done
mkdir .outside
pivot_root . .outside
umount -l .outside
rmdir .outside
mount --make-rshared / # as systemd itself has it, where it is not in a container
exec env -i container=exeat-test PATH=/usr/sbin:/usr/bin /lib/systemd/systemd </dev/null
"""


class Machine:
    def __init__(self, root, tar, group):
        """Boots; `root` is an empty directory, the process joins `group`."""
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--uts", "--ipc"]
        self.process = subprocess.Popen(["sh", "-c", 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"', "sh", group,
                                         *namespaces, "sh", "-c", BOOT, "sh", root, tar])
        try:
            self.init = wait_until("systemd", self.find_init)
            wait_until("the end of booting", self.has_booted)
        except BaseException:
            self.close()
            raise

    def find_init(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next((pid for pid in children if pathlib.Path(f"/proc/{pid}/comm").read_text() == "systemd\n"), None)

    def has_booted(self):
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def path(self, name):
        """A file of its, as it is seen from here."""
        return pathlib.Path("/proc", self.init, "root", str(name).lstrip("/"))

    def run(self, *words, check=True):
        """What root types there; what is said, errors too, is in `stdout`."""
        done = subprocess.run(["nsenter", f"--target={self.init}", "--mount", "--pid", "--cgroup", "--uts", "--ipc", "env", "-i",
                               "PATH=/usr/sbin:/usr/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *map(str, words)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=3 * PATIENCE)
        assert done.returncode == 0 or not check, f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}"
        return done

    def show(self, unit, key):
        """What systemd says of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={key}", unit).stdout.strip()

    def close(self):
        """No orderly end: nothing of it is kept."""
        self.process.kill()
        self.process.wait()
