"""The commands about audit files: audit verify and audit report, on files made here by the formula of exeat-audit(5), and audit keygen."""

import base64
import gzip
import hashlib
import json
import os
import pathlib
import pty
import random
import resource
import stat
import subprocess
import unittest

import audit_check
from harness import SANITIZED
from test_commands import EXEAT, CommandTest

CHAIN_START = "A" * 44
TIME = "2026-11-21T23:49:17.%06dZ"


def chained(before, front):
    return base64.b64encode(hashlib.sha256((before + front).encode()).digest()).decode()


def record_line(before, seq, chain=True, **values):
    """One line and its chain. Keys that are not given are null."""
    record = dict.fromkeys(audit_check.KEYS) | {"v": 1, "seq": seq, "time": TIME % seq, "instance": "egress-a", "event": "decision"} | values
    del record["chain"]
    front = json.dumps(record, separators=(",", ":"))[:-1]
    value = chained(before, front)
    return (front + (f',"chain":"{value}"}}\n' if chain else ',"chain":null}\n')).encode(), value


def lines_of(count, first=1, before=CHAIN_START, **values):
    lines = []
    for seq in range(first, first + count):
        line, before = record_line(before, seq, **values)
        lines.append(line)
    return lines, before


def head_of(seq, chain):
    return f'{{"seq":{seq},"chain":"{chain}","inode":1,"size":2}}'.ljust(191) + "\n"


class AuditTest(CommandTest):
    def path(self, name, data):
        path = self.directory / name
        path.write_bytes(data if isinstance(data, bytes) else b"".join(data))
        return str(path)

    def verify(self, *args, status=0):
        return self.exeat("audit", "verify", *args, status=status).stdout.splitlines()

    def expect_bad(self, what, line, *args, seq=None):
        """The one line of an answer: FILE:LINE seq N: what."""
        (answer,) = self.verify(*args, status=1)
        number = r"\d+" if seq is None else seq
        self.assertRegex(answer, rf"^[^ ]+:{line} seq {number}: {what}: .")
        return answer


class AuditTopTest(AuditTest):
    def test_each_has_help_that_the_manual_knows(self):
        manual = (pathlib.Path(__file__).resolve().parents[2] / "man/exeat.8").read_text()
        for command in ("verify", "report", "export", "keygen"):
            text = self.exeat("audit", command, "--help").stdout
            self.assertTrue(text.startswith(f"usage: exeat audit {command} "))
            self.assertIn(command, self.exeat("audit", "--help").stdout)
            for word in text.split():
                if word.startswith("--"):
                    self.assertTrue(f"Fl -{word.strip('-,.')}" in manual, f"{command} {word} is not in the manual")

    def test_misuse(self):
        self.assertIn('did you mean "verify"', self.exeat("audit", "verifi", status=2).stderr)
        self.assertEqual("exeat: error: which COMMAND?\nexeat: error: try 'exeat audit --help'\n", self.exeat("audit", status=2).stderr)
        for command in ("verify", "report", "keygen"):
            self.assertIn(f"exeat audit {command} --help", self.exeat("audit", command, status=2).stderr)
            self.assertIn(f"exeat audit {command} --help", self.exeat("audit", command, "--no-such-option", "x", status=2).stderr)

    def test_files_that_cannot_be_read(self):
        good = self.path("good.jsonl", lines_of(3)[0])
        broken = self.path("broken.gz", gzip.compress(b"".join(lines_of(300)[0]))[:-20])
        for command in ("verify", "report"):
            self.assertIn("nowhere.jsonl: No such file", self.exeat("audit", command, "nowhere.jsonl", status=2).stderr)
            self.assertIn(f"{self.directory}: Is a directory", self.exeat("audit", command, good, str(self.directory), status=2).stderr)
            self.assertIn(f"{broken}: its gzip data end", self.exeat("audit", command, broken, status=2).stderr)


