"""The appliance's rules: what is kept in by them gets out without them, and not when exeat is gone."""

import telling
from clients import Curl, Knock, UdpKnock
from network import FAMILIES
from telling import Telling, in_each_mode

setUpModule = telling.setUpModule
SSH = Knock(None, at="allowed", port=22)
GREETING = r"an answer: b'you got through\n'"


class Walls:
    def setUp(self):
        self.open()

    def see(self, asks, who="agent1"):
        """What that agent sees, by either family."""
        return [asks(self.lab, who, family).text for family in FAMILIES]

    def test_the_script_finds_nothing_missing(self):
        said = self.lab.appliance.do("check", check=False).stdout.splitlines()
        self.assertEqual([], [line for line in said if not line.startswith("ok ")])
        self.assertGreater(len(said), 10)

    def test_what_the_rules_keep_in_gets_out_without_them(self):
        """Else the stories of the walls would prove nothing."""
        self.lab.appliance.do("down")
        self.lab.network["appliance"].set("ipv4", forwarding=1)
        self.lab.network["appliance"].set("ipv6", forwarding=1)
        self.assertEqual([GREETING] * 2, self.see(SSH))
        self.assertNotEqual({}, self.lab.network.strays())
        self.lab.appliance.do("up")
        self.lab.network.forgive()
        self.assertEqual(["no answer"] * 2, self.see(SSH))
        self.assertEqual(["refused"] * 2, self.see(UdpKnock(None, at="allowed", port=443)))
        self.assertEqual({}, self.lab.network.strays())

    def test_without_exeat_nothing_leaves(self):
        self.assertEqual(["page of allowed"] * 2, self.see(Curl("allowed.example")))
        self.finish()
        before = telling.Marks(self.lab)
        self.assertEqual(["refused"] * 2, self.see(Knock(None, at="allowed", port=443)))
        self.assertEqual(["no answer"] * 2, self.see(SSH))
        self.assertEqual({"internet": [], "inside": []}, before.new_connections())
        self.assertEqual({}, self.lab.network.strays())


in_each_mode(globals(), Walls, Telling)
