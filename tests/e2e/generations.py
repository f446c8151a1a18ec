"""Several generations of the server on the same sockets, and a supervisor of our own that says to them what exeat's would.

Each generation has a journal process and an audit file of its own, so that nothing here depends on how those are shared."""

import array
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import threading

import audit_check
from harness import EXEAT, PATIENCE, wait_until
from watching import Door

CHANNEL_FD = 3
WORKERS = 2
FILE_SERVED, FILE_CONTINUES = 4, 8
HEADER = pathlib.Path(__file__).resolve().parents[2] / "src" / "host" / "channel.h"


def read_kinds():
    """The messages by name and by number, as the header has them."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    names = re.findall(r"CHANNEL_([A-Z]+)\b", re.search(r"enum channel_kind \{(.*?)\}", text, re.S)[1])
    return {name: number for number, name in enumerate(names)}, names


NUMBERS, NAMES = read_kinds()


class Message:
    """One that came; its descriptor is closed with it, unless somebody takes it."""

    def __init__(self, kind, a, b, text, fd):
        self.kind, self.a, self.b, self.text, self.fd = kind, a, b, text, fd

    def read(self):
        return os.pread(self.fd, os.fstat(self.fd).st_size, 0).decode()


def memo(data):
    """A file that is nowhere."""
    fd = os.memfd_create("test")
    os.write(fd, data)
    return fd


class Channel:
    """Our end of it."""

    def __init__(self):
        self.end, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def say(self, kind, a=0, b=0, fd=-1, text=""):
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd >= 0 else []
        self.end.sendmsg([struct.pack("=III", NUMBERS[kind], a, b), text.encode()], beside)

    def hear(self):
        """None at its end."""
        try:
            data, beside, _, _ = self.end.recvmsg(8192, socket.CMSG_SPACE(4))
        except ConnectionResetError:  # it was killed with something unread
            return None
        if not data:
            return None
        kind, a, b = struct.unpack_from("=III", data)
        fd = struct.unpack("i", beside[0][2][:4])[0] if beside else -1
        return Message(NAMES[kind], a, b, data[12:].decode(), fd)


class Child:
    """A process in one of exeat's roles, with a channel."""

    def __init__(self, role, log):
        self.channel = Channel()
        theirs = self.channel.theirs.fileno()
        self.process = subprocess.Popen([EXEAT, role], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, pass_fds=(CHANNEL_FD,),
                                        preexec_fn=lambda: os.dup2(theirs, CHANNEL_FD))
        self.channel.theirs.close()

    def kill(self):
        with contextlib.suppress(OSError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def close(self):
        self.kill()
        self.channel.end.close()


def bundle(files):
    """A configuration's files as one process of exeat gives them to another."""
    number = lambda value: struct.pack("=Q", value)
    string = lambda data: number(len(data)) + data
    magic, data = number(0x33656C646E756278), b""
    for path, text in files.items():
        data += string(str(path).encode()) + number(0) + number(0) + string(text.encode())  # no error, no stamp
    return magic + string(b"") + number(len(files)) + number(0) + data + magic


class Generation(Child):
    """A server, its journal, and what it has said."""

    def __init__(self, house, number):
        self.house, self.number = house, number
        self.audit = house.directory / f"audit-{number}.jsonl"
        self.journal = Child("-journal", house.log)
        super().__init__("-server", house.log)
        self.said, self.heard = [], threading.Condition()
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while message := self.channel.hear():
            self.house.route(self, message)
            with self.heard:
                self.said.append(message)
                self.heard.notify_all()

    def await_word(self, kind):
        """The last message of that kind, once there is one."""
        return wait_until(f"{kind} of generation {self.number}", lambda: self.last(kind))

    def last(self, kind):
        with self.heard:
            return next((message for message in reversed(self.said) if message.kind == kind), None)

    def begin_journal(self, flags=0):
        say = self.journal.channel.say
        say("NAME", text="test")
        say("SANDBOX", 0)
        say("RESERVE")
        if flags:
            say("LIVING", self.number)
        say("FILE", flags, text=str(self.audit))

    def replace_journal(self, hold_ms):
        """The journal hands over to another one; the exit code of the first. Meanwhile nobody records."""
        self.journal.channel.say("YIELD", hold_ms)
        code = self.journal.process.wait(PATIENCE)
        self.journal.channel.end.close()
        self.journal = Child("-journal", self.house.log)
        return code

    def continue_journal(self):
        self.begin_journal(FILE_SERVED | FILE_CONTINUES)
        self.link()

    def link(self):
        for worker in range(WORKERS):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours, theirs:
                self.journal.channel.say("WORKER", self.number, worker, fd=ours.fileno())
                self.channel.say("JOURNAL", 0, worker, fd=theirs.fileno())

    def wait(self):
        """Its end, and that of its journal; the exit code."""
        code = self.process.wait(PATIENCE)
        self.thread.join(PATIENCE)
        self.journal.channel.end.close()
        self.journal.process.wait(PATIENCE)
        return code

    def close(self):
        self.kill()
        self.thread.join(PATIENCE)  # it reads until the end
        super().close()
        self.journal.close()
        for message in self.said:
            if message.fd >= 0:
                os.close(message.fd)


def listen_beside(port):
    """A socket for one worker; the others have theirs on the same port."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(1024)
    sock.setblocking(False)
    return sock


class House:
    """The supervisor. What its generations listen on is bound here, once; the last of them is the one that serves."""

    def __init__(self, directory, text, hosts):
        self.directory, self.hosts = pathlib.Path(directory), hosts
        self.sockets = [listen_beside(0)]
        self.host, self.port = self.sockets[0].getsockname()
        self.sockets += [listen_beside(self.port) for _ in range(WORKERS - 1)]
        self.door_path = self.directory / "admin.sock"
        self.door_socket = socket.socket(socket.AF_UNIX)
        self.door_socket.bind(str(self.door_path))
        self.door_socket.listen(64)
        self.door_socket.setblocking(False)
        self.door = Door(f"unix:{self.door_path}")
        self.config = self.directory / "exeat.conf"
        self.log_path = self.directory / "log"
        self.log = open(self.log_path, "ab")
        self.text, self.edition, self.state = text, 1, -1
        self.living, self.all, self.deaf = [], [], False
        self.lock = threading.RLock()

    @property
    def serving(self):
        return self.living[-1]

    # -- what passes between generations --

    def route(self, speaker, message):
        with self.lock, contextlib.suppress(OSError):
            others = [one for one in self.living if one is not speaker]
            if message.kind == "COLLECT" and speaker is self.serving:
                for one in others:
                    one.channel.say("COLLECT", message.a, text=message.text)
            elif message.kind == "COLLECTED" and not self.deaf:
                self.serving.channel.say("COLLECTED", message.a, message.b, fd=message.fd)
            elif message.kind == "STATE":
                self.keep(message)
                if speaker is not self.serving:
                    self.serving.channel.say("STATE", fd=message.fd)

    def keep(self, message):
        if self.state >= 0:
            os.close(self.state)
        self.state = os.dup(message.fd)

    def count(self):
        with self.lock:
            self.serving.channel.say("OTHERS", len(self.living) - 1)

    # -- their lives --

    def files(self):
        self.config.write_text(self.text)
        return bundle({self.config: self.text, self.hosts: pathlib.Path(self.hosts).read_text()})

    def configure(self, generation, text=None):
        self.text = text or self.text
        fd = memo(self.files())
        generation.channel.say("CONFIG", WORKERS, self.edition, fd=fd, text=str(self.config))
        os.close(fd)

    def start(self):
        """One more, which serves when it is ready; those before are not told."""
        one = Generation(self, len(self.all) + 1)
        self.all.append(one)
        one.begin_journal()
        say = one.channel.say
        say("NAME", text="test")
        self.configure(one)
        say("ADMIN", 0, fd=self.door_socket.fileno())
        if self.state >= 0:
            say("STATE", fd=self.state)
        if self.living:
            say("OTHERS", len(self.living))
        say("ADDRESS", 1, 0)
        for worker, sock in enumerate(self.sockets):
            say("LISTENER", 1, worker, fd=sock.fileno())
        say("GO", self.edition, one.number)
        one.link()
        one.await_word("READY")
        return one

    def serve(self):
        """One more, in the place of the one before, which is retired."""
        one = self.start()
        with self.lock:
            before = self.living[-1:]
            self.living.append(one)
            for old in before:
                old.channel.say("RETIRE")
        self.count()
        wait_until("its door", lambda: self.door.ask("/readyz")[0] == 200)
        return one

    def end(self, one, code=0):
        """Of one that has drained, in order."""
        one.await_word("DRAINED")
        one.channel.say("STOP")
        assert one.wait() == code, self.log_path.read_text()
        with self.lock:
            self.living.remove(one)
        if self.living:
            self.count()

    def stop(self):
        """All of them, the one that serves last: it is who hears what the others leave."""
        for one in list(self.living):
            one.channel.say("STOP")
            assert one.wait() == 0, self.log_path.read_text()
            with self.lock:
                if len(self.living) > 1:
                    self.living.remove(one)

    def records(self):
        return [record for one in self.all if one.audit.exists() for record in audit_check.check_file(one.audit, allow_open=True, first=1)]

    @staticmethod
    def records_of(one):
        """Of a reload that only one of them has heard of there is no record, so that they cannot be checked as a whole."""
        return [json.loads(line) for line in one.audit.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

    def close(self):
        for one in self.all:
            one.close()
        for sock in [*self.sockets, self.door_socket]:
            sock.close()
        if self.state >= 0:
            os.close(self.state)
        self.log.close()