class VerifyTest(AuditTest):
    def setUp(self):
        super().setUp()
        self.lines, self.chain = lines_of(300)

    def test_whole(self):
        path = self.path("audit.jsonl", self.lines)
        self.assertEqual(self.verify(path), ["whole: seq 1 to 300, 300 records", f"end unproven: there is no {path}.head"])

    def test_standard_input(self):
        self.path("-.head", head_of(200, CHAIN_START).encode())  # is that of a file which is called so
        done = subprocess.run([pathlib.Path(EXEAT).resolve(), "audit", "verify", "-"], input=b"".join(self.lines), cwd=self.directory,
                              capture_output=True, timeout=30)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(done.stdout.splitlines(), [b"whole: seq 1 to 300, 300 records",
                                                    b"end unproven: standard input has no head beside it, and no other was given"])

    def test_rotated_files_in_any_order(self):
        parts = [self.path("audit.jsonl.2.gz", gzip.compress(b"".join(self.lines[:100]))), self.path("audit.jsonl.1", self.lines[100:200]),
                 self.path("audit.jsonl", self.lines[200:])]
        self.path("audit.jsonl.head", head_of(300, self.chain).encode())
        wanted = ["whole: seq 1 to 300, 300 records", f"end proven by {parts[2]}.head"]
        self.assertEqual(self.verify(*parts), wanted)
        done = self.exeat("audit", "verify", *reversed(parts))
        self.assertEqual(done.stdout.splitlines(), wanted)
        self.assertIn("in the order of their records", done.stderr)
        self.assertEqual(self.exeat("audit", "verify", *parts).stderr, "")
        everything = sorted(str(path) for path in self.directory.glob("audit.jsonl*"))
        self.assertEqual(self.verify(*everything), wanted)
        self.expect_bad("missing", 1, parts[0], parts[2], seq=101)
        self.assertEqual(self.verify(*parts[1:])[1], "unanchored: what came before seq 101 is not here, and that is not the first record of a file")

    def test_file_that_begins_with_rotate(self):
        line, before = record_line(self.chain, 301, event="rotate", detail="continues inode 7 after seq 300")
        more, _ = lines_of(5, 302, before)
        path = self.path("audit.jsonl", [line, *more])
        self.assertEqual(self.verify(path)[:2], ["whole: seq 301 to 306, 6 records", "unanchored: what came before seq 301 is not here"])

    def test_generations_that_overlap(self):
        """Two servers at once, of which the older stops, and the younger dies."""
        ids = ["01K0000000000000000000%d001" % number for number in range(2)] + ["01K00000000000000000000002"]
        events = [{"event": "start"}, {"id": ids[0], "verdict": "allow"}, {"event": "start"}, {"id": ids[2], "verdict": "allow"},
                  {"id": ids[1], "verdict": "allow"}, {"event": "close", "id": ids[0]}, {"event": "close", "id": ids[1]},
                  {"event": "stop", "detail": "generation 1 ended, others go on"}, {"event": "recovered", "detail": f"left without close: {ids[2]}"}]
        before, lines = CHAIN_START, []
        for seq, values in enumerate(events, 1):
            line, before = record_line(before, seq, **values)
            lines.append(line)
        path = self.path("audit.jsonl", lines)
        self.assertEqual(self.verify(path)[0], "whole: seq 1 to 9, 9 records")
        report = json.loads(self.exeat("audit", "report", "--json", path).stdout)
        self.assertEqual([report["decisions"]["allow"], report["closes"], report["recovered"]], [3, 2, 1])
        self.expect_bad("missing", 8, self.path("no-stop.jsonl", lines[:7] + lines[8:]), seq=8)
        self.expect_bad("reordered", 3, self.path("turned.jsonl", [*lines[:2], lines[3], lines[2], *lines[4:]]), seq=4)

    def test_head(self):
        path = self.path("audit.jsonl", self.lines)
        head = pathlib.Path(f"{path}.head")
        head.write_text(head_of(300, self.chain))
        self.assertEqual(self.verify(path)[1], f"end proven by {head}")
        self.assertEqual(self.verify("--head", str(head), path)[1], f"end proven by {head}")
        head.write_text(head_of(301, self.chain))
        self.expect_bad("cut", 300, path, seq=300)
        head.write_text(head_of(300, CHAIN_START))
        self.expect_bad("changed", 300, path, seq=300)
        head.write_text(head_of(290, json.loads(self.lines[289])["chain"]))
        self.assertEqual(self.verify(path)[1], f"end proven up to seq 290 by {head}: 10 more came since")
        for form in ({}, {"separators": (",", ":")}, {"indent": 4}):
            head.write_text(json.dumps(json.loads(head_of(300, self.chain)), **form))
            self.assertEqual(self.verify("--head", str(head), path)[1], f"end proven by {head}")
        head.write_text("no head")
        (answer,) = self.verify(path, status=1)
        self.assertTrue(answer.startswith(f"{head}:1 seq 0: foreign: "))
        self.assertIn("nowhere", self.exeat("audit", "verify", "--head", "nowhere", path, status=2).stderr)

    def test_a_pipe_for_a_head_is_not_waited_for(self):
        path = self.path("audit.jsonl", self.lines)
        os.mkfifo(f"{path}.head")
        self.assertEqual(self.verify(path, status=1), [f"{path}.head:1 seq 0: foreign: it is no head of an audit file"])

    def test_the_name_of_a_file_says_nothing_by_itself(self):
        """Who can make a file beside the audit file can give it any name."""
        path = self.path("audit.jsonl\nwhole: seq 1 to 300\x1b[2J", self.lines)
        shown = path.replace("\n", "?").replace("\x1b", "?")
        self.assertEqual(self.verify(path)[1:], [f"end unproven: there is no {shown}.head"])
        self.assertEqual(self.verify(path, path, status=1), [f"{shown}:1 seq 1: repeated: it stands in {shown}:1 too"])
        pathlib.Path(f"{path}.head").write_text(head_of(300, self.chain))
        self.assertEqual(self.verify(path)[1:], [f"end proven by {shown}.head"])

    def test_asked_for_a_proof_there_must_be_one(self):
        path = self.path("audit.jsonl", self.lines[200:])
        head = self.path("other.head", head_of(200, CHAIN_START).encode())
        self.assertIn("end unproven: ", self.verify("--head", head, path, status=1)[2])

    def test_unchained_range(self):
        bare = [record_line(self.chain, seq, chain=False)[0] for seq in range(301, 311)]
        more, _ = lines_of(5, 311)
        path = self.path("audit.jsonl", [*self.lines, *bare, *more])
        self.assertEqual(self.verify(path)[1], "unchained: seq 301 to 310")
        more, _ = lines_of(5, 311, before=self.chain)
        self.expect_bad("changed", 311, self.path("audit.jsonl", [*self.lines, *bare, *more]))

    def test_what_was_done_to_it(self):
        lines = self.lines
        changed = lines[99].replace(b"egress-a", b"egress-b")
        cases = {
            "changed": ([*lines[:99], changed, *lines[100:]], 100, 100),
            "missing": ([*lines[:99], *lines[102:]], 100, 100),
            "inserted": ([*lines[:99], changed, *lines[99:]], 100, 100),
            "reordered": ([*lines[:99], lines[199], *lines[100:199], lines[99], *lines[200:]], 100, 200),
            "repeated": ([*lines[:99], lines[49], *lines[99:]], 100, 50),
            "foreign": ([*lines[:99], b"\xff\x00 what\n", *lines[99:]], 100, 100),
            "cut": ([*lines[:99], lines[99][:-7]], 100, 100),
        }
        for what, (tampered, line, seq) in cases.items():
            with self.subTest(what):
                self.expect_bad(what, line, self.path("audit.jsonl", tampered), seq=seq)
                self.expect_bad(what, line, self.path("audit.jsonl.gz", gzip.compress(b"".join(tampered))), seq=seq)

    def test_a_changed_number_is_told_by_its_true_one(self):
        for number, says in ((1, 3), (100, 108), (300, 200)):
            changed = self.lines[number - 1].replace(b'"seq":%d,' % number, b'"seq":%d,' % says)
            path = self.path("audit.jsonl", [*self.lines[:number - 1], changed, *self.lines[number:]])
            self.assertEqual(self.verify(path, status=1), [f"{path}:{number} seq {number}: changed: it says seq {says}"])

    def test_line_of_the_second_file(self):
        second = self.path("b.jsonl", [*self.lines[100:150], self.lines[151]])
        answer = self.expect_bad("missing", 51, self.path("a.jsonl", self.lines[:100]), second, seq=151)
        self.assertTrue(answer.startswith(f"{second}:51 "))

    def test_something_else_than_an_audit_file(self):
        self.expect_bad("foreign", 1, self.path("conf", b"[exeat]\nname = a\n"))
        self.expect_bad("foreign", 1, self.path("binary", bytes(range(256)) * 5000))
        self.expect_bad("foreign", 1, self.path("huge", b"x" * 1000000 + b"\n"))

    def test_a_large_file_at_random(self):
        """Single bytes of 10,000 records, by the program itself; tests/unit/test_audit_verify.c does all the rest."""
        rng = random.Random(7)
        lines, _ = lines_of(10000)
        whole = b"".join(lines)
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line))
        path = self.directory / "audit.jsonl"
        path.write_bytes(whole)
        for _ in range(5 if SANITIZED else 30):
            at, bit = rng.randrange(len(whole) - 1), 1 << rng.randrange(8)
            number = next(i for i, start in enumerate(starts) if start > at)
            with self.subTest(at=at, bit=bit):
                with open(path, "r+b") as file:
                    file.seek(at)
                    file.write(bytes([whole[at] ^ bit]))
                self.expect_bad("changed", number, str(path), seq=number)
                with open(path, "r+b") as file:
                    file.seek(at)
                    file.write(whole[at:at + 1])


