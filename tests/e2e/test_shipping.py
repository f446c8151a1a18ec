"""Audit records on their way to a SIEM: rsyslogd with the samples of contrib/siem, all of it killed at random, and a receiver that is strict."""

import collections
import contextlib
import gzip
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

import audit_check
from harness import EXEAT, SANITIZED, Certificate, HeldPort, long_story, wait_until
from traffic import TrafficStory

SIEM = pathlib.Path(__file__).resolve().parents[2] / "contrib/siem"
SIEM_NAME = "siem.example"
RSYSLOGD = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")


class Malformed(Exception):
    """What no receiver should have to read."""


class Cut(Exception):
    """The connection ended within a frame."""


def take(stream, count):
    data = stream.read(count)
    if len(data) < count:
        raise Cut
    return data


def take_word(stream, most, end=b" "):
    """Bytes up to a blank; None at the end of the stream."""
    word = b""
    while (byte := stream.read(1)) != end:
        if not byte:
            if word:
                raise Cut
            return None
        word += byte
        if len(word) > most:
            raise Malformed(word)
    return word


def take_number(stream, end=b" "):
    word = take_word(stream, 9, end)
    if word is not None and not re.fullmatch(b"0|[1-9][0-9]*", word):
        raise Malformed(word)
    return None if word is None else int(word)


