"""The audit file as it is renamed, deleted and cut while exeat writes it."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

import audit_check
from harness import wait_until
from traffic import Traffic, allowed_hosts
from tunnels import TunnelStory

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Rotation(TunnelStory):
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
        traffic = self.use(Traffic(self.directory, kinds=("tunnel",)))
        traffic.proxy = self.proxy = self.exeat(traffic.policy())
        traffic.start()
        for turn in range(20):
            traffic.await_progress()
            self.rotate(f".{turn}")
        traffic.await_progress()
        asked = traffic.stop()
        self.assertEqual(0, self.proxy.stop())
        files, records = self.check_all()
        self.assertEqual(21, len(files))
        allowed = allowed_hosts(records)
        self.assertEqual(asked, len(allowed))
        self.assertEqual(set(), traffic.seen - allowed)
        self.assertEqual({"allow"}, {record["verdict"] for record in records if record["event"] == "decision"})

    def test_an_open_tunnel_never_notices(self):
        proxy = self.start()
        tunnel = self.open_tunnel()
        for turn in range(3):
            self.rotate(f".{turn}")
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
                self.rename(f".{turn}")
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


class Recovery(TunnelStory):
    """What did not end in order is told."""

    def recovered(self, count=1):
        def find(records):
            found = [record for record in records if record["event"] == "recovered"]
            return found if len(found) >= count else None
        return self.proxy.wait_records("recovered", find)

    def open_ids(self, count):
        """Opens tunnels and gives their ids."""
        before = {record["id"] for record in self.proxy.decisions()}
        for _ in range(count):
            self.open_tunnel()
        return {record["id"] for record in self.proxy.decisions()} - before

    @staticmethod
    def named(records):
        return set(re.findall(r"\b[0-9A-Z]{26}\b", " ".join(record["detail"] for record in records)))

    def events(self):
        return [record["event"] for record in audit_check.check_file(self.proxy.audit_path, first=1)]

    def test_when_the_server_dies_those_it_left_open_are_named(self):
        proxy = self.start()
        ids = self.open_ids(3)
        self.kill("server")
        recovered = self.recovered()
        self.assertEqual(ids, self.named(recovered))
        wait_until("tunnels again", self.tunnel_works)
        self.assertEqual(0, proxy.stop())
        self.assertEqual(["start", *["decision"] * 3, "recovered", "start"], self.events()[:6])

    def test_when_the_server_dies_idle_nobody_is_named(self):
        proxy = self.start()
        self.kill("server")
        self.assertEqual("left without close: none", self.recovered()[0]["detail"])
        wait_until("tunnels again", self.tunnel_works)
        self.assertEqual(0, proxy.stop())

    def test_when_the_journal_dies_the_sessions_live_on_and_it_still_knows_them(self):
        proxy = self.start()
        ids = self.open_ids(2)
        closed = self.open_tunnel()
        self.kill("journal")
        self.assertEqual("the journal died, the server and its sessions go on", self.recovered()[0]["detail"])
        wait_until("tunnels again", self.tunnel_works)
        ids |= self.open_ids(2)
        closed.close()
        proxy.wait_records("both closes", lambda records: sum(record["event"] == "close" for record in records) == 2)
        self.kill("server")
        self.assertEqual(ids, self.named(self.recovered(2)))
        self.assertEqual(0, proxy.stop())
        self.events()

    def test_when_everything_dies_the_next_start_tells(self):
        self.start()
        ids = self.open_ids(3)
        self.kill_all()
        with open(self.proxy.audit_path, "ab") as lines:
            lines.write(b'{"v":1,"seq":5,"time":"20')
        proxy = self.start()
        recovered = self.recovered()
        self.assertEqual(ids, self.named(recovered))
        self.assertTrue(recovered[0]["detail"].startswith("cut off 25 bytes of a torn record; left without close: "), recovered)
        self.assertEqual(0, proxy.stop())
        self.assertEqual(["start", *["decision"] * 3, "recovered", "start", "stop"], self.events())

    def test_many_ids_take_many_records(self):
        proxy = self.start()
        ids = self.open_ids(120)
        self.kill("server")
        recovered = self.recovered(3)
        self.assertEqual(ids, self.named(recovered))
        self.assertEqual([True, True, False], [record["detail"].endswith("; more follow") for record in recovered])
        self.assertEqual(0, proxy.stop())
        self.events()

    def test_a_cut_tail_is_missed_by_the_next_start(self):
        proxy = self.start()
        self.assertTrue(self.tunnel_works())
        self.assertEqual(0, proxy.stop())
        lines = proxy.audit_path.read_bytes().splitlines(keepends=True)
        os.truncate(proxy.audit_path, sum(map(len, lines[:-2])))
        proxy = self.start()
        self.await_log("its .head names 4")
        self.assertTrue(self.recovered()[0]["detail"].startswith("seq 3 to 4 are missing; left without close: "))
        self.assertEqual(0, proxy.stop())

    def test_sessions_of_a_file_that_was_rotated_away_are_named(self):
        self.start()
        ids = self.open_ids(2)
        for turn in range(2):
            self.rotate(f".{turn}")
            ids |= self.open_ids(1)
        self.kill_all()
        proxy = self.start()
        self.assertEqual(ids, self.named(self.recovered()))
        self.assertEqual(0, proxy.stop())
        audit_check.check_files(audit_check.history(proxy.audit_path), first=1)


if __name__ == "__main__":
    unittest.main()