class SignedTest(AuditTest):
    """Checkpoints, signed here by OpenSSL's command."""

    def setUp(self):
        super().setUp()
        self.key, self.id = self.make_key("sign.key")
        self.lines, self.chain = self.signed_lines(30)

    def make_key(self, name):
        """Its path and id."""
        path = str(self.directory / name)
        return path, self.exeat("audit", "keygen", path).stdout.split()[1]

    def sign(self, key, data):
        path = self.path("to-be-signed", data)
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", path], capture_output=True, check=True).stdout

    def checkpoint(self, before, seq, key=None, claim=None):
        """A checkpoint and its chain."""
        key, claim = key or self.key, claim or self.id
        front = record_line(before, seq, event="checkpoint")[0].decode().partition(',"detail":')[0]
        signature = base64.b64encode(self.sign(key, (before + front).encode())).decode()
        return record_line(before, seq, event="checkpoint", detail=f"signed by key {claim}: {signature}")

    def signed_lines(self, count, first=1, before=CHAIN_START, **who):
        """Each tenth is a checkpoint."""
        lines = []
        for seq in range(first, first + count):
            line, before = self.checkpoint(before, seq, **who) if seq % 10 == 0 else record_line(before, seq)
            lines.append(line)
        return lines, before

    def verify_signed(self, *args, status=0, key=None):
        return self.verify("--key", f"{key or self.key}.pub", *args, status=status)

    def test_end_at_a_signature(self):
        path = self.path("audit.jsonl", self.lines)
        signed = f"signed up to seq 30 at {TIME % 30} by key {self.id}"
        self.assertEqual(self.verify_signed(path), ["whole: seq 1 to 30, 30 records", signed,
                                                    f"end proven by the signature: had more come after {TIME % 30}, only a head would tell"])
        self.assertEqual(self.verify(path), ["whole: seq 1 to 30, 30 records", f"{signed}: not checked, that needs --key",
                                             f"end unproven: there is no {path}.head"])
        self.path("audit.jsonl.head", head_of(30, self.chain).encode())
        self.assertEqual(self.verify_signed(path)[2], f"end proven by the signature and by {path}.head")
        self.path("audit.jsonl.head", head_of(29, json.loads(self.lines[28])["chain"]).encode())
        self.assertTrue(self.verify_signed(path)[2].startswith("end proven by the signature: "))

    def test_cut_behind_an_older_signature(self):
        """The signature cannot tell, the head can."""
        path = self.path("audit.jsonl", self.lines[:20])
        self.assertEqual(self.verify_signed(path)[1], f"signed up to seq 20 at {TIME % 20} by key {self.id}")
        self.path("audit.jsonl.head", head_of(30, self.chain).encode())
        (answer,) = self.verify_signed(path, status=1)
        self.assertEqual(answer, f"{path}:20 seq 20: cut: the head says that seq 30 was the last")

    def test_records_behind_the_last_signature(self):
        more, chain = lines_of(3, 31, self.chain)
        path = self.path("audit.jsonl", [*self.lines, *more])
        behind = f"not signed: seq 31 to 33, 3 records, since {TIME % 31}"
        self.assertEqual(self.verify_signed(path, status=1)[2:], [behind, f"end unproven from seq 31 on: there is no {path}.head"])
        head = self.path("audit.jsonl.head", head_of(33, chain).encode())
        self.assertEqual(self.verify_signed(path)[2:], [behind, f"end proven by {head} alone"])
        self.assertEqual(self.verify_signed("--head", head, path)[2:], [behind, f"end proven by {head} alone"])
        self.path("audit.jsonl.head", head_of(32, json.loads(more[1])["chain"]).encode())
        self.assertEqual(self.verify_signed(path)[3], f"end proven up to seq 32 by {head}: 1 more came since")

    def test_asked_for_both_proofs(self):
        path = self.path("audit.jsonl", self.lines)
        elsewhere = self.path("b.jsonl", lines_of(5, 31, self.chain)[0])
        head = self.path("other.head", head_of(30, self.chain).encode())
        self.verify_signed("--head", head, path)
        self.assertIn("nothing is signed: there is no checkpoint", self.verify_signed("--head", head, elsewhere, status=1))

    def test_nothing_is_signed(self):
        lines, chain = lines_of(5)
        path = self.path("audit.jsonl", lines)
        self.path("audit.jsonl.head", head_of(5, chain).encode())
        self.assertEqual(self.verify_signed(path, status=1)[1], "nothing is signed: there is no checkpoint")
        self.assertEqual(self.verify_signed(self.path("empty.jsonl", b""), status=1)[1], "nothing is signed: there is no checkpoint")

    def test_forged(self):
        """The chain is right: made anew by one who has not the key."""
        other, name = self.make_key("other.key")
        changed, chain = lines_of(9, 11, json.loads(self.lines[9])["chain"], host="other.example")
        unlike = f"changed: its signature is not that of key {self.id}: something behind seq 10 was written without that key, and the chain made to fit"
        for who, what in (({"key": other}, unlike), ({"key": other, "claim": name}, f"foreign: it is signed by key {name}, which was not given")):
            with self.subTest(what):
                path = self.path("audit.jsonl", [*self.lines[:10], *changed, *self.signed_lines(11, 20, chain, **who)[0]])
                self.verify(path)
                (answer,) = self.verify_signed(path, status=1)
                self.assertEqual(answer, f"{path}:20 seq 20: {what}")
        path = self.path("audit.jsonl", [*self.lines[:10], *changed])
        self.verify(path)
        self.assertIn("end unproven from seq 11 on: ", self.verify_signed(path, status=1)[3])

    def test_another_key_from_a_record_on(self):
        other, name = self.make_key("other.key")
        more, _ = self.signed_lines(10, 31, self.chain, key=other, claim=name)
        parts = [self.path("audit.jsonl.1.gz", gzip.compress(b"".join(self.lines))), self.path("audit.jsonl", more)]
        self.assertEqual(self.verify_signed("--key", f"{other}.pub", *parts)[1], f"signed up to seq 40 at {TIME % 40} by key {name}")
        self.assertRegex(self.verify_signed(*parts, status=1)[0], f":10 seq 40: foreign: it is signed by key {name}, which was not given$")
        self.assertRegex(self.verify_signed(*parts, key=other, status=1)[0], f":10 seq 10: foreign: it is signed by key {self.id}, ")

    def test_a_later_file_alone(self):
        more, _ = self.signed_lines(10, 31, self.chain)
        self.assertEqual([line.split()[0] for line in self.verify_signed(self.path("audit.jsonl", more))], ["whole:", "unanchored:", "signed", "end"])

    def test_unchained_is_not_signed(self):
        bare, _ = record_line(self.chain, 31, chain=False)
        more, _ = self.signed_lines(9, 32)
        answer = self.verify_signed(self.path("audit.jsonl", [*self.lines, bare, *more]), status=1)
        self.assertEqual(answer[1], "unchained: seq 31 to 31")
        self.assertIn("not signed: what is unchained, and what stands before that up to the checkpoint there", answer)

    def test_keys_that_are_none(self):
        path = self.path("audit.jsonl", self.lines)
        public = pathlib.Path(f"{self.key}.pub").read_bytes()
        subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", self.directory / "x"], check=True)
        x25519 = subprocess.run(["openssl", "pkey", "-in", self.directory / "x", "-pubout"], capture_output=True, check=True).stdout
        none = "no public Ed25519 key"
        for name, data, what in (("a", b"", none), ("b", x25519, none), ("c", public[:-40], none), ("d", pathlib.Path(self.key).read_bytes(), "this is a private key"),
                                 ("e", public * 2, "several keys"), ("f", bytes(70000), "too large")):
            with self.subTest(what):
                key = self.path(name, data)
                self.assertIn(f"{key}: ", self.exeat("audit", "verify", "--key", key, path, status=2).stderr)
                self.assertIn(what, self.exeat("audit", "verify", "--key", key, path, status=2).stderr)
        self.assertIn("nowhere: No such file", self.exeat("audit", "verify", "--key", "nowhere", path, status=2).stderr)
        self.assertIn("Is a directory", self.exeat("audit", "verify", "--key", str(self.directory), path, status=2).stderr)
        self.assertIn("too large", self.exeat("audit", "verify", "--key", "/dev/zero", path, status=2).stderr)

    def test_keys_of_openssl(self):
        """A public key with text around it, and one that came through a pipe."""
        path = self.path("audit.jsonl", self.lines)
        text = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-text_pub"], capture_output=True, check=True).stdout
        self.verify("--key", self.path("text.pub", text), path)
        done = subprocess.run([EXEAT, "audit", "verify", "--key", "/dev/stdin", path], input=text, capture_output=True, timeout=30)
        self.assertEqual(done.returncode, 0, done)

    def test_report_counts_them_as_records(self):
        report = json.loads(self.exeat("audit", "report", "--json", self.path("audit.jsonl", self.lines)).stdout)
        self.assertEqual([report["records"], report["unread"]], [30, 0])