class Receiver:
    """A TLS server that keeps the MSG of each RFC 5424 message in `messages`, with how often it came; what is malformed goes to `faults`."""

    HEAD = re.compile(rb'<110>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) [!-~]{1,255} exeat - - - (?=\{"v":1,"seq":\d+,"time":"\1",)')

    def __init__(self, certificate):
        self.context = certificate.server_context()
        self.messages = collections.Counter()
        self.faults = []
        self.connections = 0
        self.streams = set()
        self.lock = threading.Lock()
        self.held = HeldPort("127.0.0.1")
        self.port = self.held.number
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.thread = threading.Thread(target=self.accept, args=(self.listener,), daemon=True)
        self.thread.start()

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.one, args=(sock,), daemon=True).start()

    def one(self, sock):
        try:
            with self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False) as tls:
                with self.lock:
                    self.streams.add(tls)
                tls.do_handshake()
                self.serve(tls, tls.makefile("rb"))
        except (OSError, Cut):
            pass
        except Malformed as fault:
            self.faults.append(fault.args[0])

    def serve(self, tls, stream):
        """RFC 5425: the length, a blank, the message."""
        while (length := take_number(stream)) is not None:
            self.keep(tls, take(stream, length))

    def keep(self, tls, frame):
        head = self.HEAD.match(frame)
        if head is None:
            raise Malformed(frame)
        with self.lock:
            if tls not in self.streams:
                raise Cut
            self.messages[frame[head.end():]] += 1

    def cut(self):
        """Ends every connection, wherever it is: what was not read yet is gone."""
        with self.lock:
            for tls in self.streams:
                with contextlib.suppress(OSError):
                    tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    socket.socket.shutdown(tls, socket.SHUT_RDWR)  # SSLSocket's own would go on in plain text
            self.streams.clear()

    def leave(self):
        """Is not there until `open`."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)
        self.cut()

    def close(self):
        self.leave()
        self.held.close()


class RelpReceiver(Receiver):
    """The same by RELP: a message is acknowledged when it is kept."""

    def serve(self, tls, stream):
        while (number := take_number(stream)) is not None:
            command = take_word(stream, 32)
            length, data = self.take_data(stream)
            if command == b"syslog":
                self.keep(tls, data)
                answer = b"200 OK"
            elif command == b"open":
                answer = b"200 OK\nrelp_version=0\nrelp_software=test\ncommands=syslog"
            elif command == b"close":
                answer = b""
            else:
                raise Malformed(command)
            tls.sendall(b"%d rsp %d%s%s\n" % (number, len(answer), b" " if answer else b"", answer))

    @staticmethod
    def take_data(stream):
        """DATALEN [SP DATA] LF; the length ends in what says whether data follow."""
        digits = b""
        while (byte := take(stream, 1)).isdigit():
            digits += byte
        length = int(digits)
        data = take(stream, length) if byte == b" " else b""
        if (byte if not data else take(stream, 1)) != b"\n":
            raise Malformed(digits)
        return length, data


class Rsyslog:
    """rsyslogd with a sample, whose places are filled in."""

    def __init__(self, directory, sample, port, authority):
        self.directory = directory
        self.state = directory / "rsyslog"
        self.spool = directory / "resend"
        self.spool.mkdir(exist_ok=True)
        self.log = directory / "rsyslog.log"
        self.conf = directory / "rsyslog.conf"
        self.conf.write_text(self.fill(sample, port, authority))
        self.process = None

    def fill(self, sample, port, authority):
        text = (SIEM / sample).read_text()
        for place, value in (('"/run/exeat-shipping"', f'"{self.state}"'), ('"/var/log/exeat/', f'"{self.directory}/'),
                             ('"/var/spool/exeat-resend/', f'"{self.spool}/'), ('"/etc/exeat/siem-ca.pem"', f'"{authority}"'),
                             ('target="siem.example"', 'target="127.0.0.1"')):
            assert text.count(place) == 1, f"{sample} has not one {place}"
            text = text.replace(place, value)
        text, found = re.subn(r'\bport="\d+"', f'port="{port}"', text)
        assert found == 1, sample
        return text

    def start(self):
        """As systemd starts it by exeat-shipping.service: with an empty directory."""
        shutil.rmtree(self.state, ignore_errors=True)
        self.state.mkdir()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([RSYSLOGD, "-n", "-iNONE", "-f", self.conf], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def has_read(self, path):
        """Whether it has read a file to its end, and has it open."""
        for entry in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(entry) == str(path):
                    offset = pathlib.Path(f"/proc/{self.process.pid}/fdinfo/{entry.name}").read_text().split()[1]
                    if int(offset) == path.stat().st_size:
                        return True
        return False

    def end(self, how):
        self.process.send_signal(how)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:  # as systemd would
            self.process.kill()
            self.process.wait()

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def needs(module):
    """Skips, loudly, where rsyslogd or a module of it is not installed."""
    places = [pathlib.Path("/usr/lib"), pathlib.Path("/lib"), pathlib.Path("/usr/lib64")]
    there = RSYSLOGD is not None and any(next(place.glob(f"**/rsyslog/{module}"), None) for place in places if place.is_dir())
    return unittest.skipUnless(there, f"rsyslogd with {module} is not installed: contrib/packages test installs it where there is no other system log daemon")


class Shipping(TrafficStory):
    KINDS = ("tunnel", "denial", "denial", "denial")  # a denial is soon done, and a record too

    def ship(self, sample, receiver=Receiver, name=SIEM_NAME):
        siem = self.directory / "siem"
        siem.mkdir()
        certificate = Certificate.make(siem, name)
        self.receiver = self.use(receiver(certificate))
        self.rsyslog = self.use(Rsyslog(self.directory, sample, self.receiver.port, certificate.path))
        self.rsyslog.start()
        self.assert_no_fault_found()

    def assert_no_fault_found(self):
        done = subprocess.run([RSYSLOGD, "-N1", "-f", self.rsyslog.conf], capture_output=True, text=True)
        self.assertEqual((0, 2), (done.returncode, len(done.stderr.splitlines())), done.stderr)

    # -- what happens at random --

    def kill_rsyslog(self):
        self.rsyslog.end(signal.SIGKILL)
        self.rsyslog.start()

    def restart_rsyslog(self):
        self.rsyslog.end(signal.SIGTERM)
        self.rsyslog.start()

    def cut_connection(self):
        self.receiver.cut()

    def take_receiver_away(self):
        self.receiver.leave()
        time.sleep(self.chance.uniform(0, 0.5))
        self.receiver.open()

    def kill_journal(self):
        self.kill("journal")

    def kill_server(self):
        self.kill("server")

    def kill_exeat(self):
        self.kill_all()
        self.begin("none")

    def rotate_as_logrotate(self):
        self.rotations += 1
        self.rotate(f"-20261122-{self.rotations}")

    def disturb(self, *acts):
        """Each of them some times, in any order, at any moment, under load."""
        acts = [act for act in acts for _ in range(1 if SANITIZED else 2)] + [self.rotate_as_logrotate] * 2
        self.chance.shuffle(acts)
        self.begin("none")
        self.traffic.start()
        for act in acts:
            time.sleep(self.chance.uniform(0, 0.3))
            act()
        self.end()

    # -- what must have come of it --

    def lines(self):
        return {line for path in audit_check.history(self.proxy.audit_path) for line in path.read_bytes().splitlines()}

    def missing(self):
        return self.lines() - self.receiver.messages.keys()

    def assert_all_there(self):
        try:
            wait_until("every record at the receiver", lambda: not self.missing())
        except AssertionError:
            seqs = sorted(int(line[13:40].split(b",")[0]) for line in self.missing())
            raise AssertionError(f"{len(seqs)} of {len(self.lines())} records are missing at the receiver: {seqs[:20]}") from None
        self.assert_sound()

    def assert_sound(self):
        """Nothing else came, and nothing malformed; but what exeat's end tore off may stand before the first record of a file."""
        self.assertEqual([], self.receiver.faults)
        firsts = tuple(path.read_bytes().split(b"\n")[0] for path in audit_check.history(self.proxy.audit_path))
        self.assertEqual([], [line for line in self.receiver.messages.keys() - self.lines() if not line.endswith(firsts)])


