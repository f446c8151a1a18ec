"""Signed checkpoints, held against what openssl's own command says of them."""

import base64
import hashlib
import os
import pathlib
import re
import subprocess
import unittest

import audit_check
import harness
from harness import wait_until
from proc import links
from traffic import Traffic
from tunnels import TunnelStory


class Key:
    """A key as openssl makes it: two files."""

    def __init__(self, directory):
        self.private, self.public = pathlib.Path(directory, "sign.key"), pathlib.Path(directory, "sign.pub")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.private], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", self.private, "-pubout", "-out", self.public], check=True, capture_output=True)
        self.private.chmod(0o600)
        der = subprocess.run(["openssl", "pkey", "-in", self.private, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        self.id = hashlib.sha256(der[-32:]).hexdigest()[:16]

    def secret(self):
        """What must stand nowhere else: the line between those of PEM, and the bytes of the key."""
        text = self.private.read_bytes().splitlines()[1]
        return text, base64.b64decode(text)[-32:]

    def signed(self, directory, message, signature):
        signed, detached = pathlib.Path(directory, "message"), pathlib.Path(directory, "signature")
        signed.write_bytes(message)
        detached.write_bytes(base64.b64decode(signature))
        return subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", self.public, "-rawin", "-in", signed, "-sigfile", detached],
                              capture_output=True).returncode == 0


class Checkpoints(TunnelStory):
    def setUp(self):
        super().setUp()
        self.key = Key(self.directory)

    def signing(self, checkpoint, **how):
        return self.start(extra=f"[audit]\nfile = {{dir}}/audit.jsonl\nsign_key = sign.key\ncheckpoint = {checkpoint}\n", **how)

    def check_signatures(self, paths):
        """Of every checkpoint; returns how many there are."""
        before, count = b"A" * 44, 0
        for path in paths:
            for line in path.read_bytes().splitlines():
                record = audit_check.read_line(line + b"\n")
                if record["event"] == "checkpoint":
                    key, signature = re.fullmatch("signed by key (.*): (.*)", record["detail"]).groups()
                    self.assertEqual(self.key.id, key)
                    self.assertTrue(self.key.signed(self.directory, before + line[:line.index(b',"detail":')], signature), line)
                    count += 1
                before = record["chain"].encode()
        return count

    def check_distances(self, records, most):
        unsigned = 0
        for record in records:
            unsigned = 0 if record["event"] == "checkpoint" else unsigned + 1
            self.assertLessEqual(unsigned, most, f"seq {record['seq']}")
        self.assertEqual(0, unsigned, "the last is no checkpoint")

    def test_whatever_happens_no_more_than_so_many_are_unsigned(self):
        rotated = []
        traffic = self.use(Traffic(self.directory, kinds=("tunnel", "denial")))
        config = traffic.policy("[audit]\nfile = {dir}/audit.jsonl\nsign_key = sign.key\ncheckpoint = 10 60s\n")
        traffic.proxy = self.proxy = self.exeat(config)
        traffic.start()
        for turn in range(2):
            traffic.await_progress()
            rotated.append(self.rotate(f".{2 * turn}"))
            traffic.await_progress()
            self.kill("journal")
            traffic.await_progress()
            self.kill("server")
            rotated.append(self.rotate(f".{2 * turn + 1}"))
            traffic.await_progress()
            if turn == 0:
                self.kill_all()
                traffic.proxy = self.proxy = self.exeat(config)
        traffic.stop()
        self.assertEqual(0, self.proxy.stop())
        files = audit_check.history(self.proxy.audit_path)
        records = audit_check.check_files(files, first=1)
        self.check_distances(records, 10)
        self.assertEqual(["stop", "checkpoint"], [record["event"] for record in records[-2:]])
        for path in rotated:
            self.assertEqual("checkpoint", audit_check.read_line(path.read_bytes().splitlines(True)[-1])["event"], path)
        self.assertGreater(self.check_signatures(files), len(records) // 11)

    def test_what_is_unsigned_for_long_is_signed(self):
        proxy = self.signing("1000 1s")
        tunnel = self.open_tunnel()
        proxy.wait_records("a checkpoint", lambda records: records[-1]["event"] == "checkpoint")
        self.assert_echo(tunnel)
        tunnel.close()
        records = proxy.wait_records("the next", lambda records: records[-1]["event"] == "checkpoint" and records[-2]["event"] == "close" and records)
        self.assertEqual(0, proxy.stop())
        self.assertEqual(["stop", "checkpoint"], [record["event"] for record in proxy.records()[len(records):]])
        self.check_signatures([proxy.audit_path])

    def test_an_orderly_end_stays_one_and_is_not_signed_twice(self):
        for _ in range(2):
            self.assertEqual(0, self.signing("1000 60s").stop())
        self.assertEqual(["start", "stop", "checkpoint"] * 2, [record["event"] for record in self.proxy.records()])

    def test_a_stream_is_signed_too(self):
        path = self.directory / "stream.jsonl"
        with open(path, "wb") as stream:
            proxy = self.start(extra="[audit]\nfile = -\nsign_key = sign.key\ncheckpoint = 1 60s\n", stdout=stream)
            self.assertTrue(self.tunnel_works())
            self.assertEqual(0, proxy.stop())
        records = audit_check.check_file(path, first=1)
        self.check_distances(records, 1)
        self.assertEqual(len(records), 2 * self.check_signatures([path]))

    def holds(self, pid, secrets):
        """What of a process holds one of these: memory or a descriptor."""
        process = pathlib.Path(f"/proc/{pid}")
        found = [fd for fd, link in links(pid).items() if link == str(self.key.private)]
        with open(process / "mem", "rb", 0) as memory:
            for begin, end, access in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) (r\S+) ", (process / "maps").read_text(), re.MULTILINE):
                try:
                    memory.seek(int(begin, 16))
                    held = memory.read(int(end, 16) - int(begin, 16))
                except (OSError, OverflowError, ValueError):
                    continue  # what the kernel lends, as vvar
                found += [f"{begin} {access}" for secret in secrets if secret in held]
        return found

    @unittest.skipIf(harness.SANITIZED, "its memory is too large to be searched")
    def test_the_server_never_holds_the_key(self):
        proxy = self.signing("1 60s")
        self.assertTrue(self.tunnel_works())
        text, key = self.key.secret()
        children = proxy.children()
        self.assertEqual([], self.holds(children["server"], (text, key)))
        supervisor = [place for place in self.holds(proxy.process.pid, (text, key)) if isinstance(place, str)]
        self.assertEqual([], supervisor, "what read the key to check it has left it in its memory")
        if os.geteuid() == 0:
            self.assertNotEqual([], self.holds(children["journal"], (key,)), "nothing would ever be found")
            self.assertEqual([], self.holds(children["journal"], (text,)), "the text of the key is not wiped")
        else:
            self.assertRaises(PermissionError, self.holds, children["journal"], (key,))
        self.assertEqual(0, proxy.stop())
        for path in (proxy.audit_path, proxy.log_path):
            self.assertNotIn(text, path.read_bytes())
        self.assertIn(f"checkpoints are signed by key {self.key.id}", proxy.log_text())

    def test_a_key_that_cannot_be_used_is_a_fault(self):
        config = self.directory / "exeat.conf"
        config.write_text("[listen a]\naddress = 127.0.0.1:0\n[audit]\nfile = audit.jsonl\nsign_key = sign.key\n")
        at = f"exeat: {config}:5: [audit] sign_key: {self.key.private} "
        encrypted = ["openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:test", "-out", self.key.private]
        other = ["openssl", "genpkey", "-algorithm", "x25519", "-out", self.key.private]
        for change, what in (
            (lambda: self.key.private.chmod(0o622), "has mode 0622: others could put another in its place"),
            (lambda: subprocess.run(encrypted, check=True, capture_output=True), "holds no such key; allowed: an Ed25519 private key"),
            (lambda: subprocess.run(other, check=True, capture_output=True), "holds no such key; allowed: an Ed25519 private key"),
            (self.key.private.unlink, "cannot be read: No such file or directory"),
        ):
            self.key.private.chmod(0o600)
            change()
            if self.key.private.exists() and "0622" not in what:
                self.key.private.chmod(0o600)
            for command in ("check", "run"):
                done = subprocess.run([harness.EXEAT, command, "-c", config], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=harness.PATIENCE)
                self.assertEqual(2, done.returncode, done.stderr)
                self.assertIn(at + what, done.stderr)
        self.assertFalse((self.directory / "audit.jsonl").exists())

    def test_a_key_that_was_broken_meanwhile_keeps_nothing_from_being_recorded(self):
        proxy = self.signing("1 60s")
        self.key.private.write_text("no key any more\n")
        self.kill("journal")
        wait_until("a tunnel", self.tunnel_works)
        self.await_log("the file of sign_key holds no key any more")
        self.assertEqual(0, proxy.stop())
        self.assertEqual("stop", proxy.records()[-1]["event"])


if __name__ == "__main__":
    unittest.main()
