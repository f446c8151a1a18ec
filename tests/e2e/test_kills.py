"""Processes killed at random under load: nothing is lost, nothing went out unrecorded, and those who could live on do."""

import unittest

from harness import SANITIZED, long_story, wait_until
from traffic import TrafficStory, allowed_hosts

KILLS = 12 if SANITIZED else 50
VICTIMS = ("journal", "server", "supervisor", "all")


@long_story
class Kills(TrafficStory):
    def setUp(self):
        super().setUp()
        self.tunnel = None

    def begin_anew(self):
        """As a service manager does, also when somebody of the one before is not gone yet."""
        self.begin(self.chance.choice(("none", "batch")))

    # -- a tunnel that is open all the time --

    def open_tunnel(self):
        """… anew when the one before could not outlive a kill."""
        def opened():
            try:
                return self.traffic.open(self.traffic.new_name())
            except OSError:
                return None
        if self.tunnel is None:
            self.tunnel = wait_until("a tunnel", opened)
            self.addCleanup(self.tunnel.close)

    def lose_tunnel(self):
        self.tunnel.close()
        self.tunnel = None

    def speak(self):
        self.traffic.say(self.tunnel, self.tunnel.server_hostname)

    # -- kills --

    def kill_journal(self):
        journal = self.strike("journal")
        self.speak()
        self.await_another("journal", journal)
        self.speak()

    def kill_server(self):
        self.kill("server")
        self.lose_tunnel()

    def kill_supervisor(self):
        """The others end by themselves, and may be at it yet when the next one starts."""
        self.proxy.kill()
        self.begin_anew()
        self.lose_tunnel()

    def kill_everybody(self):
        self.kill_all()
        self.begin_anew()
        self.lose_tunnel()

    def kill_at_random(self, victim):
        self.traffic.await_progress(2)
        self.open_tunnel()
        rotation = self.chance.choice(("none", "none", "before", "behind"))
        self.await_any_moment()
        if rotation == "before":
            self.rotate_at_random()
        {"journal": self.kill_journal, "server": self.kill_server, "supervisor": self.kill_supervisor, "all": self.kill_everybody}[victim]()
        if rotation == "behind":
            self.rotate_at_random()

    def test_killed_at_random_under_load(self):
        self.begin_anew()
        self.traffic.start()
        for turn in range(KILLS):
            self.kill_at_random(VICTIMS[turn % len(VICTIMS)])
        self.open_tunnel()
        self.tunnel.close()
        records = self.end()
        self.assertEqual(set(), self.traffic.seen - allowed_hosts(records), "an origin saw payload for which no decision is on file")
        recovered = sum(record["event"] == "recovered" for record in records)
        self.say(f"{KILLS} kills, {recovered} recovered", records)
        self.assertGreaterEqual(recovered, KILLS - KILLS // len(VICTIMS), "each but the supervisor's, whose children end in order")


if __name__ == "__main__":
    unittest.main()
