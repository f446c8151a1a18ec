"""Every story of the table, in both modes and both families; and what is told of many agents."""

import pathlib
import shutil
import tempfile

import telling
from clients import dial
from harness import client_hello, receive_exactly, wait_until
from lab import MODES, Lab
from network import CROWD, FAMILIES, MAPPED, PUBLIC, SOURCES, address_of, family_of
from stories import STORIES
from telling import Telling, slug

setUpModule = telling.setUpModule


class Told:
    """The lab of one mode, for all stories."""

    @classmethod
    def setUpClass(cls):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="lab-"))
        cls.addClassCleanup(shutil.rmtree, directory, ignore_errors=True)
        cls.lab = cls.enterClassContext(Lab(directory, cls.mode))

    @classmethod
    def tearDownClass(cls):
        cls("finish").finish()

    def test_agents_are_spread_over_the_whole_range_and_keep_their_source(self):
        for family, crowd in zip(FAMILIES, CROWD):
            range_ = {source for source in SOURCES if family_of(source) == family}
            by_agent = [{self.source_of(agent, family) for _ in range(3)} for agent in crowd]
            self.assertEqual([1] * len(by_agent), [len(sources) for sources in by_agent], "an agent changed its source")
            self.assertEqual(range_, set.union(*by_agent))

    def source_of(self, agent, family):
        """The source that the origin saw a connection of this agent come from, as exeat names it."""
        before = telling.Marks(self.lab)
        with dial(self.lab, self.lab.network["crowd"], address_of("allowed", family), 443, source=agent) as sock:
            sock.sendall(client_hello("allowed.example"))
            self.assertEqual(b"\x16", receive_exactly(sock, 1))
        record, = wait_until("the record", before.new_decisions)
        seen, = before.new_connections()["internet"]
        self.assertEqual(("allowed", record["egress_public_ip"]), seen)
        return MAPPED if seen[1] == PUBLIC else seen[1]


def define():
    """A class a mode, a test a story and family."""
    for mode in MODES:
        body = {"mode": mode}
        for story in STORIES:
            for family in FAMILIES:
                body[f"test_ipv{family}_{slug(story.tells)}"] = lambda self, story=story, family=family: self.tell(story, family)
        name = mode.capitalize()
        globals()[name] = type(name, (Told, Telling), {**body, "__module__": __name__})


define()
