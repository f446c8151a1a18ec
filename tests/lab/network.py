"""The map of the lab: its namespaces, the cables between them, every address and where it lives; and witnesses who count what went astray.

      agent1, agent2, stranger, crowd   appliance                     internet
      10.20.0.11 .12 .200  ==segment==  10.20.0.1  203.0.113.2  ----  203.0.113.1     the documented range comes from 203.0.113.16/29
      2001:db8:20::11 ...                   10.99.0.2                 origins on 1.2.3.x and 2400:1:2:3::x
                                                |
                                              "vpn" --------------->  inside 10.99.0.1, origins on 10.50.0.x and fd50::x

The internet has private addresses too, and the appliance sends there whatever has no better way: what goes astray arrives, and is counted."""

import contextlib
import ctypes
import itertools
import os
import pathlib
import subprocess

from enclosure import CLONE_NEWNET, LIBC, system

TOP = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = os.environ.get("EXEAT_APPLIANCE", TOP / "contrib" / "appliance" / "exeat-appliance")  # what makes a host the appliance
MODES = ("redirect", "tproxy")
LISTEN_PORT, EXPLICIT_PORT = 3129, 3128

# ---- addresses: a place is a name for one address of each family ----

FAMILIES = (4, 6)
AGENTS = {
    "agent1": ("10.20.0.11", "2001:db8:20::11"),
    "agent2": ("10.20.0.12", "2001:db8:20::12"),
    "stranger": ("10.20.0.200", "2001:db8:20::200"),  # on the segment, in no group of exeat's
}
CROWD = (tuple(f"10.20.0.{last}" for last in range(20, 44)), tuple(f"2001:db8:20::{last}" for last in range(20, 36)))  # many agents on one host
GATEWAY = ("10.20.0.1", "2001:db8:20::1")          # the appliance, as agents know it
OUTSIDE = ("203.0.113.2", "2001:db8:80::2")        # the appliance's own address in the internet, which asks DNS and nothing else
NEIGHBOUR = ("203.0.113.1", "2001:db8:80::1")      # the internet's end of that cable
VPN = ("10.99.0.2", "fd99::2")                     # the appliance's end of the vpn
VPN_GATEWAY = ("10.99.0.1", "fd99::1")
PEER = ("203.0.113.100", "2001:db8:80::100")       # a sister appliance, of exeat's `peers`

# The documented range: the sources of route nat. The cloud translates one of them.
MAPPED, PUBLIC = "10.0.1.10", "203.0.113.20"
SOURCES = ("203.0.113.16", "203.0.113.17", MAPPED, "2001:db8:80::16", "2001:db8:80::17")

# Where origins are; addresses that exeat calls public, routed nowhere but here.
INTERNET = {
    "allowed": ("1.2.3.10", "2400:1:2:3::10"),
    "many1": ("1.2.3.11", "2400:1:2:3::11"),
    "many2": ("1.2.3.12", "2400:1:2:3::12"),
    "many3": ("1.2.3.13", "2400:1:2:3::13"),
    "denied": ("1.2.3.20", "2400:1:2:3::20"),
    "unlisted": ("1.2.3.21", "2400:1:2:3::21"),
    "nameless": ("1.2.3.30", "2400:1:2:3::30"),    # a CIDR rule is for it: clients there send no name
    "plain": ("1.2.3.31", "2400:1:2:3::31"),       # speaks no TLS; a rule over its address does not ask for it
    "busy": ("1.2.3.40", "2400:1:2:3::40"),        # takes thousands of connections
    "down": ("1.2.3.50", "2400:1:2:3::50"),        # nobody listens there
    "wrong": ("1.2.3.66", "2400:1:2:3::66"),       # where nobody should come who asks for another name
    "dns": ("1.2.3.53", "2400:1:2:3::53"),
}
INSIDE = {
    "git": ("10.50.0.10", "fd50::10"),
    "wiki": ("10.50.0.11", "fd50::11"),
    "vpn-dns": ("10.50.0.53", "fd50::53"),
}
PLACES = {**INTERNET, **INSIDE, **AGENTS, "appliance": GATEWAY, "source": ("203.0.113.16", "2001:db8:80::16"), "peer": PEER}


