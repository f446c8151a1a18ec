"""Disks that fill up, fail, stall or vanish: real small file systems, and one whose every fault the story decides, in a mount namespace of the test's
own. Nothing is mounted where the machine could see it; what is left over goes with the last process."""

import collections
import contextlib
import ctypes
import errno
import os
import pathlib
import shutil
import struct
import subprocess
import threading
import unittest

CLONE_FS, CLONE_NEWNS = 0x00000200, 0x00020000
MS_PRIVATE, MS_REC, MS_NOSUID, MS_NODEV = 1 << 18, 1 << 14, 2, 4
MNT_DETACH = 2
LIBC = ctypes.CDLL(None, use_errno=True)


def system(call, *arguments):
    if call(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def mount(source, target, kind, options="", flags=MS_NOSUID | MS_NODEV):
    words = [str(word).encode() if word else None for word in (source, target, kind)]
    system(LIBC.mount, *words, ctypes.c_ulong(flags), options.encode())


def unmount(target):
    with contextlib.suppress(OSError):
        system(LIBC.umount2, str(target).encode(), MNT_DETACH)


class MountSpace:
    """The mounts of this thread and of all threads and processes that it starts, until it is left."""

    def __init__(self):
        self.directory = os.getcwd()
        self.home = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            system(LIBC.unshare, CLONE_NEWNS)
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
        unmount(self.path)


class Tmpfs(Disk):
    """In memory: `options` like size=1m or nr_inodes=8."""

    def __init__(self, path, options):
        super().__init__(path)
        mount("tmpfs", self.path, "tmpfs", options)

    def grow(self, size):
        must("mount", "-o", f"remount,size={size}", self.path)


class Ext4(Disk):
    """On a loop device over an image, which lies on a disk of its own: when that is full, writes to this one fail with EIO, as on an overbooked
    storage."""

    def __init__(self, path, size="16M", store=None):
        super().__init__(path)
        self.guard = None
        self.image = pathlib.Path(store or self.path.parent, "image")
        subprocess.run(["truncate", "-s", size, self.image], check=True)
        must("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", self.image)
        must("mount", "-o", "loop,errors=remount-ro", self.image, self.path)

    def freeze(self):
        """What is to be written waits. The guard lets it go on also when this process dies: else nothing could end those that wait."""
        script = 'fsfreeze -f "$0" && echo frozen; read -r _; fsfreeze -u "$0"'
        self.guard = subprocess.Popen(["sh", "-c", script, self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.guard.stdout.readline() == "frozen\n"

    def obey(self):
        if self.guard:
            self.guard.communicate()
            self.guard = None

    def close(self):
        self.obey()
        super().close()

    def turn_read_only(self):
        """By itself, as it does when it finds a fault in itself. There is no way back."""
        source = subprocess.run(["findmnt", "-no", "SOURCE", self.path], capture_output=True, text=True, check=True).stdout.strip()
        pathlib.Path("/sys/fs/ext4", pathlib.Path(source).name, "trigger_fs_error").write_text("1")


def must(*command):
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        raise unittest.SkipTest(f"SKIPPED: `{' '.join(map(str, command))}` says: {(ran.stderr or ran.stdout).strip()}")


# ---- a disk that obeys ----

(LOOKUP, FORGET, GETATTR, SETATTR, UNLINK, RENAME, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, FSYNCDIR,
 CREATE, INTERRUPT, DESTROY, BATCH_FORGET, RENAME2) = 1, 2, 3, 4, 10, 12, 14, 15, 16, 17, 18, 20, 25, 26, 27, 28, 29, 30, 35, 36, 38, 42, 45

ROOT = 1
DIRECT_IO = 1
S_IFREG, S_IFDIR = 0o100000, 0o040000
SET_MODE, SET_SIZE = 1, 8
BIG_WRITES = 1 << 5


class File:
    def __init__(self, mode):
        self.data, self.mode, self.names = bytearray(), mode, 1


class ObedientDisk(Disk):
    """A file system of this process (FUSE): `fail(WRITE, errno.EIO)` makes every such call fail, `hold(WRITE)` lets it wait, and `obey()` is as if
    nothing had been. `waiting` says how many wait."""

    def __init__(self, path):
        super().__init__(path)
        self.names, self.files = {}, {}
        self.faults, self.held, self.parked = {}, set(), collections.deque()
        self.room = None  # how many bytes are still taken; None: any
        self.lock = threading.RLock()
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        try:
            mount("exeat-test", self.path, "fuse", f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions")
        except OSError as error:
            os.close(self.device)
            raise unittest.SkipTest(f"SKIPPED: FUSE is not allowed ({error.strerror})") from error
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
        return struct.pack("<IIIIHHIIHHI7I", 7, min(minor, 31), readahead, BIG_WRITES, 16, 12, 1 << 17, 1, 32, 0, 0, *[0] * 7)

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
        return struct.pack("<QII", 0, DIRECT_IO, 0)

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


def why_none():
    """Why such disks cannot be had here; None when they can."""
    if os.geteuid() != 0:
        return "SKIPPED: file systems of its own need root"
    if shutil.which("mkfs.ext4") is None or shutil.which("fsfreeze") is None:
        return "SKIPPED: mkfs.ext4 (e2fsprogs) or fsfreeze (util-linux) is not installed"
    if not os.path.exists("/dev/fuse"):
        return "SKIPPED: this kernel has no /dev/fuse"
    try:
        MountSpace().close()
    except OSError as error:
        return f"SKIPPED: mount namespaces are not allowed ({error.strerror})"
    return None