class KeygenTest(AuditTest):
    def keygen(self, *args, status=0):
        return self.exeat("audit", "keygen", *args, status=status)

    def files(self):
        return {path.name for path in self.directory.iterdir()} - {"exeat.conf"}

    def test_pair(self):
        key = self.directory / "sign.key"
        public = pathlib.Path(f"{key}.pub")
        self.addCleanup(os.umask, os.umask(0o022))
        out = self.keygen(str(key)).stdout
        self.assertEqual([stat.S_IMODE(path.stat().st_mode) for path in (key, public)], [0o600, 0o644])
        self.assertEqual(subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], capture_output=True, check=True).stdout, public.read_bytes())
        raw = subprocess.run(["openssl", "pkey", "-pubin", "-in", public, "-outform", "DER"], capture_output=True, check=True).stdout[-32:]
        self.assertEqual(out.splitlines()[0], f"key {hashlib.sha256(raw).hexdigest()[:16]}")
        self.assertIn(f"[audit]\n    sign_key = {key.resolve()}\n", out)
        self.assertIn(f"{public}: the public key", out)
        self.assertNotEqual(self.keygen(f"{key}2").stdout.splitlines()[0], out.splitlines()[0])

    def test_nothing_is_written_over(self):
        for taken in ("a", "b.pub"):
            self.write(taken, "mine")
        os.symlink("nowhere", self.directory / "c")
        for name in ("a", "b", "c"):
            self.assertIn("it is there already", self.keygen(str(self.directory / name), status=2).stderr)
        self.assertEqual(self.files(), {"a", "b.pub", "c"})
        self.assertEqual([(self.directory / taken).read_text() for taken in ("a", "b.pub")], ["mine", "mine"])

    def test_both_or_none(self):
        for room in (0, 50, 118):
            def limit(room=room):
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
            done = subprocess.run([EXEAT, "audit", "keygen", self.directory / "a"], preexec_fn=limit, restore_signals=False, capture_output=True,
                                  text=True, timeout=30)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertRegex(done.stderr, "^exeat: error: [^\n]*/a: (File too large|No space left on device)\n$")
            self.assertEqual(self.files(), set())

    def test_what_is_no_name_of_a_key(self):
        for name in ("-", "", f"{self.directory}/", str(self.directory / "a.pub"), str(self.directory / "no" / "a")):
            self.assertEqual(self.keygen(name, status=2).stdout, "")
        self.assertIn("exeat audit keygen --help", self.keygen("a", "b", status=2).stderr)
        self.assertEqual(self.files(), set())