@needs("imfile.so")
@needs("lmnsd_ossl.so")
class Tls(Shipping):
    """contrib/siem/rsyslog.conf"""

    @long_story
    def test_killed_at_random_nothing_is_missing(self):
        self.ship("rsyslog.conf")
        self.disturb(self.kill_rsyslog, self.restart_rsyslog, self.kill_journal, self.kill_server, self.kill_exeat)
        self.assert_all_there()

    @long_story
    def test_what_connections_lost_is_found_by_number_and_sent_again(self):
        self.ship("rsyslog.conf")
        self.disturb(self.cut_connection, self.take_receiver_away, self.kill_rsyslog, self.kill_exeat)
        self.send_again()
        self.assert_all_there()
        self.assert_verified_there()

    def send_again(self):
        """As the manual says: what is missing up to the last one, by what the receiver has; that again from the files."""
        files = audit_check.history(self.proxy.audit_path)
        last = files[-1].read_bytes().splitlines()[-1]
        wait_until("the last record", lambda: last in self.receiver.messages)
        seq = audit_check.read_line(last + b"\n")["seq"]
        numbers = self.resend("missing", f"1-{seq}", lines=b"\n".join(self.receiver.messages)).split()
        print(f"{numbers} were missing ", end="", flush=True)
        if numbers:
            old = self.directory / "old.gz"
            old.write_bytes(gzip.compress(files[0].read_bytes()))
            self.resend("send", *numbers, "--", old, *files[1:])

    def assert_verified_there(self):
        """As the manual says: the lines by number, each once, are whole for exeat."""
        whole = self.directory / "whole"
        records = {audit_check.read_line(line + b"\n")["seq"]: line for line in self.receiver.messages.keys() & self.lines()}
        whole.write_bytes(b"".join(records[seq] + b"\n" for seq in sorted(records)))
        verify = subprocess.run([EXEAT, "audit", "verify", "--head", f"{self.proxy.audit_path}.head", whole], capture_output=True, text=True)
        self.assertEqual(0, verify.returncode, verify.stdout)

    def resend(self, *words, lines=b""):
        done = subprocess.run([SIEM / "exeat-resend", *words], input=lines, capture_output=True, check=True,
                              env={**os.environ, "EXEAT_RESEND_DIR": str(self.rsyslog.spool)})
        return done.stdout.decode()

    def test_a_receiver_by_another_name_gets_nothing(self):
        self.ship("rsyslog.conf", name="other.example")
        self.begin("none")
        self.traffic.start()
        wait_until("another try", lambda: self.receiver.connections > 1)
        self.end()
        self.assertEqual({}, self.receiver.messages)

    @staticmethod
    def line(seq, length=700):
        """A line as long as this, which begins like a record."""
        line = b'{"v":1,"seq":%d,"time":"2026-11-22T00:00:00.000000Z","detail":"' % seq
        return line + b"x" * (length - len(line) - 2) + b'"}'

    def test_the_longest_record_arrives_whole(self):
        self.ship("rsyslog.conf")
        line = self.line(1, 8191)
        (self.rsyslog.spool / "long.jsonl").write_bytes(line + b"\n")
        wait_until("it", lambda: line in self.receiver.messages)
        self.assertEqual([], self.receiver.faults)

    def test_a_torn_line_that_was_read_before_it_was_cut_off_costs_no_record(self):
        path = self.directory / "audit.jsonl"
        path.write_bytes(self.line(1) + b"\n" + self.line(2)[:300])
        self.ship("rsyslog.conf")
        wait_until("the torn line", lambda: self.rsyslog.has_read(path))
        wait_until("the first record", lambda: self.line(1) in self.receiver.messages)
        self.rsyslog.process.send_signal(signal.SIGSTOP)  # so that it sees both at once
        os.truncate(path, 701)
        with open(path, "ab") as file:
            file.write(b"".join(self.line(seq) + b"\n" for seq in (2, 3)))
        self.rsyslog.process.send_signal(signal.SIGCONT)
        wait_until("the others", lambda: {self.line(2), self.line(3)} <= self.receiver.messages.keys())

    def test_the_unit_starts_it_with_an_empty_directory(self):
        unit = (SIEM / "exeat-shipping.service").read_text()
        self.assertIn("\nRuntimeDirectory=exeat-shipping\nRuntimeDirectoryPreserve=no\n", unit)


@needs("imfile.so")
@needs("omrelp.so")
class Relp(Shipping):
    """contrib/siem/rsyslog-relp.conf"""

    @long_story
    def test_killed_and_cut_at_random_nothing_is_missing(self):
        self.ship("rsyslog-relp.conf", RelpReceiver)
        self.disturb(self.kill_rsyslog, self.restart_rsyslog, self.cut_connection, self.take_receiver_away,
                     self.kill_journal, self.kill_server, self.kill_exeat)
        self.assert_all_there()


if __name__ == "__main__":
    unittest.main()
