"""The lab, put up: the network, its people, the appliance's rules by contrib/appliance's own script, and an exeat in the appliance."""

import contextlib
import json
import os
import pathlib
import sys

import e2e  # noqa: F401
import audit_check
import enclosure
import harness
import servers
from network import (AGENTS, EXPLICIT_PORT, FAMILIES, GATEWAY, INSIDE, INTERNET, LISTEN_PORT, MAPPED, PEER, PUBLIC, SCRIPT, SOURCES, VPN, VPN_GATEWAY,
                     Network, address_of)

# What each name means at the public resolver, by place; `many` has three addresses, and some lead where exeat must never go.
NAMES = {
    "allowed.example": ["allowed"],
    "many.example": ["many1", "many2", "many3"],
    "misled.example": ["allowed"],
    "second.example": ["allowed"],
    "watched.example": ["allowed"],
    "denied.example": ["denied"],
    "unlisted.example": ["unlisted"],
    "down.example": ["down"],
    "busy.example": ["busy"],
    "self.example": ["source"],
    "gateway.example": ["appliance"],
    "mapped.example": [(PUBLIC, "2001:db8:80::16")],
    "peer.example": ["peer"],
}
# What the agents' hosts file says in the place of that.
LIES = {"misled.example": ["wrong"]}
# At the resolver behind the vpn. The public one would answer too, with the address of the place `wrong`.
CORPORATE = {"git.corp.example": ["git"], "wiki.corp.example": ["wiki"], "build.corp.example": ["git"], "later.corp.example": ["git"]}

EXEAT_CONF = f"""\
[exeat]
name = lab
workers = 2
peers = {" ".join(PEER)}

[listen explicit]
address = 0.0.0.0:{EXPLICIT_PORT} [::]:{EXPLICIT_PORT}

[listen network]
address = 0.0.0.0:{LISTEN_PORT} [::]:{LISTEN_PORT}
mode = {{mode}}

[clients builders]
from = 10.20.0.0/26 2001:db8:20::/122

[clients second]
from = {" ".join(AGENTS["agent2"])}

[clients appliance]
from = 127.0.0.1 ::1 {" ".join((*GATEWAY, *SOURCES))}

[route nat]
source = {{sources}}
addresses = public

[route anywhere]
source = {{sources}}
addresses = any

[route vpn]
source = {" ".join(VPN)}
{{vpn}}
resolver = {INSIDE["vpn-dns"][0]}
addresses = 10.50.0.0/16 fd50::/16

[rule denied]
to = denied.example
action = deny

[rule agents]
from = builders appliance
to = allowed.example many.example misled.example down.example busy.example
port = 443 {LISTEN_PORT}
route = nat

[rule second]
from = second
to = second.example
route = nat

[rule nameless]
to = {" ".join(INTERNET["nameless"])}
route = nat

[rule plain]
to = {" ".join(INTERNET["plain"])}
sni = off
route = nat

[rule watched]
to = watched.example
action = observe
route = nat

[rule circles]
to = self.example gateway.example mapped.example peer.example
port = 443 {LISTEN_PORT}
route = anywhere

[rule internal]
to = *.corp.example
route = vpn

[dns]
server = {INTERNET["dns"][0]}
timeout = 2s

[limits]
connect_timeout = 2s
hello_timeout = 1s
"""

# By interface the vpn's client has made the routes; by mark the appliance's script makes them, in a table of their own.
VPN_BY = {"interface": "interface = vpn0", "mark": "mark = 0x2"}

APPLIANCE_CONF = f"""\
MODE={{mode}}
AGENT_INTERFACES="agents0"
AGENTS="10.20.0.0/24 2001:db8:20::/64"
PORTS="443"
LISTEN_PORT={LISTEN_PORT}
EXPLICIT_PORT={EXPLICIT_PORT}
SOURCE_INTERFACE="internet0"
SOURCE_ADDRESSES="{" ".join(SOURCES)}"
EXEAT="{{exeat}}"
EXEAT_CONF="{{exeat_conf}}"
{{vpn}}
"""
VPN_BY_MARK = f"""\
VPN_MARK=0x2
VPN_TABLE=102
VPN_INTERFACE=vpn0
VPN_GATEWAY4={VPN_GATEWAY[0]}
VPN_GATEWAY6={VPN_GATEWAY[1]}"""


def sources_text():
    return " ".join(f"{MAPPED}={PUBLIC}" if source == MAPPED else source for source in SOURCES)


def addresses_by_family(places):
    """{4: [...], 6: [...]} of a row of NAMES."""
    return {family: [address_of(place, family) for place in places] for family in FAMILIES}


def zone(names):
    """What a resolver answers, as harness.DnsStub wants it."""
    found = {name: addresses_by_family(places) for name, places in names.items()}
    return {name: {"A": addresses[4], "AAAA": addresses[6]} for name, addresses in found.items()}