class ReportTest(AuditTest):
    def setUp(self):
        super().setUp()
        who = {"client_ip": "10.20.0.7", "client_group": "builders", "host": "agent.example", "rule": "agents", "route": "nat"}
        other = who | {"client_ip": "10.20.0.8", "host": "cdn.example"}
        evil = {"client_ip": "10.20.0.7", "client_group": "builders", "host": "evil.example", "verdict": "deny"}
        events = [
            {"event": "start"},
            who | {"verdict": "allow", "reason": "rule_allow"},
            other | {"verdict": "observe", "class": "policy", "reason": "default_deny"},
            evil | {"class": "policy", "reason": "default_deny"},
            evil | {"class": "policy", "reason": "default_deny"},
            evil | {"class": "network", "reason": "dns_failed", "host": 'a"\x1b[31m'},
            evil | {"class": "capacity", "reason": "overload"},
            who | {"event": "close", "bytes_up": 10, "bytes_down": 20, "duration_ms": 1, "end": "client_eof"},
            other | {"event": "close", "bytes_up": 100, "bytes_down": 200, "duration_ms": 1, "end": "client_eof"},
            {"event": "gap", "detail": "overload 12"},
        ]
        before, self.lines = CHAIN_START, []
        for seq, values in enumerate(events, 1):
            line, before = record_line(before, seq, **values)
            self.lines.append(line)
        self.file = self.path("audit.jsonl", self.lines)

    def report(self, *args, status=0):
        return json.loads(self.exeat("audit", "report", "--json", *args, status=status).stdout)

    def test_json(self):
        report = self.report(self.file)
        self.assertEqual(list(report), "records decisions closes bytes_up bytes_down denied clients hosts rules routes faults gaps recovered unread".split())
        self.assertEqual([report["records"], report["closes"], report["bytes_up"], report["bytes_down"]], [10, 2, 110, 220])
        self.assertEqual(report["decisions"], {"allow": 1, "deny": 4, "observe": 1})
        self.assertEqual(report["denied"], [{"host": "evil.example", "reason": "default_deny", "count": 2, "first": TIME % 4, "last": TIME % 5}])
        self.assertEqual([(row["class"], row["reason"], row["host"], row["count"]) for row in report["faults"]], [
            ("network", "dns_failed", 'a"\x1b[31m', 1), ("capacity", "overload", "evil.example", 1)])
        self.assertEqual(report["clients"], [
            {"client_ip": "10.20.0.8", "client_group": "builders", "allow": 0, "deny": 0, "observe": 1, "closes": 1, "bytes_up": 100,
             "bytes_down": 200, "first": TIME % 3, "last": TIME % 9},
            {"client_ip": "10.20.0.7", "client_group": "builders", "allow": 1, "deny": 4, "observe": 0, "closes": 1, "bytes_up": 10,
             "bytes_down": 20, "first": TIME % 2, "last": TIME % 8}])
        self.assertEqual([row["host"] for row in report["hosts"]], ["cdn.example", "agent.example", "evil.example", 'a"\x1b[31m'])
        self.assertEqual([(row["rule"], row["bytes_up"]) for row in report["rules"]], [("agents", 110), (None, 0)])
        self.assertEqual([(row["route"], row["bytes_up"]) for row in report["routes"]], [("nat", 110), (None, 0)])
        self.assertEqual([report["gaps"], report["recovered"], report["unread"]], [1, 0, 0])

    def test_text(self):
        out = self.exeat("audit", "report", self.file).stdout
        self.assertTrue(out.isascii())
        for wanted in ("decisions  1 allow, 4 deny, 1 observe\n", "bytes      110 up, 220 down\n", "gaps       1 records",
                       "\nclients\n10.20.0.8\tbuilders\t0\t0\t1\t100\t200\n", f"\ndenied by policy\nevil.example\tdefault_deny\t2\t{TIME % 4}\t{TIME % 5}\n",
                       "\nrefused, class network\na\\\"\\u001b[31m\tdns_failed\t1\t"):
            self.assertIn(wanted, out)
        self.assertRegex(self.on_terminal("audit", "report", self.file), r"\nCLIENT +GROUP +ALLOW +DENY +OBSERVE +UP +DOWN\n10\.20\.0\.8 +builders ")

    def test_top(self):
        out = self.exeat("audit", "report", "--top", "1", self.file).stdout
        self.assertIn("\nhosts (1 of 4)\ncdn.example\t", out)
        self.assertNotIn("agent.example", out)
        self.assertEqual(len(self.report("--top", "1", self.file)["hosts"]), 1)
        many = self.path("many.jsonl", [record_line("", seq, verdict="deny", host=f"h{seq}.example", reason="default_deny",
                                                    **{"class": "policy"})[0] for seq in range(1, 31)])
        self.assertIn("\nhosts (10 of 30)\n", self.exeat("audit", "report", many).stdout)
        self.assertIn("\nhosts\n", self.exeat("audit", "report", "--top", "0", many).stdout)
        self.assertEqual(len(self.report(many)["hosts"]), 30)

    def test_by(self):
        out = self.exeat("audit", "report", "--by", "rule", self.file).stdout
        self.assertIn("\nrules\nagents\t", out)
        self.assertNotIn("\nclients", out)
        self.assertIn("\ndenied by policy\n", out)
        report = self.report("--by", "rule", "--by", "route", self.file)
        self.assertEqual([key in report for key in ("clients", "hosts", "rules", "routes")], [False, False, True, True])
        self.assertIn("client host rule route", self.exeat("audit", "report", "--by", "hots", self.file, status=2).stderr)

    def test_since_and_until(self):
        days = self.path("days.jsonl", [record_line("", day, time=f"2026-11-{day:02}T12:00:00.000000Z", event="reload")[0] for day in range(1, 11)])
        for since, until, count in (("2026-11-03", "2026-11-05", 2), ("2026-11-03T12:00:00Z", "2026-11-05T12:00:01Z", 3),
                                    ("2026-11-03T12:00:00.000000Z", "2026-11-05T12:00:00.000001Z", 3),
                                    ("2026-11-03T12:00:00.000001Z", "2026-11-05T12:00:00.0000009Z", 1),
                                    ("2026-11-03T12:00:00+00:00", "2026-11-05T14:00:00.5+02:00", 3), ("2026-11-03T10:59:59-01:00", "2026-11-04", 1),
                                    ("1970-01-01T00:00:00+12:00", "9999-12-31T23:59:59.999999Z", 10),
                                    ("1970-01-01", "9999-12-31", 10), ("2026-11-05", "2026-11-03", 0)):
            with self.subTest(since=since, until=until):
                self.assertEqual(self.report("--since", since, "--until", until, days)["records"], count)
        self.assertEqual(self.report("--until", "0", days)["records"] + self.report("--since", "0", days)["records"], 10)
        self.assertEqual(self.report("--since", "100000d", days)["records"], 10)
        for time in ("", "yesterday", "2026-11-31", "2026-11-03T", "2026-11-03T24:00:00Z", "2026-11-03T12:00:00", "2026-11-03T1:00:00Z",
                     "2026-11-03T12:00:00Zx", "2026-11-03T+1:00:00Z", "2026-11-03T12:00:60Z", "2026-11-03T12:00:00.Z", "2026-11-03T12:00:00.5",
                     "2026-11-03T12:00:00+1:00", "2026-11-03T12:00:00+24:00", "2026-11-03T12:00:00+0100", "2026-11-03 12:00:00Z", "24"):
            with self.subTest(time):
                self.assertIn("is no time", self.exeat("audit", "report", "--since", time, days, status=2).stderr)

    def test_files_add_up_in_any_order_and_form(self):
        second = self.path("audit.jsonl.1.gz", gzip.compress(b"".join(self.lines[:5])))
        self.path("audit.jsonl", self.lines[5:])
        self.path("audit.jsonl.head", b"anything")
        once = self.report(second, self.file, f"{self.file}.head")
        self.assertEqual([once["records"], once["decisions"]["deny"], once["bytes_up"]], [10, 4, 110])
        self.assertEqual(self.report(self.file, second), once)

    def test_lines_that_are_no_records(self):
        torn = self.path("torn.jsonl", [*self.lines, b"{}\n", b"hello\n", self.lines[0][:50]])
        done = self.exeat("audit", "report", "--json", torn, status=1)
        self.assertEqual([json.loads(done.stdout)[key] for key in ("records", "unread")], [10, 3])
        self.assertIn(f"{torn}:11: ", done.stderr)
        self.assertIn("3 lines", done.stderr)

    def test_empty(self):
        empty = self.path("empty.jsonl", b"")
        self.assertEqual(self.report(empty)["records"], 0)
        self.assertTrue(self.exeat("audit", "report", empty).stdout.startswith("records    0\ndecisions  0 allow"))

    def test_progress_on_a_terminal_only(self):
        long = self.directory / "long"
        with open(long, "wb") as file:
            file.truncate(80 * 1024 * 1024)
        try:
            master, slave = pty.openpty()
        except OSError as error:
            self.skipTest(f"no terminal can be had here: {error}")
        for command in ("verify", "report"):
            with self.subTest(command):
                subprocess.run([EXEAT, "audit", command, str(long)], stdout=subprocess.DEVNULL, stderr=slave, timeout=60)
                seen = os.read(master, 65536).decode()
                self.assertRegex(seen, r"\r\[#* *\] +\d+ %")
                self.assertIn("\r\x1b[K", seen)
                self.assertNotIn("[#", self.exeat("audit", command, str(long), status=1).stderr)
        os.close(master)
        os.close(slave)


