"""Disks that fill up, fail, stall or vanish under the journal: new tunnels are refused, open ones never notice, nothing is half written, and each
change is said once."""

import errno
import fcntl
import os
import re
import select
import shutil
import subprocess
import threading
import time
import unittest

import audit_check
import disks
from harness import EXEAT, PATIENCE, SANITIZED, client_hello, echoes, long_story, wait_until
from heartbeat import Heartbeat
from tunnels import NAME, TunnelStory

LATE = 1.0 if SANITIZED else 0.5  # how much later than beside exeat a message in an open tunnel may be
ANSWERED = 2  # seconds for a denial at most: one that waited for the disk would take as long as a journal may be silent
STALL = float(os.environ.get("EXEAT_TEST_STALL", 6))  # seconds for which a slow disk does nothing: longer than a journal may be silent


class Clients:
    """Some who ask for tunnels again and again. `opened` are the ports of those whose bytes came back from the origin; `refused`, `cut` and `denied`
    are counts; what else happened is in `odd`."""

    def __init__(self, story, count=3, names=(NAME,)):
        self.story, self.names, self.lock, self.over = story, names, threading.Lock(), threading.Event()
        self.opened, self.refused, self.cut, self.denied, self.odd = set(), 0, 0, 0, []
        self.slowest = 0.0
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.over.is_set():
            for name in self.names:
                self.ask(name)

    def ask(self, name=NAME):
        """One connection; returns what became of it."""
        began = time.monotonic()
        try:
            sock, status, head = self.story.proxy.connect(name, self.story.origin.port)
            with sock:
                port = sock.getsockname()[1]
                refused = "refused" if status == 503 and "audit_unavailable" in head else head
                what = self.try_tunnel(sock) if status == 200 else "denied" if status == 403 else refused
        except OSError as error:
            port, what = None, repr(error)
        with self.lock:
            self.slowest = max(self.slowest, time.monotonic() - began)
            if what == "opened":
                self.opened.add(port)
            elif what in ("refused", "cut", "denied"):
                setattr(self, what, getattr(self, what) + 1)
            else:
                self.odd.append(what)
        return what

    @staticmethod
    def try_tunnel(sock):
        try:
            return "opened" if echoes(sock, client_hello(NAME)) else "cut"
        except ConnectionError:
            return "cut"

    def await_opened(self, more=10):
        """So many more than by now."""
        opened = len(self.opened)
        wait_until(f"{more} tunnels", lambda: len(self.opened) > opened + more)

    def await_refused(self, more=30):
        refused = self.refused
        wait_until(f"{more} refusals", lambda: self.refused > refused + more)

    def close(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


@long_story
class DiskStory(TunnelStory):
    """An exeat whose audit file lies on a disk of the story's own, an open tunnel that must never notice, and clients who count."""

    def setUp(self):
        super().setUp()
        self.use(disks.MountSpace())

    def begin(self, disk, audit=""):
        self.disk = self.use(disk)
        path = disk.path / "audit.jsonl"
        self.start(f"[audit]\nfile = {path}\n{audit}", audit_path=path)
        self.addCleanup(disk.obey)  # else what failed would not even end

    def start(self, extra, **how):
        self.heartbeat = self.use(Heartbeat())
        super().start(f"[rule heartbeat]\nto = {NAME}\nport = {self.heartbeat.port}\n{extra}", **how)
        self.heartbeat.begin(self.proxy, NAME)

    def clients(self, *names, count=3):
        return self.use(Clients(self, count, names or (NAME,)))

    def lines(self):
        """What the operator was told since it was ready; but what the journal says of itself at its start may come behind that."""
        lines = [line.removeprefix("exeat: ") for line in self.proxy.log_text().partition(" workers\n")[2].splitlines()]
        return [line for line in lines if not line.startswith("journal: ")]

    def await_line(self, words):
        wait_until(f"`{words}`", lambda: any(words in line for line in self.lines()))

    def assert_lines(self, *expected):
        lines = self.lines()
        self.assertEqual(len(expected), len(lines), lines)
        for words, line in zip(expected, lines):
            self.assertIn(words, line)

    def assert_never_noticed(self):
        self.assertLess(max(self.heartbeat.end()), LATE)

    def counted(self, records):
        """What the gaps count, by reason."""
        sums = {}
        for record in records:
            if record["event"] == "gap":
                for reason, count in re.findall(r"(\w+) (\d+)", record["detail"]):
                    sums[reason] = sums.get(reason, 0) + int(count)
        return sums

    @staticmethod
    def allowed_ports(records):
        return [record["client_port"] for record in records if record["event"] == "decision" and record["verdict"] == "allow"]

    def stop(self, *clients):
        """Everything in order."""
        for client in clients:
            client.close()
            self.assertEqual([], client.odd)
        self.assert_never_noticed()
        self.assertEqual(0, self.proxy.stop())

    def end_story(self, *clients):
        """Stops everything and gives the records."""
        self.stop(*clients)
        return audit_check.check_files(audit_check.history(self.proxy.audit_path), first=1,
                                       continuing="on_failure = continue" in self.proxy.config.read_text())

    def assert_accounts(self, clients, records):
        """Whoever got through is on file; whoever was refused is counted, none twice."""
        self.assertEqual(set(), clients.opened - set(self.allowed_ports(records)), "a tunnel was open of which nothing is on file")
        never = sum(record["event"] == "close" and "was not opened" in (record["detail"] or "") for record in records)
        self.assertEqual(clients.refused + clients.cut, never + self.counted(records).get("audit_unavailable", 0))
        denied = sum(record["reason"] == "default_deny" for record in records)
        self.assertEqual(clients.denied, denied + self.counted(records).get("default_deny", 0))


class Failing(DiskStory):
    """The file cannot be written, and then it can again."""

    def refuse_and_recover(self, broken, mend):
        clients = self.clients(NAME, "denied.example.test")
        clients.await_opened()
        broken()
        self.await_line("cannot be written")
        clients.await_refused()
        mend()
        self.await_line("writes again")
        clients.await_opened()
        records = self.end_story(clients)
        self.assert_accounts(clients, records)

    def test_a_full_disk_and_room_again(self):
        self.begin(disks.Tmpfs(self.directory / "disk", "size=1m"), "reserve = 0\n")
        self.refuse_and_recover(self.disk.fill, self.disk.free)
        self.assert_lines("cannot be written: No space left on device", "writes again", "stopping")

    def test_a_full_disk_and_room_again_with_sync(self):
        self.begin(disks.Ext4(self.directory / "disk"), "reserve = 0\nsync = batch\n")
        self.refuse_and_recover(self.disk.fill, self.disk.free)
        self.assert_lines("cannot be written: No space left on device", "writes again", "stopping")

    def test_an_overbooked_storage(self):
        """It takes what is written, and has no room for it when it is synced. No second sync would say so again, and reading not at all: that comes
        from memory."""
        self.begin(disks.ObedientDisk(self.directory / "disk", cached=True), "reserve = 0\nsync = batch\n")
        self.refuse_and_recover(lambda: self.disk.fail(disks.WRITE, errno.ENOSPC), self.disk.obey)
        self.assertEqual(self.disk.content(self.proxy.audit_path), self.proxy.audit_path.read_bytes())
        self.assert_lines("cannot be written: No space left on device", "writes again", "stopping")

    def fail_and_obey(self, call, error, audit=""):
        self.begin(disks.ObedientDisk(self.directory / "disk"), audit)
        self.refuse_and_recover(lambda: self.disk.fail(call, error), self.disk.obey)
        self.assert_lines(f"cannot be written: {os.strerror(error)}", "writes again", "stopping")

    def test_errors_of_the_disk(self):
        self.fail_and_obey(disks.WRITE, errno.EIO)

    def test_errors_of_the_disk_that_only_a_sync_shows(self):
        self.fail_and_obey(disks.FSYNC, errno.EIO, "sync = batch\n")

    def test_a_disk_that_turns_read_only_and_back(self):
        self.fail_and_obey(disks.WRITE, errno.EROFS)

    def test_a_disk_that_takes_only_half(self):
        self.begin(disks.ObedientDisk(self.directory / "disk"), "reserve = 0\n")

        def half():
            self.disk.room = 300
        self.refuse_and_recover(half, self.disk.obey)
        self.assert_lines("cannot be written: No space left on device", "writes again", "stopping")

    def test_what_is_half_written_cannot_be_taken_back_at_once(self):
        self.begin(disks.ObedientDisk(self.directory / "disk"), "reserve = 0\n")

        def half():
            self.disk.fail(disks.SETATTR, errno.EIO)
            self.disk.room = 300
        self.refuse_and_recover(half, self.disk.obey)
        self.assert_lines("cannot be written: ", "writes again", "stopping")


class Continuing(DiskStory):
    def test_a_full_disk_lets_out_and_counts(self):
        self.begin(disks.Tmpfs(self.directory / "disk", "size=1m"), "reserve = 0\non_failure = continue\n")
        clients = self.clients()
        clients.await_opened()
        self.disk.fill()
        self.await_line("cannot be written")
        clients.await_opened(30)  # without a record
        self.disk.free()
        self.await_line("writes again")
        clients.await_opened()
        records = self.end_story(clients)
        self.assertEqual((0, 0), (clients.refused, clients.cut))
        self.assertEqual({"rule_allow"}, set(self.counted(records)))
        mine = len(clients.opened) + 1  # with the heartbeat
        self.assertEqual(mine, len(self.allowed_ports(records)) + self.counted(records)["rule_allow"])
        self.assert_lines("cannot be written: No space left on device", "writes again", "stopping")


class Reserve(DiskStory):
    """A flood of denials on a small disk: its last tenth is for those who are let out. That has to hold what is on its way when the tenth is reached,
    which is much where the journal gets no processor for a while."""

    SIZE, FILLED = 16 << 20, 13 << 20

    def flood(self):
        self.begin(disks.Tmpfs(self.directory / "disk", f"size={self.SIZE}"))
        (self.disk.path / "filler").write_bytes(bytes(self.FILLED))  # so that it is reached soon
        flood = self.clients("denied.example.test", count=6)
        visitors = self.clients(count=0)
        self.await_line("denials are only counted")
        denied = flood.denied
        for _ in range(20):
            self.assertEqual("opened", visitors.ask())
        wait_until("more denials", lambda: flood.denied > denied + 500)
        return flood, visitors

    def assert_counted(self, flood, visitors, records):
        self.assertEqual(set(), visitors.opened - set(self.allowed_ports(records)))
        recorded = sum(record["reason"] == "default_deny" for record in records)
        self.assertGreater(recorded, 0)
        self.assertEqual({"default_deny": flood.denied - recorded}, self.counted(records))

    def test_a_flood_of_denials_leaves_room_for_those_who_are_let_out(self):
        flood, visitors = self.flood()
        self.assertGreater(self.disk.room_left(), self.SIZE // 20)
        self.disk.grow("64m")
        self.await_line("there is space again")
        recorded = len(self.proxy.records())
        wait_until("denials on file", lambda: len(self.proxy.records()) > recorded + 100)
        flood.close()
        self.assert_counted(flood, visitors, self.end_story(flood, visitors))
        self.assert_lines("denials are only counted", "there is space again: denials are recorded", "stopping")

    def test_at_the_stop_what_was_counted_is_told(self):
        flood, visitors = self.flood()
        self.assert_counted(flood, visitors, self.end_story(flood, visitors))
        self.assert_lines("denials are only counted", "stopping")


class Slow(DiskStory):
    """The disk does nothing for a while, and says nothing either."""

    def stall(self, hold, go_on):
        """Holds the disk, and lets it go on when it has been silent for longer than a journal may."""
        clients, denied = self.clients(count=6), self.clients("denied.example.test", count=1)
        clients.await_opened()
        hold()
        began = time.monotonic()
        self.await_silence()
        on_file, asked = set(self.allowed_ports(self.proxy.records())), denied.denied
        self.await_line("nothing could be written for 4 s")
        clients.await_refused()
        time.sleep(max(0, began + STALL - time.monotonic()))
        self.assertEqual(set(), set(clients.opened) - on_file, "a tunnel was opened meanwhile")
        self.assertGreater(denied.denied, asked + 30)
        go_on()
        self.await_line("writes again")
        clients.await_opened()
        return clients, denied

    def await_silence(self):
        """Until what was on its way is there."""
        size = -1
        while size != self.proxy.audit_path.stat().st_size:
            size = self.proxy.audit_path.stat().st_size
            time.sleep(0.2)

    def stall_and_account(self, hold, go_on):
        clients, denied = self.stall(hold, go_on)
        records = self.end_story(clients, denied)
        self.assertLess(denied.slowest, ANSWERED)
        clients.denied = denied.denied
        self.assert_accounts(clients, records)
        self.assert_lines("nothing could be written for 4 s", "writes again", "stopping")

    def test_a_disk_that_is_frozen(self):
        self.begin(disks.Ext4(self.directory / "disk"), "reserve = 0\n")
        self.stall_and_account(self.disk.freeze, self.disk.obey)

    def test_told_to_continue_it_delays_and_refuses_nobody(self):
        """Not even a question is answered, as by a file server that is gone."""
        self.begin(disks.ObedientDisk(self.directory / "disk"), "sync = batch\non_failure = continue\n")
        clients = self.clients(count=4)
        clients.await_opened()
        self.disk.hold(disks.GETATTR, disks.WRITE, disks.FSYNC, disks.STATFS, disks.LOOKUP)
        self.await_line("nothing could be written for 4 s")
        clients.await_opened(30)  # without a record
        self.disk.obey()
        self.await_line("writes again")
        records = self.end_story(clients)
        self.assertEqual((0, 0), (clients.refused, clients.cut))
        self.assertEqual(len(clients.opened) + 1, len(self.allowed_ports(records)) + self.counted(records)["rule_allow"])
        self.assert_lines("nothing could be written for 4 s", "writes again", "stopping")


class Reader(threading.Thread):
    """Reads a pipe, with pauses and an end that the story decides; `path` holds what came."""

    def __init__(self, descriptor, path):
        super().__init__(daemon=True)
        self.descriptor, self.path, self.reads = descriptor, path, threading.Event()
        self.reads.set()
        self.leaves = False
        self.start()

    def run(self):
        with open(self.path, "ab", buffering=0) as out:
            while self.reads.wait() and not self.leaves:
                if not select.select([self.descriptor], [], [], 0.1)[0] or not self.reads.is_set():
                    continue
                part = os.read(self.descriptor, 4096)
                if not part:
                    break
                out.write(part)
        os.close(self.descriptor)

    def close(self):
        self.leaves = True
        self.reads.set()
        self.join()


class Pipe(DiskStory):
    """`file = -`: the journal's disk is whoever reads standard output."""

    def setUp(self):
        super().setUp()
        self.fifo, self.copy = self.directory / "fifo", self.directory / "copy.jsonl"
        os.mkfifo(self.fifo)
        self.read()
        writer = os.open(self.fifo, os.O_WRONLY)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        self.start("[audit]\nfile = -\n", stdout=writer)
        os.close(writer)

    def read(self):
        self.reader = self.use(Reader(os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK), self.copy))

    def end_pipe(self, *clients):
        self.stop(*clients)
        self.reader.join()
        return audit_check.check_file(self.copy, first=1)

    def test_a_reader_that_stops_reading_and_goes_on(self):
        clients = self.clients(count=6)
        clients.await_opened()
        self.reader.reads.clear()
        self.await_line("nothing could be written for 4 s")
        opened = len(clients.opened)
        clients.await_refused()
        self.assertEqual(opened, len(clients.opened))
        self.reader.reads.set()
        self.await_line("writes again")
        clients.await_opened()
        self.assert_accounts(clients, self.end_pipe(clients))
        self.assert_lines("nothing could be written for 4 s", "writes again", "stopping")

    def test_a_reader_that_dies_and_another_in_its_place(self):
        clients = self.clients()
        clients.await_opened()
        self.reader.close()
        self.await_line("cannot be written: Broken pipe")
        clients.await_refused()
        self.read()
        self.await_line("writes again")
        clients.await_opened()
        self.assert_accounts(clients, self.end_pipe(clients))
        self.assert_lines("cannot be written: Broken pipe", "writes again", "stopping")


class Names(DiskStory):
    """What happens to the file's name, and to the file, under exeat's hands."""

    def keep(self):
        """A way to the records of a file that is about to lose its name."""
        descriptor = os.open(self.proxy.audit_path, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        return descriptor

    def bring_back(self, descriptor):
        with open(descriptor, "rb", closefd=False) as lost:
            self.proxy.audit_path.with_name("audit.jsonl.lost").write_bytes(lost.read())

    def load(self):
        clients = self.clients(NAME, "denied.example.test")
        clients.await_opened()
        return clients

    def test_a_deleted_file_goes_on_in_a_new_one(self):
        self.begin(disks.Tmpfs(self.directory / "disk", "size=16m"))
        clients, lost = self.load(), self.keep()
        self.proxy.audit_path.unlink()
        self.await_line("was deleted")
        clients.await_opened(20)
        clients.close()
        records = self.end_deleted(clients, lost)
        self.assertEqual(0, clients.refused)
        self.assert_accounts(clients, records)
        self.assert_lines("was deleted, with its records up to seq", "stopping")

    def end_deleted(self, clients, lost):
        self.stop(clients)
        self.bring_back(lost)
        return audit_check.check_files([self.proxy.audit_path.with_name("audit.jsonl.lost"), self.proxy.audit_path], first=1)

    def test_a_deleted_file_on_a_disk_that_takes_no_other(self):
        self.begin(disks.Tmpfs(self.directory / "disk", "size=16m,nr_inodes=8"))
        clients, lost = self.load(), self.keep()
        self.disk.take_inodes()
        self.proxy.audit_path.unlink()
        self.await_line("cannot be written")
        clients.await_refused()
        self.disk.give_inodes()
        self.await_line("writes again")
        clients.await_opened(20)
        self.assert_accounts(clients, self.end_deleted(clients, lost))
        self.assert_lines("it was deleted, and a new one cannot be opened: No space left on device", "it goes on in a new file", "writes again", "stopping")

    def test_a_directory_that_takes_no_new_file_at_a_rotation(self):
        self.begin(disks.Tmpfs(self.directory / "disk", "size=16m,nr_inodes=8"))
        clients = self.load()
        self.disk.take_inodes()
        self.rename(".1")
        self.reopen()
        self.await_line("a new one cannot be opened: No space left on device; the old one goes on")
        clients.await_opened(20)
        self.disk.give_inodes()
        self.await_line("goes on in a new file")
        clients.await_opened(20)
        records = self.end_story(clients)
        self.assertEqual(0, clients.refused)
        self.assert_accounts(clients, records)
        self.assertEqual(1, sum(record["event"] == "rotate" for record in records))
        self.assert_lines("the old one goes on", "goes on in a new file", "stopping")

    def test_a_file_that_is_copied_and_emptied_in_place(self):
        self.begin(disks.Tmpfs(self.directory / "disk", "size=16m"))
        clients = self.load()
        clients.close()  # what is written between copy and cut is lost
        self.await_quiet()
        shutil.copy(self.proxy.audit_path, self.proxy.audit_path.with_name("audit.jsonl.1"))
        os.truncate(self.proxy.audit_path, 0)
        others = self.load()
        records = self.end_story(clients, others)
        clients.opened |= others.opened
        clients.denied += others.denied
        self.assert_accounts(clients, records)
        self.assert_lines("somebody else cut it from", "stopping")

    def await_quiet(self):
        """Until every tunnel but the heartbeat's has its close."""
        def is_quiet(records):
            opened = sum(record["event"] == "decision" and record["verdict"] == "allow" for record in records)
            return opened == 1 + sum(record["event"] == "close" for record in records)
        self.proxy.wait_records("every close", is_quiet)

    def test_a_disk_that_is_exchanged(self):
        """It found a fault in itself and is read-only for good: the operator mounts another one in its place."""
        self.begin(disks.Ext4(self.directory / "disk"), "reserve = 0\n")
        clients, lost = self.load(), self.keep()
        self.disk.turn_read_only()
        self.await_line("cannot be written: Read-only file system")
        clients.await_refused()
        self.use(disks.Tmpfs(self.directory / "disk", "size=16m"))
        self.await_line("writes again")
        clients.await_opened(20)
        self.assert_accounts(clients, self.end_deleted(clients, lost))
        self.assert_lines("cannot be written: Read-only file system", "goes on in a new file", "writes again", "stopping")

    def test_a_second_exeat_is_refused_by_another_name_too(self):
        self.begin(disks.Tmpfs(self.directory / "disk", "size=16m"))
        before = self.proxy.audit_path.read_bytes()
        other, config = self.disk.path / "other", self.directory / "other.conf"
        os.link(self.proxy.audit_path, other)
        config.write_text(self.proxy.config.read_text().replace(str(self.proxy.audit_path), str(other)))
        ran = subprocess.run([EXEAT, "run", "-c", config], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
        self.assertEqual(1, ran.returncode, ran.stderr)
        self.assertEqual(1, ran.stderr.count("another process writes it"), ran.stderr)
        other.unlink()
        self.assertEqual(before, self.proxy.audit_path.read_bytes())
        self.end_story()


if __name__ == "__main__":
    unittest.main()