class People:
    """servers.py in one namespace, and what it wrote."""

    def __init__(self, namespace, directory, spec):
        self.log = directory / f"{namespace.name}.jsonl"
        self.log.touch()
        path = directory / f"{namespace.name}.spec"
        path.write_text(json.dumps(spec))
        self.output = open(directory / f"{namespace.name}.out", "ab")
        self.process = namespace.start(sys.executable, "-B", str(pathlib.Path(servers.__file__)), str(path), str(self.log),
                                       stdout=self.output, stderr=self.output)
        harness.wait_until(f"the people of {namespace.name}", lambda: self.seen("ready") or self.process.poll() is not None)
        assert self.process.poll() is None, pathlib.Path(self.output.name).read_text()

    def seen(self, what=None, **keys):
        """Every line, in order; or those of one kind that have these values."""
        lines = [json.loads(line) for line in self.log.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        return [line for line in lines if what in (None, line["saw"]) and all(line[key] == value for key, value in keys.items())]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.output.close()


class Appliance:
    """The script that the project ships, run in the appliance."""

    def __init__(self, namespace, directory, **values):
        self.namespace = namespace
        self.config = directory / "appliance.conf"
        self.config.write_text(APPLIANCE_CONF.format(**values))

    def do(self, verb, check=True):
        return self.namespace.run(str(SCRIPT), verb, "-c", str(self.config), check=check)


class Lab(contextlib.ExitStack):
    """Everything at once, taken down when its `with` ends. `mode`: redirect or tproxy. `vpn`: what holds that route, interface or mark."""

    def __init__(self, directory, mode, vpn="interface"):
        super().__init__()
        self.directory, self.mode, self.vpn = pathlib.Path(directory), mode, vpn
        self.directory.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as failing:
            failing.push(self)
            self.put_up()
            failing.pop_all()

    def put_up(self):
        self.network = self.use(Network())
        self.certify()
        self.write_hosts()
        self.settle()
        values = {"mode": self.mode, "exeat": os.path.abspath(harness.EXEAT), "exeat_conf": self.directory / "exeat.conf",
                  "vpn": VPN_BY_MARK if self.vpn == "mark" else ""}
        self.appliance = Appliance(self.network["appliance"], self.directory, **values)
        self.lead_inside()
        if self.vpn == "mark":  # the script is to see to it
            for protocol in ("ipv4", "ipv6"):
                self.network["appliance"].set(protocol, ignore_routes_with_linkdown=0, interfaces=("all", "default", "vpn0"))
        self.callback(self.appliance.do, "down")
        self.appliance.do("up")
        with self.network["appliance"].inside():
            text = EXEAT_CONF.format(mode=self.mode, sources=sources_text(), vpn=VPN_BY[self.vpn])
            self.exeat = harness.Exeat(self.directory, text)
        self.callback(self.exeat.stop)

    def use(self, thing):
        self.callback(thing.close)
        return thing

    def certify(self):
        """One authority that agents trust, for every name that may be asked; and another that the place `wrong` has."""
        good, wrong = self.directory / "good", self.directory / "wrong"
        for directory, names in ((good, [*NAMES, *CORPORATE]), (wrong, ["wrong.example"])):
            directory.mkdir()
            setattr(self, directory.name, harness.Certificate.make(directory, *names))
        self.authority = self.good.path

    def write_hosts(self):
        """The hosts file of the agents; exeat sees the same one, and must not read it."""
        self.believed = {name: {family: addresses[0] for family, addresses in addresses_by_family(places).items()}
                         for name, places in {**NAMES, **CORPORATE, **LIES}.items()}
        lines = [f"{address} {name}" for name, addresses in self.believed.items() for address in addresses.values()]
        enclosure.show("/etc/hosts", "\n".join(["127.0.0.1 localhost", "::1 localhost", *lines, ""]))
        enclosure.show("/etc/resolv.conf", "nameserver 127.0.0.1\n")

    def settle(self):
        """People move in. Whoever is inside has a twin in the internet, so that what goes astray is answered, and seen."""
        everywhere = [(place, address) for place, addresses in {**INTERNET, **INSIDE}.items() for address in addresses
                      if place not in ("down", "busy", "wrong", "plain")]
        closed = [("allowed", address, port) for address in INTERNET["allowed"] for port in (22, 80, 8443)]
        plain = [("plain", address, 443) for address in INTERNET["plain"]]
        wrong = [address_of("wrong", family) for family in FAMILIES]
        specs = {
            "internet": servers.specification([(self.good, everywhere), (self.wrong, [("wrong", address) for address in wrong])], closed + plain,
                                              [("dns", address) for address in INTERNET["dns"]],
                                              {**zone(NAMES), **dict.fromkeys(CORPORATE, {"A": wrong[:1], "AAAA": wrong[1:]})}),
            "inside": servers.specification([(self.good, [row for row in everywhere if row[0] in INSIDE])], [],
                                            [("vpn-dns", address) for address in INSIDE["vpn-dns"]], zone(CORPORATE)),
        }
        self.people = {name: self.use(People(self.network[name], self.directory, spec)) for name, spec in specs.items()}

    def lead_inside(self):
        """What the vpn's client does when its interface is up: the routes through it."""
        if self.vpn == "interface":
            for prefix, gateway in zip(("10.50.0.0/16", "fd50::/16"), VPN_GATEWAY):
                self.network["appliance"].ip("route", "replace", prefix, "via", gateway, "dev", "vpn0")

    # -- what was seen --

    def connections(self):
        """Every connection that reached an origin: [(place, peer)] by namespace, in order."""
        return {name: [(line["place"], line["peer"]) for line in people.seen("connection")] for name, people in self.people.items()}

    def questions(self):
        """Every name that a resolver was asked for, by namespace, in order."""
        return {name: [line["name"] for line in people.seen("question")] for name, people in self.people.items()}

    def conntrack(self):
        """How many connections the appliance's kernel keeps track of."""
        return int(self.network["appliance"].run("cat", "/proc/sys/net/netfilter/nf_conntrack_count").stdout)

    # -- the end --

    def finish(self):
        """An orderly end: exeat drains, and its whole audit file holds. Returns its records."""
        assert self.exeat.stop() == 0, self.exeat.log_text()
        return audit_check.check_file(self.exeat.audit_path, first=1)
