"""How a story is told: the client asks, and what it saw, the record, the origins and the resolvers are held against the row."""

import contextlib
import tempfile
import unittest

import enclosure
from harness import SANITIZED, wait_until
from lab import Lab
from network import MAPPED, MODES, PLACES, PUBLIC, SOURCES, VPN, family_of, place_of
from stories import expected_record

SLOWNESS = 10 if SANITIZED else 1  # a program with sanitizers may take longer
ATTEMPTS = 5                       # on a busy machine, the fastest of these counts

# What takes so long (less a few ms) gives another address its turn (RFC 8305): the other family where an answer lags, the next where a try does.
TURNS = {"dns_ms": 45, "connect_ms": 240}


def setUpModule():
    if not enclosure.is_inside():
        raise unittest.SkipTest("SKIPPED: this is run by tests/run-lab")


def in_each_mode(module, *bases):
    """Gives the module (its globals) a test class for each mode, made of these bases and named after the first; `mode` says which."""
    for mode in MODES:
        name = bases[0].__name__ + mode.capitalize()
        module[name] = type(name, bases, {"mode": mode, "__module__": module["__name__"], "__doc__": bases[0].__doc__})


@contextlib.contextmanager
def lab_in_passing(mode, vpn="interface"):
    """A lab whose files are gone with it."""
    with tempfile.TemporaryDirectory(prefix="lab-") as directory, Lab(directory, mode, vpn) as lab:
        yield lab


class Telling(unittest.TestCase):
    """A test with a lab, of its `mode`, which it puts up by `self.open`."""

    def open(self, vpn="interface"):
        self.lab = self.enterContext(lab_in_passing(self.mode, vpn))
        return self.lab

    # -- one story --

    def tell(self, story, family):
        """Asks, once or until it was fast enough; each asking has to go by the row."""
        before = Marks(self.lab)
        sights = [story.asks(self.lab, story.who, family)]
        while story.within and sights[-1].seconds > story.within * SLOWNESS and len(sights) < ATTEMPTS:
            sights.append(story.asks(self.lab, story.who, family))
        self.assertEqual([story.sees] * len(sights), [sight.text for sight in sights])
        if story.within:
            self.assertLessEqual(min(sight.seconds for sight in sights), story.within * SLOWNESS)
        records = self.check_records(story, family, sights, before)
        self.check_origins(story, records, before)
        self.check_resolvers(story, records, before)
        self.assertEqual({}, self.lab.network.strays(), "packets that should not exist")

    def check_records(self, story, family, sights, before):
        if story.record is None:
            self.assertEqual([], before.new_decisions())
            return []
        records = wait_until("the records", lambda: len(before.new_decisions()) >= len(sights) and before.new_decisions())
        self.assertEqual(len(sights), len(records))
        for record, sight in zip(records, sights):
            expected = expected_record(story, self.lab.mode, family, sight.aim)
            upstream = expected.pop("upstream_ip", None)
            self.assertEqual(expected, {key: record[key] for key in expected})
            if record["verdict"] != "deny":
                self.check_way(record, upstream, sight.aim)
        return records

    def check_way(self, record, place, aim):
        """The address is one that the name means, the one that was asked when it is among them and had its turn; the source is one of the route's."""
        self.assertEqual(place, place_of(record["upstream_ip"]))
        if aim in PLACES[place] and all((record[key] or 0) < late for key, late in TURNS.items()):
            self.assertEqual(aim, record["upstream_ip"])
        self.assertEqual(443, record["upstream_port"])
        self.assertIn(record["egress_ip"], SOURCES if record["route"] == "nat" else VPN)
        self.assertEqual(family_of(record["upstream_ip"]), family_of(record["egress_ip"]))
        self.assertEqual(PUBLIC if record["egress_ip"] == MAPPED else record["egress_ip"], record["egress_public_ip"])

    def check_origins(self, story, records, before):
        """The origin saw the connection of each record, from the recorded source, and nobody else saw any."""
        expected = [(place_of(record["upstream_ip"]), record["egress_public_ip"]) for record in records if record["verdict"] != "deny"]
        reached = before.new_connections()
        self.assertEqual(expected, [seen for namespace in reached.values() for seen in namespace])
        if story.reached:
            self.assertEqual({story.reached} - {"nobody"}, {name for name, seen in reached.items() if seen})

    def check_resolvers(self, story, records, before):
        """A name that policy denies is asked of nobody; another at one place only, now or earlier."""
        if any(record["class"] == "policy" and record["reason"] != "address_forbidden" for record in records):
            self.assertEqual({"internet": [], "inside": []}, before.new_questions())
        if story.asked:
            askers = {name for name, questions in self.lab.questions().items() if story.asks.name in questions}
            self.assertEqual({story.asked} - {"nobody"}, askers)

    # -- all of them --

    def finish(self):
        """Ends exeat in order; its records are whole, and say of each agent one source for each family."""
        records = self.lab.finish()
        sources = {}
        for record in records:
            if record["event"] == "decision" and record["verdict"] != "deny" and record["route"] == "nat":
                sources.setdefault((record["client_ip"], family_of(record["egress_ip"])), set()).add(record["egress_ip"])
        self.assertEqual({}, {agent: seen for agent, seen in sources.items() if len(seen) != 1})
        return records


class Marks:
    """How far everything was when a story began, and what came since."""

    def __init__(self, lab):
        self.lab = lab
        self.decisions = len(lab.exeat.decisions())
        self.connections = {name: len(seen) for name, seen in lab.connections().items()}
        self.questions = {name: len(seen) for name, seen in lab.questions().items()}

    def new_decisions(self):
        return self.lab.exeat.decisions()[self.decisions:]

    def new_connections(self):
        return {name: seen[self.connections[name]:] for name, seen in self.lab.connections().items()}

    def new_questions(self):
        return {name: seen[self.questions[name]:] for name, seen in self.lab.questions().items()}


def slug(text):
    return "".join(char if char.isalnum() else "_" for char in text)
