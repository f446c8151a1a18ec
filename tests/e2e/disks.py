"""Disks that fill up, fail, stall, vanish or lose their power: real small file systems, and one whose every fault the story decides, in a mount
namespace of the test's own. Nothing is mounted where the machine could see it; what is left over goes with the last process. Where there can be no
such disk the test is skipped."""

import collections
import contextlib
import ctypes
import errno
import fcntl
import os
import pathlib
import struct
import subprocess
import threading
import unittest

from harness import wait_until

CLONE_FS, CLONE_NEWNS = 0x00000200, 0x00020000
MS_PRIVATE, MS_REC, MS_NOSUID, MS_NODEV = 1 << 18, 1 << 14, 2, 4
MNT_DETACH = 2
EXT4_IOC_SHUTDOWN = 0x8004587D
NOTHING_MORE_IS_WRITTEN = 2  # EXT4_GOING_FLAGS_NOLOGFLUSH: neither file data nor the file system's own journal
LIBC = ctypes.CDLL(None, use_errno=True)


def system(call, *arguments):
    if call(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def mount(source, target, kind, options="", flags=MS_NOSUID | MS_NODEV):
    words = [str(word).encode() if word else None for word in (source, target, kind)]
    system(LIBC.mount, *words, ctypes.c_ulong(flags), options.encode())


def unmount(target, flags=0):
    """Whether it is unmounted now."""
    return LIBC.umount2(str(target).encode(), flags) == 0


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


def try_to(*command):
    """What a machine may be unable to do."""
    try:
        run(*command)
    except FileNotFoundError as error:
        raise unittest.SkipTest(f"no disk of its own: {error.filename} is not installed: contrib/packages test installs it") from error
    except subprocess.CalledProcessError as error:
        raise unittest.SkipTest(f"no disk of its own: `{' '.join(map(str, command))}` says: {(error.stderr or error.stdout).strip()}") from error


class MountSpace:
    """The mounts of this thread and of all threads and processes that it starts, until it is left."""

    def __init__(self):
        if os.geteuid() != 0:
            raise unittest.SkipTest("no disk of its own: this is not root")
        self.directory = os.getcwd()
        self.home = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            system(LIBC.unshare, CLONE_NEWNS)
        except OSError as error:
            os.close(self.home)
            raise unittest.SkipTest(f"no disk of its own: mount namespaces are not allowed ({error.strerror})") from error
        try:
            mount(None, "/", None, flags=MS_REC | MS_PRIVATE)
        except OSError:
            self.close()
            raise

    def close(self):
        """Other threads that still live keep what they see."""
        system(LIBC.unshare, CLONE_FS)
        system(LIBC.setns, self.home, CLONE_NEWNS)
        os.chdir(self.directory)
        os.close(self.home)


class Disk:
    """A mounted file system; `path` is where."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(exist_ok=True)

    def obey(self):
        """As a disk does, whatever the story did to it before."""

    def room_left(self):
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def fill(self):
        """Until nothing more fits."""
        with open(self.path / "filler", "ab", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(b"x" * 65536)

    def free(self):
        (self.path / "filler").unlink()

    def take_inodes(self):
        """Until no further file can be made."""
        with contextlib.suppress(OSError):
            for number in range(1000):
                (self.path / f"taken{number}").touch()

    def give_inodes(self):
        for taken in self.path.glob("taken*"):
            taken.unlink()

    def close(self):
        """Whoever still has something open there keeps it to its end."""
        unmount(self.path, MNT_DETACH)


class Tmpfs(Disk):
    """In memory: `options` like size=1m or nr_inodes=8."""

    def __init__(self, path, options):
        super().__init__(path)
        mount("tmpfs", self.path, "tmpfs", options)

    def grow(self, size):
        run("mount", "-o", f"remount,size={size}", self.path)


class Ext4(Disk):
    """On a loop device over an image beside it. Only with a journal of its own is it whole again after the power was lost."""

    def __init__(self, path, size="16M", journal=False):
        super().__init__(path)
        self.guard = None
        self.image = self.path.parent / "image"
        self.mounting = ("mount", "-o", "loop,errors=remount-ro", self.image, self.path)
        run("truncate", "-s", size, self.image)
        try_to("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "has_journal" if journal else "^has_journal", self.image)
        try_to(*self.mounting)

    def freeze(self):
        """What is to be written waits. The guard lets it go on also when this process dies: else nothing could end those that wait."""
        try_to("fsfreeze", "--version")
        script = 'fsfreeze -f "$0" && echo frozen; read -r _; fsfreeze -u "$0"'
        self.guard = subprocess.Popen(["sh", "-c", script, self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.guard.stdout.readline() == "frozen\n"

    def obey(self):
        if self.guard:
            self.guard.communicate()
            self.guard = None

    def turn_read_only(self):
        """By itself, as it does when it finds a fault in itself. There is no way back."""
        source = subprocess.run(["findmnt", "-no", "SOURCE", self.path], capture_output=True, text=True, check=True).stdout.strip()
        pathlib.Path("/sys/fs/ext4", pathlib.Path(source).name, "trigger_fs_error").write_text("1")

    def lose_power(self):
        """From this moment on nothing reaches the image."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("I", NOTHING_MORE_IS_WRITTEN))
        finally:
            os.close(directory)

    def start_again(self):
        """What is there now is what had reached the image. Nobody may have anything open there; one who was killed may have for a moment yet."""
        wait_until("an unmounted disk", lambda: unmount(self.path))
        run(*self.mounting)

    def close(self):
        self.obey()
        super().close()


# ---- a disk that obeys ----

(LOOKUP, FORGET, GETATTR, SETATTR, UNLINK, RENAME, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, FSYNCDIR,
 CREATE, INTERRUPT, DESTROY, BATCH_FORGET, RENAME2) = 1, 2, 3, 4, 10, 12, 14, 15, 16, 17, 18, 20, 25, 26, 27, 28, 29, 30, 35, 36, 38, 42, 45

ROOT = 1
DIRECT_IO, KEEP_CACHE = 1, 2
S_IFREG, S_IFDIR = 0o100000, 0o040000
SET_MODE, SET_SIZE = 1, 8
BIG_WRITES, WRITEBACK_CACHE = 1 << 5, 1 << 16


class File:
    def __init__(self, mode):
        self.data, self.mode, self.names = bytearray(), mode, 1


class ObedientDisk(Disk):
    """A file system of this process (FUSE): `fail(WRITE, errno.EIO)` makes every such call fail, `hold(WRITE)` lets it wait, and `obey()` is as if
    nothing had been. `waiting` says how many wait. `cached`: the kernel keeps what is written and sends it here at a sync, or when it likes to; what
    cannot be written then it does not send again."""

    def __init__(self, path, cached=False):
        super().__init__(path)
        self.flags, self.how_opened = (BIG_WRITES | WRITEBACK_CACHE, KEEP_CACHE) if cached else (BIG_WRITES, DIRECT_IO)
        self.names, self.files = {}, {}
        self.faults, self.held, self.parked = {}, set(), collections.deque()
        self.room = None  # how many bytes are still taken; None: any
        self.lock = threading.RLock()
        try:
            self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise unittest.SkipTest(f"no disk of its own: this kernel has no /dev/fuse ({error.strerror})") from error
        try:
            mount("exeat-test", self.path, "fuse", f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions")
        except OSError as error:
            os.close(self.device)
            raise unittest.SkipTest(f"no disk of its own: FUSE is not allowed ({error.strerror})") from error
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    # -- what the story says --

    def fail(self, call, error):
        self.faults[call] = error

    def hold(self, *calls):
        self.held.update(calls)

    @property
    def waiting(self):
        return len(self.parked)

    def content(self, path):
        """What has come here, whatever the kernel would read from its memory."""
        with self.lock:
            return bytes(self.files[self.find(path.name.encode())].data)

    def obey(self):
        with self.lock:
            self.faults.clear()
            self.held.clear()
            self.room = None
            while self.parked:
                self.answer(self.parked.popleft())

    def close(self):
        self.obey()
        super().close()
        self.thread.join(5)
        os.close(self.device)

    # -- what the kernel asks --

    def serve(self):
        while True:
            try:
                request = os.read(self.device, 1 << 20)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue
                return  # ENODEV: unmounted
            with self.lock:
                if struct.unpack_from("<I", request, 4)[0] in self.held:
                    self.parked.append(request)
                else:
                    self.answer(request)

    def answer(self, request):
        _, call, unique, node = struct.unpack_from("<IIQQ", request)
        if call in (FORGET, BATCH_FORGET, INTERRUPT):
            return
        error, data = 0, b""
        try:
            if call in self.faults:
                raise OSError(self.faults[call], "as the story wants it")
            data = self.calls[call](self, node, request[40:]) if call in self.calls else self.refuse()
        except OSError as fault:
            error = fault.errno
        with contextlib.suppress(OSError):  # who asked may be gone
            os.write(self.device, struct.pack("<IiQ", 16 + len(data), -error, unique) + data)

    @staticmethod
    def refuse():
        raise OSError(errno.ENOSYS, "no such call")

    def attributes(self, node):
        file = self.files.get(node)
        mode, size, links = (S_IFREG | file.mode, len(file.data), file.names) if file else (S_IFDIR | 0o755, 0, 2)
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, (size + 511) // 512, 0, 0, 0, 0, 0, 0, mode, links, 0, 0, 0, 4096, 0)

    def entry(self, node):
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + self.attributes(node)

    def find(self, name):
        if name not in self.names:
            raise OSError(errno.ENOENT, "no such name")
        return self.names[name]

    @staticmethod
    def word(data):
        return data.split(b"\0", 1)[0]

    def init(self, node, data):
        major, minor, readahead, _ = struct.unpack_from("<IIII", data)
        return struct.pack("<IIIIHHIIHHI7I", 7, min(minor, 31), readahead, self.flags, 16, 12, 1 << 17, 1, 32, 0, 0, *[0] * 7)

    def lookup(self, node, data):
        return self.entry(self.find(self.word(data)))

    def getattr(self, node, data):
        return struct.pack("<QII", 0, 0, 0) + self.attributes(node)

    def setattr(self, node, data):
        valid, _, _, size = struct.unpack_from("<IIQQ", data)
        file = self.files[node]
        if valid & SET_SIZE:
            file.data[size:] = bytes(max(0, size - len(file.data)))
        if valid & SET_MODE:
            file.mode = struct.unpack_from("<I", data, 68)[0] & 0o7777
        return self.getattr(node, data)

    def open(self, node, data):
        return struct.pack("<QII", 0, self.how_opened, 0)

    def opendir(self, node, data):
        return struct.pack("<QII", 0, 0, 0)

    def create(self, node, data):
        _, mode = struct.unpack_from("<II", data)
        number = max(self.files, default=ROOT) + 1
        self.names[self.word(data[16:])] = number
        self.files[number] = File(mode & 0o7777)
        return self.entry(number) + self.open(number, data)

    def read(self, node, data):
        _, at, size = struct.unpack_from("<QQI", data)
        return bytes(self.files[node].data[at:at + size])

    def write(self, node, data):
        _, at, size = struct.unpack_from("<QQI", data)
        if self.room is not None:
            size = min(size, self.room)
            self.room -= size
            if size == 0:
                raise OSError(errno.ENOSPC, "full")
        self.files[node].data[at:at + size] = data[40:40 + size]
        return struct.pack("<II", size, 0)

    def readdir(self, node, data):
        _, at, size = struct.unpack_from("<QQI", data)
        found = b""
        for number, (name, target) in enumerate(sorted(self.names.items()), 1):
            entry = struct.pack("<QQII", target, number, len(name), 8) + name
            entry += bytes(-len(entry) % 8)
            if number > at and len(found) + len(entry) <= size:
                found += entry
        return found

    def unlink(self, node, data):
        name = self.word(data)
        self.files[self.find(name)].names -= 1
        del self.names[name]
        return b""

    def rename(self, node, data, start=8):
        old, new = data[start:].split(b"\0")[:2]
        moved = self.find(old)
        if new in self.names:
            self.unlink(node, new + b"\0")
        del self.names[old]
        self.names[new] = moved
        return b""

    def rename2(self, node, data):
        return self.rename(node, data, 16)

    def statfs(self, node, data):
        return struct.pack("<QQQQQIIII6I", 1 << 20, 1 << 19, 1 << 19, 1000, 900, 4096, 255, 4096, 0, *[0] * 6)

    def nothing(self, node, data):
        return b""

    calls = {LOOKUP: lookup, GETATTR: getattr, SETATTR: setattr, UNLINK: unlink, RENAME: rename, OPEN: open, READ: read, WRITE: write, STATFS: statfs,
             RELEASE: nothing, FSYNC: nothing, FLUSH: nothing, INIT: init, OPENDIR: opendir, READDIR: readdir, RELEASEDIR: nothing,
             FSYNCDIR: nothing, CREATE: create, DESTROY: nothing, RENAME2: rename2}
