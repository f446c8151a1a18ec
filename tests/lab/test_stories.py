"""Every story of the table, in both modes and both families; and what no row can tell."""

import telling
from clients import Tls, dial
from harness import client_hello, receive_exactly, wait_until
from network import CROWD, FAMILIES, LISTEN_PORT, MAPPED, PUBLIC, SOURCES, address_of, family_of, nft
from stories import STORIES
from telling import Telling, in_each_mode, lab_in_passing, slug

setUpModule = telling.setUpModule

# The rules of a network that brings exeat's own connections too.
COMING_BACK = {
    "redirect": f"chain out {{ type nat hook output priority -100; tcp dport 443 redirect to :{LISTEN_PORT}; }}",
    "tproxy": f"""
        chain out {{ type route hook output priority mangle; tcp dport 443 meta mark set 0x7; }};
        chain in {{ type filter hook prerouting priority mangle; iifname lo tcp dport 443 tproxy to :{LISTEN_PORT}; }}""",
}


class Stories:
    """The lab of one mode, for all stories."""

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(lab_in_passing(cls.mode))

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
        with dial(self.lab.network["crowd"], address_of("allowed", family), 443, source=agent) as sock:
            sock.sendall(client_hello("allowed.example"))
            self.assertEqual(b"\x16", receive_exactly(sock, 1))
        record, = wait_until("the record", before.new_decisions)
        seen, = before.new_connections()["internet"]
        self.assertEqual(("allowed", record["egress_public_ip"]), seen)
        return MAPPED if seen[1] == PUBLIC else seen[1]

    def test_its_own_connection_that_comes_back_is_denied(self):
        """Policy would let it out again, and again: the loop ends at its first turn."""
        self.bring_back()
        for family in FAMILIES:
            with self.subTest(family=family):
                before = telling.Marks(self.lab)
                self.assertEqual("alert access_denied", Tls("allowed.example")(self.lab, "agent1", family).text)
                there, back = wait_until("both decisions", lambda: len(before.new_decisions()) > 1 and before.new_decisions())
                self.lab.exeat.wait_close(there["id"])
                self.assertEqual(2, len(before.new_decisions()))
                self.assertEqual((address_of("agent1", family), "allow"), (there["client_ip"], there["verdict"]))
                self.assertEqual((there["egress_ip"], there["egress_port"]), (back["client_ip"], back["client_port"]))
                self.assertEqual(("deny", "address_forbidden"), (back["verdict"], back["reason"]))
                self.assertIn("exeat's own connection", back["detail"])
                self.assertEqual({"internet": [], "inside": []}, before.new_connections())

    def bring_back(self):
        appliance = self.lab.network["appliance"]
        nft(appliance, f"table inet back {{ {COMING_BACK[self.mode]}; }}")
        self.addCleanup(nft, appliance, "delete table inet back")
        for family in FAMILIES:  # of tproxy alone, and no harm to redirect
            for words in ("rule {} fwmark 0x7 lookup 107", "route {} local default dev lo table 107"):
                appliance.ip(f"-{family}", *words.format("add").split())
                self.addCleanup(appliance.ip, f"-{family}", *words.format("delete").split())


for story in STORIES:
    for family in FAMILIES:
        setattr(Stories, f"test_ipv{family}_{slug(story.tells)}", lambda self, story=story, family=family: self.tell(story, family))
in_each_mode(globals(), Stories, Telling)
