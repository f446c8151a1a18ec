"""exeat audit export: whole files, and a file that is followed while exeat writes it."""

import contextlib
import gzip
import json
import os
import re
import select
import signal
import subprocess

import audit_check
import export_check
from harness import PATIENCE, wait_until
from test_audit_commands import CHAIN_START, TIME, AuditTest, lines_of, record_line
from test_commands import EXEAT, ROOT
from traffic import TrafficStory

FORMATS = list(export_check.FORMATS)


class Following:
    """`exeat audit export --follow`, its lines read as they come."""

    def __init__(self, *args):
        self.process = subprocess.Popen([EXEAT, "audit", "export", "--follow", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.output = b""

    def read(self):
        while select.select([self.process.stdout], [], [], 0)[0] and (data := os.read(self.process.stdout.fileno(), 65536)):
            self.output += data
        return self.output.count(b"\n")

    def wait(self, count):
        wait_until(f"{count} lines", lambda: self.read() >= count)

    def sequences(self):
        return [json.loads(line)["event"]["sequence"] for line in self.output.splitlines()]

    def end(self, how=signal.SIGTERM):
        """Everything it wrote on standard error, and its exit status."""
        self.process.send_signal(how)
        rest, said = self.process.communicate(timeout=PATIENCE)
        self.output += rest
        return self.process.returncode, said.decode()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class ExportTest(AuditTest):
    def setUp(self):
        super().setUp()
        self.lines, self.chain = lines_of(30, listener="a", mode="connect", client_ip="10.20.0.7", client_port=5, verdict="deny",
                                          reason="default_deny", **{"class": "policy"})

    def export(self, *args, form="ecs", status=0):
        done = self.exeat("audit", "export", "--format", form, *args, status=status)
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def sequences(self, *args, status=0):
        return [row["event"]["sequence"] for row in self.export(*args, status=status)[0]]

    def follow(self, *args):
        following = Following("--format", "ecs", *args)
        self.addCleanup(following.close)
        return following

    def test_files_in_any_order_and_form(self):
        parts = [self.path("audit.jsonl.2.gz", gzip.compress(b"".join(self.lines[:10]))), self.path("audit.jsonl.1", self.lines[10:20]),
                 self.path("audit.jsonl", self.lines[20:]), self.path("audit.jsonl.head", b"anything")]
        records = [json.loads(line) for line in self.lines]
        for form in FORMATS:
            done = self.exeat("audit", "export", "--format", form, *reversed(parts))
            export_check.check_export(form, records, done.stdout.encode())
            self.assertIn("in the order of their records", done.stderr)
        piped = subprocess.run([EXEAT, "audit", "export", "--format", "ecs", "-"], input=b"".join(self.lines), capture_output=True, timeout=PATIENCE)
        export_check.check_export("ecs", records, piped.stdout)

    def test_after(self):
        path = self.path("audit.jsonl", self.lines)
        for after, wanted in (("0", range(1, 31)), ("1", range(2, 31)), ("29", [30]), ("30", []), ("31", [])):
            self.assertEqual(self.sequences("--after", after, path), list(wanted))
        later = self.path("later.jsonl", self.lines[20:])
        rows, said = self.export("--after", "15", later, status=1)
        self.assertEqual(len(rows), 10)
        self.assertIn(f"{later}: seq 16 to 20 are not in these files", said)
        self.assertEqual(len(self.export(later)[0]), 10)

    def test_lines_that_are_no_records(self):
        path = self.path("torn.jsonl", [*self.lines[:2], b"{}\n", *self.lines[2:], b'{"v":1,"seq"'])
        rows, said = self.export(path, status=1)
        self.assertEqual(len(rows), 30)
        for wanted in (f"{path}:3: this is no audit record", f"{path}:32: ", "2 lines"):
            self.assertIn(wanted, said)
        noise = self.path("noise.jsonl", b"x\n" * 1000)
        said = self.export(noise, status=1)[1]
        self.assertEqual(said.count("this is no audit record"), 100)
        self.assertIn("1000 lines", said)

    def test_misuse(self):
        path = self.path("audit.jsonl", self.lines)
        for args in ((path,), ("--format", "cef", path), ("--format", "ecs", "--after", "-1", path), ("--format", "ecs", "--after", "x", path)):
            self.assertIn("exeat audit export --help", self.exeat("audit", "export", *args, status=2).stderr)

    def test_what_cannot_be_written_is_an_error(self):
        path = self.path("audit.jsonl", self.lines)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([EXEAT, "audit", "export", "--format", "ecs", path], stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"standard output: No space left", done.stderr)
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([EXEAT, "audit", "export", "--format", "ecs", path], stdout=writer, stderr=subprocess.PIPE, timeout=PATIENCE)
        os.close(writer)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"standard output: Broken pipe", done.stderr)

    def whole_record(self, form, **values):
        """A close with a value for every key, as it is exported: by dotted names."""
        record = {key: 7 if re.search("port$|_ms$|^bytes_", key) else f"x-{key}" for key in audit_check.KEYS[3:-1]}
        record |= {"time": TIME % 1, "event": "close", "client_ip": "10.20.0.7", "tls_version": "TLS 1.3", "alpn": ["h2"], "ech": True} | values
        path = self.path("whole.jsonl", [record_line(CHAIN_START, 1, **record)[0]])
        return export_check.flatten(self.export(path, form=form)[0][0])

    def test_the_manual_says_what_becomes_of_each_key(self):
        manual = (ROOT / "man/exeat-audit.5").read_text().split(".Sh OTHER SCHEMAS")[1]
        table = manual.split(".Bd -literal\n")[1].split(".Ed")[0].splitlines()[2:]
        exported = {form: self.whole_record(form, tls_version=None) | self.whole_record(form) for form in FORMATS}
        keys = []
        for line in table:
            keys.append(line[:16].strip() or keys[-1])
            for form, cell in (("ecs", line[17:49]), ("ocsf", line[50:])):
                for name in filter(None, cell.replace(", in ns", "").strip().split(" or ")):
                    self.assertIn(f"unmapped.{keys[-1]}" if name == "unmapped" else name, exported[form])
        self.assertEqual(list(dict.fromkeys(keys)), audit_check.KEYS)

    def test_strings_from_outside(self):
        """Whatever stands in a record's string stands in the line, as that string."""
        evil = ['a"b', "\\", "\n{\"event\":\"stop\"}\n", "\x00\x1b[31m\x7f", "\u2028\ufffd\U0001f600", "%s%n${jndi:x}", "]},{[", "x" * 600, ""]
        lines, before = [], CHAIN_START
        for seq, text in enumerate(evil, 1):
            line, before = record_line(before, seq, client_ip="10.20.0.7", host=text, sni=text, user_agent=text, client_user=text, alpn=[text, text],
                                       detail=text, verdict="deny", reason="bad_request", listener="a", mode="connect", **{"class": "client"})
            lines.append(line.replace(b"\x7f", b"\\u007f").replace(b"\\n", b"\\u000a"))  # as exeat escapes them
        path = self.path("evil.jsonl", lines)
        records = [json.loads(line) for line in lines]
        for form in FORMATS:
            done = self.exeat("audit", "export", "--format", form, path)
            export_check.check_export(form, records, done.stdout.encode())

    def test_follow_a_file(self):
        path = self.directory / "audit.jsonl"
        following = self.follow(path)
        path.write_bytes(b"".join(self.lines[:3]))
        following.wait(3)
        with open(path, "ab") as file:
            for at in range(3, 6):
                file.write(self.lines[at][:70])
                file.flush()
                file.write(self.lines[at][70:])
                file.flush()
                following.wait(at + 1)
        self.assertEqual(following.end(), (0, ""))
        self.assertEqual(following.sequences(), list(range(1, 7)))

    def test_follow_after_what_was_rotated(self):
        older = self.path("audit.jsonl.1.gz", gzip.compress(b"".join(self.lines[:10])))
        path = self.path("audit.jsonl", self.lines[10:20])
        following = self.follow("--after", "5", path, older)
        following.wait(15)
        os.rename(path, f"{path}.1")
        self.path("audit.jsonl", [self.lines[20], b"no record\n", *self.lines[22:]])
        following.wait(24)
        status, said = following.end(signal.SIGINT)
        self.assertEqual(following.sequences(), [*range(6, 22), *range(23, 31)])
        self.assertEqual(status, 1)
        self.assertIn(f"{path}:2: this is no audit record", said)
        self.assertIn("seq 22 to 22 are not in these files", said)

    def test_follow_ends_with_its_reader(self):
        path = self.path("audit.jsonl", self.lines)
        for more in (b"", self.lines[0]):
            following = self.follow(path)
            following.wait(30)
            following.process.stdout.close()
            with open(path, "ab") as file:
                file.write(more)
            self.assertEqual(following.process.wait(PATIENCE), 0)
            self.assertEqual(following.process.stderr.read(), b"")
            following.process.stdout = None

    def test_follow_a_pipe(self):
        with contextlib.ExitStack() as stack:
            process = stack.enter_context(subprocess.Popen([EXEAT, "audit", "export", "--follow", "--format", "ecs", "-"], stdin=subprocess.PIPE,
                                                           stdout=subprocess.PIPE))
            for line in self.lines[:3]:
                process.stdin.write(line)
                process.stdin.flush()
                self.assertEqual(json.loads(process.stdout.readline())["event"]["sequence"], json.loads(line)["seq"])
            process.stdin.close()
            self.assertEqual(process.wait(PATIENCE), 0)


class FollowTheJournalTest(TrafficStory):
    def test_follow_over_rotations_and_killed_journals(self):
        self.begin("none")
        self.traffic.start()
        followings = {form: self.use(Following("--format", form, self.path)) for form in FORMATS}
        for following in followings.values():
            following.wait(1)  # it begins with the file that is written when it starts: the first
        for turn in range(6):
            self.await_any_moment()
            self.rotate_at_random()
            if turn % 3 == 1:
                self.kill("journal")
        records = self.end()
        self.say("followed", records)
        for form, following in followings.items():
            following.wait(len(records))
            self.assertEqual((0, ""), following.end())
            export_check.check_export(form, records, following.output)