@unittest.skipIf(audit_check.jsonschema is None, "python3-jsonschema is not installed")
class SchemaTest(unittest.TestCase):
    """The published schema; every record of every story is held against it by harness.py."""

    def setUp(self):
        self.schema = json.loads(audit_check.SCHEMA_FILE.read_text())
        self.record = dict.fromkeys(audit_check.KEYS) | {
            "v": 1, "seq": 1, "time": TIME % 1, "event": "decision", "id": "01K" + "0" * 23, "listener": "a", "mode": "connect",
            "client_ip": "10.20.0.7", "verdict": "deny", "class": "policy", "reason": "default_deny"}

    def test_is_a_schema_of_exactly_the_keys_and_reasons(self):
        audit_check.jsonschema.Draft202012Validator.check_schema(self.schema)
        self.assertEqual(list(self.schema["properties"]), audit_check.KEYS)
        self.assertEqual(self.schema["required"], audit_check.KEYS)
        self.assertEqual(set(self.schema["properties"]["reason"]["enum"]), {None, *audit_check.REASONS})
        self.assertEqual(self.schema["properties"]["event"]["enum"], audit_check.EVENTS)
        self.assertEqual(self.schema["properties"]["end"]["enum"], [*audit_check.ENDS, None])

    def test_what_it_refuses(self):
        audit_check.check_schema([self.record])
        close = {"event": "close", "bytes_up": 0, "bytes_down": 0, "duration_ms": 0, "end": "idle"}
        audit_check.check_schema([self.record | close])
        for wrong in ({"v": 2}, {"seq": 0}, {"time": "2026-11-21"}, {"event": "opened"}, {"id": None}, {"verdict": None}, {"verdict": "allow"},
                      {"class": None}, {"reason": "because"}, {"port": 0}, {"port": "443"}, {"bytes_up": 1}, {"chain": "x"}, {"more": 1},
                      {"alpn": ["h2", None]}, {"event": "start"}, close | {"end": None}, close | {"ja4": "t" + "0" * 9 + "_" + "0" * 12 + "_" + "0" * 12}):
            with self.subTest(wrong), self.assertRaises(audit_check.AuditFault):
                audit_check.check_schema([self.record | wrong])


if __name__ == "__main__":
    unittest.main()