def address_of(place, family):
    """Of a place that is said by its name, or by its two addresses."""
    return PLACES.get(place, place)[FAMILIES.index(family)]


def family_of(address):
    return 6 if ":" in address else 4


def place_of(address):
    """The name of the place that has this address; the address itself when none has."""
    return next((place for place, addresses in PLACES.items() if address in addresses), address)


# ---- namespaces ----


class Namespace:
    """A named network of the enclosure's own."""

    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        self.descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        # An IPv6 address is there as soon as it is added; a route by a cable without its other end counts as none.
        self.set("ipv6", accept_dad=0, router_solicitations=0, ignore_routes_with_linkdown=1)
        self.set("ipv4", ignore_routes_with_linkdown=1)
        self.ip("link", "set", "lo", "up")

    def set(self, protocol, interfaces=("all", "default"), **knobs):
        """Sysctls, for every interface that is made from now on unless some are named."""
        with self.inside():
            for knob, value in knobs.items():
                for which in interfaces:
                    pathlib.Path(f"/proc/sys/net/{protocol}/conf/{which}/{knob}").write_text(str(value))

    @contextlib.contextmanager
    def inside(self):
        """The sockets and processes that this thread makes meanwhile belong to this network."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            system(LIBC.setns, self.descriptor, CLONE_NEWNET)
            yield self
        finally:
            system(LIBC.setns, ctypes.c_int(before), CLONE_NEWNET)
            os.close(before)

    def ip(self, *words):
        return run("ip", "-n", self.name, *words)

    def run(self, *command, **how):
        return run("ip", "netns", "exec", self.name, *command, **how)

    def start(self, *command, **how):
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command], **{"stdin": subprocess.DEVNULL, **how})

    def add(self, interface, *addresses):
        """Gives the interface these addresses, with /24 and /64 where none is said, and brings it up."""
        for address in addresses:
            prefix = "" if "/" in address else "/64" if ":" in address else "/24"
            self.ip("address", "replace", address + prefix, "dev", interface, *(["nodad"] if ":" in address else []))
        self.ip("link", "set", interface, "up")

    def own(self, *addresses):
        """These are the namespace's own, each by itself."""
        self.add("lo", *(f"{address}/{32 if family_of(address) == 4 else 128}" for address in addresses))

    def default(self, *gateways):
        for gateway in gateways:
            self.ip("route", "add", "default", "via", gateway)

    def close(self):
        os.close(self.descriptor)
        run("ip", "netns", "delete", self.name)


def run(*command, check=True, **how):
    """Runs a command to its end; what it said is in the error when it fails."""
    ran = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, **how)
    if check and ran.returncode != 0:
        raise OSError(f"{' '.join(map(str, command))}: exit {ran.returncode}: {ran.stderr.strip()} {ran.stdout.strip()}")
    return ran


INDEXES = itertools.count(100)


def cable(one, interface, other, its_interface):
    """Its ends have different indexes. With the same one the kernel is in no hurry: up to a second goes by until it finds them connected."""
    one.ip("link", "add", interface, "index", str(next(INDEXES)), "type", "veth",
           "peer", "name", its_interface, "index", str(next(INDEXES)), "netns", other.name)


def join(segment, ends):
    """A switch in the one namespace, and a cable from it to each of the others: (namespace, its interface, its addresses there)."""
    segment.ip("link", "add", "switch", "type", "bridge")
    segment.ip("link", "set", "switch", "up")
    for namespace, interface, addresses in ends:
        cable(segment, namespace.name, namespace, interface)
        segment.ip("link", "set", namespace.name, "master", "switch", "up")
        namespace.add(interface, *addresses)


# ---- the map ----


