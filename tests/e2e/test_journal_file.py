"""The audit file as it is renamed, deleted and cut while exeat writes it."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import unittest

import audit_check
from harness import wait_until
from tunnels import TunnelStory

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Rotation(TunnelStory):
    def rename(self, number):
        """Renames the file under exeat's hands and gives the new name."""
        other = self.proxy.audit_path.with_name(f"audit.jsonl.{number}")
        os.rename(self.proxy.audit_path, other)
        return other

    def reopen(self):
        self.proxy.process.send_signal(signal.SIGUSR1)

    def await_new_file(self):
        path = self.proxy.audit_path
        wait_until("the new file", lambda: path.exists() and path.stat().st_size > 0)

    def check_rotate(self, path, continued):
        """The first record of a file names the one before and its last record."""
        with open(path, "rb") as lines:
            first = audit_check.read_line(lines.readline())
        self.assertEqual("rotate", first["event"])
        self.assertEqual(f"continues inode {continued.stat().st_ino} after seq {first['seq'] - 1}", first["detail"])

    def check_all(self):
        """Every file there is, as one history in which nothing is missing."""
        files = audit_check.history(self.proxy.audit_path)
        records = audit_check.check_files(files, first=1)
        for before, path in zip(files, files[1:]):
            self.check_rotate(path, before)
        return files, records

    def test_rotation_under_load_loses_and_cuts_nothing(self):
        with self.load() as seen:
            for turn in range(20):
                self.await_progress(seen)
                self.rename(turn)
                self.reopen()
                self.await_new_file()
            self.await_progress(seen)
        self.assertEqual(0, self.proxy.stop())
        files, records = self.check_all()
        self.assertEqual(21, len(files))
        decisions = [record["host"] for record in records if record["event"] == "decision"]
        self.assertEqual(self.asked, len(decisions))
        self.assertEqual(set(), seen - set(decisions))
        self.assertEqual({"allow"}, {record["verdict"] for record in records if record["event"] == "decision"})

    def test_an_open_tunnel_never_notices(self):
        proxy = self.start()
        tunnel = self.open_tunnel()
        for turn in range(3):
            self.rename(turn)
            self.reopen()
            self.await_new_file()
            self.assert_echo(tunnel)
        tunnel.close()
        self.assertEqual(0, proxy.stop())
        _, records = self.check_all()
        self.assertEqual(["start", "decision", "rotate", "rotate", "rotate", "close", "stop"], [record["event"] for record in records])

    def test_a_signal_without_a_rename_is_recorded_in_the_same_file(self):
        proxy = self.start()
        self.assertTrue(self.tunnel_works())
        proxy.wait_records("the close", lambda records: len(records) == 3)
        self.reopen()
        proxy.wait_records("rotate", lambda records: any(record["event"] == "rotate" for record in records))
        self.assertEqual(0, proxy.stop())
        self.assertEqual(["start", "decision", "close", "rotate", "stop"], [record["event"] for record in self.check_all()[1]])

    def test_a_file_renamed_while_exeat_is_stopped_is_continued(self):
        for turn in range(3):
            proxy = self.start()
            self.assertTrue(self.tunnel_works())
            self.assertEqual(0, proxy.stop())
            if turn < 2:
                self.rename(turn)
        files, records = self.check_all()
        self.assertEqual(3, len(files))
        self.assertEqual(3 * 4 + 2, len(records))

    def test_a_deleted_file_is_begun_anew(self):
        proxy = self.start()
        tunnel = self.open_tunnel()
        lost = len(proxy.wait_records("the decision", lambda records: len(records) == 2 and records))
        proxy.audit_path.unlink()
        self.assertTrue(self.tunnel_works())
        tunnel.close()
        proxy.wait_records("both closes", lambda records: sum(record["event"] == "close" for record in records) == 2)
        self.assertEqual(0, proxy.stop())
        self.assertIn(f"was deleted, with its records up to seq {lost}; it goes on in a new file", proxy.log_text())
        records = proxy.records()
        self.assertEqual((lost + 1, "rotate"), (records[0]["seq"], records[0]["event"]))
        proxy.audit_path.unlink()  # the story's last check would miss what was deleted

    def test_the_sample_for_logrotate(self):
        if shutil.which("logrotate") is None:
            self.skipTest("logrotate is not installed: contrib/test installs it")
        proxy = self.start()
        pid = self.directory / "exeat.pid"
        pid.write_text(f"{proxy.process.pid}\n")
        sample = (ROOT / "contrib/logrotate/exeat").read_text()
        self.assertEqual(1, len(re.findall("^/var/log/exeat/audit.jsonl", sample, re.MULTILINE)))
        conf = self.directory / "logrotate.conf"
        conf.write_text(sample.replace("/var/log/exeat/audit.jsonl", str(proxy.audit_path)).replace("/run/exeat.pid", str(pid)))
        conf.chmod(0o600)
        self.assertTrue(self.tunnel_works())
        subprocess.run(["logrotate", "--force", "--state", self.directory / "state", conf], check=True)
        self.await_new_file()
        self.assertTrue(self.tunnel_works())
        self.assertEqual(0, proxy.stop())
        files, _ = self.check_all()
        self.assertEqual(2, len(files))


if __name__ == "__main__":
    unittest.main()
