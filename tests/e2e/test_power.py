"""Power is lost under load: with `sync = batch` whatever was let out is on the disk, and whatever is left of the file is gone on from."""

import contextlib
import json
import pathlib
import time
import unittest

import audit_check
import disks
from harness import SANITIZED, long_story
from traffic import Traffic, TrafficStory, allowed_hosts

CUTS = 8 if SANITIZED else 24
SECTOR = 512


@long_story
class PowerStory(TrafficStory):
    def await_a_moment(self):
        """Any, or one at which something was just written that is not synced yet: those are short."""
        self.await_any_moment()
        if self.chance.randrange(3) == 0:
            return
        size, end = self.path.stat().st_size, time.monotonic() + 1
        while self.path.stat().st_size == size and time.monotonic() < end:
            pass

    def heard(self):
        return set(self.traffic.seen)

    def unrecorded(self):
        """Whom an origin heard although no decision is on file."""
        return self.heard() - allowed_hosts(self.what_is_left())

    def what_is_left(self):
        """Every record there is, whatever else is there."""
        records = []
        for path in audit_check.history(self.path):
            for line in path.read_bytes().splitlines(keepends=True):
                with contextlib.suppress(audit_check.AuditFault):
                    records.append(audit_check.read_line(line))
        return records


class Disks(PowerStory):
    """A real file system, to which nothing more is written from one moment on."""

    def setUp(self):
        super().setUp()
        self.use(disks.MountSpace())
        self.disk = self.use(disks.Ext4(self.directory / "disk", size="32M", journal=True))
        self.path = self.disk.path / "audit.jsonl"
        self.before, self.asked = set(), 0  # who was heard before the last cut; how many had asked for a tunnel by then

    def heard(self):
        """Without those who were heard during a cut or behind it, while exeat still ran: a sync that meets the cut may go well and keep nothing, and
        where the power is gone nobody hears of it."""
        return self.before | {name for name in set(self.traffic.seen) if Traffic.number_of(name) >= self.asked}

    def written(self):
        """Bytes in all files, also while the disk cannot be read any more."""
        names = [self.path, *(pathlib.Path(f"{self.path}.{number + 1}") for number in range(self.rotations))]
        return sum(path.stat().st_size for path in names if path.exists())

    def cut(self):
        """Returns how much of what exeat had written is gone."""
        self.await_a_moment()
        if self.chance.randrange(4) == 0:
            self.rotate_at_random()
        self.before = self.heard()
        self.disk.lose_power()
        written = self.written()
        self.kill_all()
        self.asked = next(self.traffic.numbers)
        self.disk.start_again()
        return written - self.written()

    def test_with_sync_whatever_was_let_out_is_on_the_disk(self):
        lost = 0
        self.begin("batch")
        self.traffic.start()
        for _ in range(CUTS):
            lost += self.cut() > 0
            self.assertEqual(set(), self.unrecorded(), "an origin saw payload for which no decision is on the disk")
            self.begin("batch")
        records = self.end()
        self.assertEqual(set(), self.unrecorded())
        self.assertGreaterEqual(sum(record["event"] == "recovered" for record in records), CUTS)
        self.assertFalse([record for record in records if "missing" in (record["detail"] or "")])
        self.say(f"{CUTS} cuts, {lost} with something lost", records)

    def test_without_sync_it_is_not(self):
        """So that the story above is known to be able to see."""
        self.begin("none")
        self.traffic.start()
        self.traffic.await_progress()
        self.assertGreater(self.cut(), 0)
        self.assertNotEqual(set(), self.unrecorded())
        self.begin("batch")
        self.end()


class Remains(PowerStory):
    """Whatever a worse disk may have kept of what was not synced: some sectors and not others, and the head of another moment."""

    def setUp(self):
        super().setUp()
        self.head = pathlib.Path(f"{self.path}.head")

    def synced(self):
        """How much of the file, by the head, was synced for certain."""
        head = json.loads(self.head.read_bytes())
        return head["size"] if head["inode"] == self.path.stat().st_ino else 0

    def spoil(self, synced, least=0):
        """Of what stands behind `synced`, each sector is kept or is blank, up to a length at random, which is short of all by `least` at least. Returns
        whether anything is gone."""
        whole = self.path.read_bytes()
        kept = bytearray(whole[:self.chance.randint(synced, len(whole) - least)])
        odds = self.chance.choice((0, 0.1, 0.5, 1))
        for at in range(synced, len(kept), SECTOR):
            if self.chance.random() < odds:
                piece = slice(at, min(at + SECTOR, len(kept)))
                kept[piece] = bytes(piece.stop - piece.start)
        kept += bytes(self.chance.choice((0, 0, 1, 4096)))
        self.path.write_bytes(kept)
        return kept[:len(whole)] != whole

    def test_what_was_not_synced_is_lost_in_part(self):
        lost = 0
        self.begin("batch")
        self.traffic.start()
        for _ in range(CUTS):
            self.await_a_moment()
            self.kill_all()
            lost += self.spoil(self.synced())
            self.assertEqual(set(), self.unrecorded(), "an origin saw payload for which no decision was synced")
            self.begin("batch")
        self.say(f"{CUTS} cuts, {lost} with something lost", self.end())

    def test_without_sync_what_is_left_is_gone_on_from(self):
        lost = 0
        self.begin("none")
        self.traffic.start()
        for _ in range(CUTS):
            self.await_a_moment()
            head, synced = self.head.read_bytes(), self.synced()
            self.await_a_moment()
            self.kill_all()
            if self.chance.randrange(2):
                self.head.write_bytes(head)
            lost += self.spoil(synced, least=1)
            self.begin("none")
        records = self.end()
        self.assertEqual(CUTS, lost)
        self.say(f"{CUTS} cuts, {lost} with something lost", records)


if __name__ == "__main__":
    unittest.main()