class Network:
    """All namespaces and cables, before anybody lives there: the appliance's rules are not part of it."""

    def __init__(self):
        self.namespaces = {}
        try:
            for name in ("segment", *AGENTS, "crowd", "appliance", "internet", "inside"):
                self.namespaces[name] = Namespace(name)
            self.lay_segment()
            self.lay_internet()
            self.lay_vpn()
        except BaseException:
            self.close()
            raise

    def __getitem__(self, name):
        return self.namespaces[name]

    def lay_segment(self):
        agents = {**AGENTS, "crowd": (*CROWD[0], *CROWD[1])}
        join(self["segment"], [(self["appliance"], "agents0", GATEWAY), *((self[name], "eth0", addresses) for name, addresses in agents.items())])
        for name in agents:
            self[name].default(*GATEWAY)

    def lay_internet(self):
        appliance, internet = self["appliance"], self["internet"]
        cable(appliance, "internet0", internet, "appliance0")
        appliance.add("internet0", *OUTSIDE)
        appliance.default(*NEIGHBOUR)
        internet.add("appliance0", *NEIGHBOUR)
        internet.own(*(address for place in (*INTERNET.values(), *INSIDE.values(), PEER) for address in place))
        for gateway, prefixes in zip(OUTSIDE, (("10.20.0.0/24", f"{MAPPED}/32", "10.99.0.0/24"), ("2001:db8:20::/64", "fd99::/64"))):
            for prefix in prefixes:  # answers to what should never have come find their way back
                internet.ip("route", "add", prefix, "via", gateway)
        self.translate()
        self.witness("internet", "appliance0", [*SOURCES], OUTSIDE)

    def translate(self):
        """What a cloud does at its border: MAPPED is PUBLIC out there."""
        nft(self["internet"], f"""
            table ip cloud {{
                chain out {{ type nat hook input priority 100; ip saddr {MAPPED} snat to {PUBLIC}; }}
                chain in {{ type nat hook output priority -100; ip daddr {PUBLIC} dnat to {MAPPED}; }}
            }}""")

    def lay_vpn(self):
        inside = self["inside"]
        self.plug_vpn()
        inside.own(*(address for place in INSIDE.values() for address in place))
        inside.default(*VPN)
        self.witness("inside", "appliance0", VPN, ())

    def plug_vpn(self):
        """What the vpn's client does when it starts: the interface, both ends of it."""
        cable(self["appliance"], "vpn0", self["inside"], "appliance0")
        self.raise_vpn()

    def raise_vpn(self):
        """And when the link is there again: its addresses, some of which the kernel forgets while it is down."""
        self["inside"].add("appliance0", *VPN_GATEWAY)
        self["appliance"].add("vpn0", *VPN)

    # -- witnesses --

    def witness(self, name, interface, sources, askers):
        """Counts what arrives there from an address that is none of the sources (`askers` may ask DNS) or for an address that is not public."""
        four, six = ([address for address in sources if family_of(address) == family] for family in FAMILIES)
        private = "" if name == "inside" else """
                    ip daddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 } counter name private
                    ip6 daddr fc00::/7 counter name private"""
        nft(self[name], f"""
            table inet witness {{
                counter foreign {{}}
                counter private {{}}
                chain arrivals {{
                    type filter hook prerouting priority -300;
                    iifname != "{interface}" accept
                    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report }} accept
                    {private}
                    {"".join(f"{'ip6' if ':' in asker else 'ip'} saddr {asker} th dport 53 accept; " for asker in askers)}
                    ip saddr != {{ {", ".join(four)} }} counter name foreign
                    ip6 saddr != {{ {", ".join(six)} }} counter name foreign
                }}
            }}""")

    def strays(self):
        """How many packets the witnesses counted, as {"internet foreign": 2}; empty when all is well."""
        found = {}
        for name in ("internet", "inside"):
            words = self[name].run("nft", "list", "counters", "table", "inet", "witness").stdout.split()
            for at, word in enumerate(words):
                if word == "counter" and int(words[at + 4]):
                    found[f"{name} {words[at + 1]}"] = int(words[at + 4])
        return found

    def forgive(self):
        for name in ("internet", "inside"):
            self[name].run("nft", "reset", "counters", "table", "inet", "witness")

    def close(self):
        for namespace in reversed(self.namespaces.values()):
            namespace.close()
        self.namespaces = {}


def nft(namespace, text):
    run("ip", "netns", "exec", namespace.name, "nft", text)
