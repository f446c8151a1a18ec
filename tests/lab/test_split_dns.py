"""The split tunnel in a real network: what is internal goes by the vpn and nowhere else, also when there is no vpn.

How a connection came in does not matter to how it goes out: each mode is told with one of the two ways to hold a route to its vpn."""

import socket

import telling
from harness import wait_until
from network import FAMILIES, address_of
from stories import WAYS, WAYS_WITHOUT_VPN
from telling import Telling, in_each_mode

setUpModule = telling.setUpModule
VPN_IN = {"redirect": "interface", "tproxy": "mark"}


class SplitDns:
    def setUp(self):
        self.open(VPN_IN[self.mode])

    def tell_all(self, stories):
        for story in stories:
            for family in FAMILIES:
                with self.subTest(story.tells, family=family):
                    self.tell(story, family)

    def lose(self, namespace, *command):
        """Takes the vpn away. What is internal would leave by nat now if it were left to itself; else the stories would prove nothing."""
        self.tell_all(WAYS[:2])
        self.lab.network[namespace].ip(*command)
        for family in FAMILIES:
            before = self.strays()
            wait_until("a stray", lambda: self.stray(family) or self.strays() > before)
        self.lab.network.forgive()

    def strays(self):
        return self.lab.network.strays().get("internet private", 0)

    def stray(self, family):
        """The kernel hears a moment later that the other side is down: until then this goes by the vpn, and is lost."""
        with self.lab.network["appliance"].inside(), socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"stray", (address_of("git", family), 9))

    def test_each_name_is_asked_where_its_route_asks(self):
        self.tell_all(WAYS)
        self.finish()

    def test_the_link_is_down(self):
        self.lose("appliance", "link", "set", "vpn0", "down")
        self.tell_all(WAYS_WITHOUT_VPN)
        self.finish()

    def test_the_other_side_is_down(self):
        self.lose("inside", "link", "set", "appliance0", "down")
        self.tell_all(WAYS_WITHOUT_VPN)
        self.finish()

    def test_the_interface_is_gone_and_comes_back(self):
        self.lose("appliance", "link", "delete", "vpn0")
        self.tell_all(WAYS_WITHOUT_VPN)
        self.lab.network.plug_vpn()
        self.lab.lead_inside()
        self.lab.appliance.do("up")
        for story in WAYS_WITHOUT_VPN[:2]:  # a source that was lacking is tried again after a while
            for family in FAMILIES:
                wait_until(f"{story.asks.name}", lambda: story.asks(self.lab, story.who, family).text == "page of git")
        self.tell_all(WAYS[:2])
        self.finish()


in_each_mode(globals(), SplitDns, Telling)
