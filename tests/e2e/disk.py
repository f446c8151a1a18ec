"""A small disk that can lose its power: ext4 on a loop device, mounted where nobody but these tests sees it."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import struct
import subprocess
import unittest

from harness import wait_until

EXT4_IOC_SHUTDOWN = 0x8004587D
NOTHING_MORE_IS_WRITTEN = 2  # EXT4_GOING_FLAGS_NOLOGFLUSH: neither file data nor the file system's own journal
NEEDED = ("mkfs.ext4", "mount", "umount", "nsenter", "unshare")


class Disk:
    """`path` is where it is mounted, as seen from here."""

    def __init__(self, directory, megabytes=32):
        self.image, self.point = pathlib.Path(directory, "disk.image"), pathlib.Path(directory, "disk")
        self.point.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(megabytes << 20)
        # It holds the mount namespace: with its end everything is unmounted, and the loop device is free.
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.path = pathlib.Path(f"/proc/{self.holder.pid}/root{self.point.resolve()}")
        try:
            wait_until("a mount namespace", self.is_apart)
            subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True, capture_output=True)
            self.mount()
        except BaseException:
            self.close()
            raise

    @classmethod
    def or_skip(cls, directory):
        """The test is skipped where there can be no such disk."""
        missing = [name for name in NEEDED if shutil.which(name) is None]
        if os.geteuid() != 0 or missing:
            raise unittest.SkipTest(f"no disk of its own: {', '.join(missing) + ' missing' if missing else 'this is not root'}")
        try:
            return cls(directory)
        except subprocess.CalledProcessError as error:
            raise unittest.SkipTest(f"no disk of its own: {error.stderr.decode(errors='replace').strip()}") from error

    def is_apart(self):
        with contextlib.suppress(OSError):
            return os.readlink(f"/proc/{self.holder.pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
        return False

    def run(self, *command):
        subprocess.run(["nsenter", "--mount", "--target", str(self.holder.pid), *command], check=True, capture_output=True)

    def mount(self):
        self.run("mount", "-o", "loop", str(self.image), str(self.point))

    def lose_power(self):
        """From this moment on nothing reaches the disk."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("I", NOTHING_MORE_IS_WRITTEN))
        finally:
            os.close(directory)

    def start_again(self):
        """What is there now is what had reached it. Nobody may have anything open there; one who was killed may have for a moment yet."""
        wait_until("an unmounted disk", self.unmount)
        self.mount()

    def unmount(self):
        try:
            self.run("umount", str(self.point))
        except subprocess.CalledProcessError:
            return False
        return True

    def close(self):
        self.holder.stdin.close()
        self.holder.wait()
