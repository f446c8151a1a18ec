"""The stories of the lab, a row each: who asks for what, what is seen of it, and what is on record.

Addresses are places of the map (network.py), so that a row holds for both families. A record is told by what is particular to it; what holds for
every connection that the network brought (see `expected_record`) is not repeated."""

from typing import NamedTuple

from clients import Bytes, Client, Curl, Knock, LastBytes, OpenSsl, PlainCurl, ProxyCurl, Tls, UdpKnock, hello_with_ech
from forged import hello_naming
from harness import client_hello
from network import LISTEN_PORT, PLACES, address_of

AT_ONCE = 0.1  # seconds that a denial may take


class Story(NamedTuple):
    tells: str
    who: str
    asks: Client
    sees: str
    record: dict = None         # None: exeat never hears of it
    within: float = None        # seconds, from the client's first word to the end
    asked: str = None           # the namespace whose resolver is asked, or "nobody"; None: not looked at
    reached: str = None         # the namespace whose origin is reached, or "nobody"; None: as the record says


NAMELESS = dict(host=None, sni=None)


def allowed(rule, route, upstream, **more):
    return {"verdict": "allow", "class": None, "reason": "rule_allow", "rule": rule, "route": route, "upstream_ip": upstream, **more}


def by_nat(upstream, **more):
    return allowed("agents", "nat", upstream, **more)


def by_vpn(upstream, **more):
    return allowed("internal", "vpn", upstream, **more)


def denied(reason, **more):
    """By policy, and before anything is dialled."""
    return {"verdict": "deny", "class": "policy", "reason": reason, "egress_ip": None, "upstream_ip": None, **more}


def failed(reason, **more):
    """Policy allows it and the network does not."""
    return {"verdict": "deny", "class": "network", "reason": reason, "egress_ip": None, **more}


def faulty(reason, **more):
    """The client's own fault."""
    return {"verdict": "deny", "class": "client", "reason": reason, "egress_ip": None, "upstream_ip": None, **NAMELESS, **more}


CONNECT = dict(listener="explicit", mode="connect", original_ip=None)
UNHEARD = dict(sni=None)  # the refusal of a CONNECT comes before any hello
ACCESS_DENIED, DECODE_ERROR, UNRECOGNIZED_NAME = "alert access_denied", "alert decode_error", "alert unrecognized_name"

STORIES = (
    # ---- what is allowed ----
    Story("an unaware curl reaches an allowed name",
          "agent1", Curl("allowed.example"), "page of allowed", by_nat("allowed", client_group="builders")),
    Story("the other agent does too",
          "agent2", Curl("allowed.example"), "page of allowed", by_nat("allowed", client_group="second")),
    Story("openssl does too",
          "agent1", OpenSsl("allowed.example"), "a handshake", by_nat("allowed")),
    Story("a hello in segments of one byte works",
          "agent1", Tls("allowed.example", piece=1), "page of allowed", by_nat("allowed")),
    Story("an allowed name aimed at a wrong address is dialled where the resolver says",
          "agent1", Curl("allowed.example", at="wrong"), "page of allowed", by_nat("allowed")),
    Story("a hosts file that lies to the agent leads nobody astray",
          "agent1", Curl("misled.example"), "page of allowed", by_nat("allowed")),
    Story("of several addresses the one that was asked is dialled",
          "agent1", Tls("many.example", at="many2"), "page of many2", by_nat("many2")),
    Story("of several addresses the one that was asked is dialled whichever it is",
          "agent1", Tls("many.example", at="many3"), "page of many3", by_nat("many3")),
    Story("a CIDR rule lets a hello without a name to its address",
          "agent1", Tls(None, at="nameless"), "page of nameless", allowed("nameless", "nat", "nameless", host="nameless", sni=None)),
    Story("port 443 of the appliance itself goes by the name too",
          "agent1", Tls("allowed.example", at="appliance"), "page of allowed", by_nat("allowed")),
    Story("CONNECT works beside it",
          "agent1", ProxyCurl("allowed.example"), "page of allowed", by_nat("allowed", **CONNECT)),

    # ---- what is denied ----
    Story("a denied name ends in access_denied",
          "agent1", Curl("denied.example"), ACCESS_DENIED, denied("rule_deny", rule="denied"), within=AT_ONCE),
    Story("openssl prints the number of access_denied",
          "agent1", OpenSsl("denied.example"), ACCESS_DENIED, denied("rule_deny", rule="denied")),
    Story("a denied name aimed at an allowed address is denied",
          "agent1", Curl("denied.example", at="allowed"), ACCESS_DENIED, denied("rule_deny", rule="denied"), within=AT_ONCE),
    Story("a name that no rule lists ends in unrecognized_name",
          "agent1", Curl("unlisted.example"), UNRECOGNIZED_NAME, denied("default_deny", rule=None), within=AT_ONCE),
    Story("openssl prints the number of unrecognized_name",
          "agent1", OpenSsl("unlisted.example"), UNRECOGNIZED_NAME, denied("default_deny", rule=None)),
    Story("a name that is only for others ends in access_denied",
          "agent1", Curl("second.example"), ACCESS_DENIED, denied("default_deny", rule=None), within=AT_ONCE),
    Story("those others reach it",
          "agent2", Curl("second.example"), "page of allowed", allowed("second", "nat", "allowed")),
    Story("a client of no group is denied",
          "stranger", Curl("allowed.example"), ACCESS_DENIED, denied("client_unknown", client_group=None), within=AT_ONCE),
    Story("openssl without a name is denied",
          "agent1", OpenSsl(None, at="allowed"), ACCESS_DENIED, denied("sni_missing", **NAMELESS)),
    Story("a hello without a name is denied at once",
          "agent1", Bytes(None, at="allowed", make=lambda: client_hello(None)), ACCESS_DENIED, denied("sni_missing", **NAMELESS), within=AT_ONCE),
    Story("a name that is an address is denied",
          "agent1", Bytes(None, at="allowed", make=lambda: hello_naming("192.0.2.1")), ACCESS_DENIED, denied("sni_invalid", host="192.0.2.1", sni="192.0.2.1"),
          within=AT_ONCE),
    Story("an encrypted hello is denied",
          "agent1", Bytes("allowed.example", make=lambda: hello_with_ech("allowed.example")), ACCESS_DENIED, denied("ech_denied", ech=True),
          within=AT_ONCE),
    Story("what is not TLS is closed",
          "agent1", Bytes(None, at="allowed", make=lambda: b"SSH-2.0-OpenSSH_9.2\r\n"), "FIN", denied("not_tls", **NAMELESS), within=AT_ONCE),
    Story("an origin that is down ends in a reset",
          "agent1", Curl("down.example"), "RST", failed("connect_failed", rule="agents", route="nat"), reached="nobody"),
    Story("a denied name is denied by CONNECT too",
          "agent1", ProxyCurl("denied.example"), "CONNECT 403", denied("rule_deny", rule="denied", **UNHEARD, **CONNECT)),
    Story("a client of no group is denied by CONNECT too",
          "stranger", ProxyCurl("allowed.example"), "CONNECT 403", denied("client_unknown", client_group=None, **UNHEARD, **CONNECT)),

    Story("a name that is watched is let out, and recorded as such",
          "agent1", Curl("watched.example"), "page of allowed",
          {**allowed("watched", "nat", "allowed"), "verdict": "observe", "reason": "rule_observe"}),
    Story("what is not TLS passes where a rule over its address says so",
          "agent1", LastBytes(None, at="plain", make=lambda: b"SSH-2.0-OpenSSH_9.2\r\n"), repr(b"you got through\n"),
          allowed("plain", "nat", "plain", host="plain", sni=None)),

    # ---- what is no request ----
    Story("who says nothing is closed in time",
          "agent1", Bytes(None, at="allowed", make=lambda: b""), "FIN", faulty("hello_timeout")),
    Story("who says half a hello is closed in time",
          "agent1", Bytes(None, at="allowed", make=lambda: client_hello("allowed.example")[:60]), "FIN", faulty("hello_timeout")),
    Story("who leaves with half a hello is recorded",
          "agent1", LastBytes(None, at="allowed", make=lambda: client_hello("allowed.example")[:60]), "FIN", faulty("client_gone")),
    Story("who leaves without a byte is no decision",
          "agent1", LastBytes(None, at="allowed", make=lambda: b""), "FIN"),
    Story("what looks like TLS and is no hello is told so",
          "agent1", Bytes(None, at="allowed", make=lambda: b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"), DECODE_ERROR, faulty("hello_malformed"),
          within=AT_ONCE),
    Story("a hello that announces too much is told so",
          "agent1", Bytes(None, at="allowed", make=lambda: b"\x16\x03\x01\x40\x00\x01\x02\x00\x00"), DECODE_ERROR, faulty("hello_too_large"),
          within=AT_ONCE),

    # ---- never itself ----
    Story("a name that means one of the sources is not dialled",
          "agent1", Curl("self.example"), ACCESS_DENIED, denied("address_forbidden", rule="circles")),
    Story("a name that means the appliance among the agents is not dialled",
          "agent1", Curl("gateway.example"), ACCESS_DENIED, denied("address_forbidden", rule="circles")),
    Story("a name that means the public face of a mapped source is not dialled",
          "agent1", Curl("mapped.example"), ACCESS_DENIED, denied("address_forbidden", rule="circles")),
    Story("a name that means a sister appliance is not dialled",
          "agent1", Curl("peer.example"), ACCESS_DENIED, denied("address_forbidden", rule="circles")),
    Story("its own listener under another name is not dialled",
          "agent1", ProxyCurl("self.example", port=LISTEN_PORT), "CONNECT 403", denied("address_forbidden", rule="circles", **UNHEARD, **CONNECT)),
    Story("a connection that the network did not bring is denied",
          "appliance", Tls("allowed.example", at="appliance", port=LISTEN_PORT), ACCESS_DENIED, denied("address_forbidden", rule="agents")),

    # ---- the walls: exeat hears of none of these ----
    Story("QUIC is told at once to fall back",
          "agent1", UdpKnock(None, at="allowed", port=443), "refused", within=AT_ONCE),
    Story("plain http does not pass",
          "agent1", PlainCurl("allowed.example", port=80), "no answer"),
    Story("ssh does not pass",
          "agent1", Knock(None, at="allowed", port=22), "no answer"),
    Story("other ports do not pass",
          "agent1", Knock(None, at="allowed", port=8443), "no answer"),
    Story("a resolver of the agent's own choice is not reached",
          "agent1", UdpKnock(None, at="dns", port=53), "no answer"),
    Story("a resolver of the agent's own choice is not reached by TCP",
          "agent1", Knock(None, at="dns", port=53), "no answer"),
    Story("what is behind the vpn is not reached past exeat",
          "agent1", Knock(None, at="git", port=22), "no answer"),
    Story("the transparent listener is not reached as such",
          "agent1", Knock(None, at="appliance", port=LISTEN_PORT), "no answer"),
)

# Split DNS. Each name is asked at one resolver, and at no other.
WAYS = (
    Story("a public name goes by nat",
          "agent1", Curl("allowed.example"), "page of allowed", by_nat("allowed"), asked="internet", reached="internet"),
    Story("an internal name goes by the vpn",
          "agent1", Curl("git.corp.example"), "page of git", by_vpn("git"), asked="inside", reached="inside"),
    Story("an internal name goes by the vpn wherever it is aimed",
          "agent1", Curl("wiki.corp.example", at="allowed"), "page of wiki", by_vpn("wiki"), asked="inside", reached="inside"),
    Story("an internal name goes by the vpn by CONNECT too",
          "agent2", ProxyCurl("build.corp.example"), "page of git", by_vpn("git", **CONNECT), asked="inside", reached="inside"),
    Story("an internal name that does not exist is asked nowhere else",
          "agent1", Tls("none.corp.example", at="git"), "RST", failed("dns_failed", rule="internal", route="vpn"), asked="inside", reached="nobody"),
)
LOST = failed("route_unavailable", rule="internal", route="vpn")
WAYS_WITHOUT_VPN = (
    Story("an internal name that is remembered is not dialled by nat",
          "agent1", Curl("git.corp.example"), "RST", LOST, reached="nobody"),
    Story("an internal name that is not remembered is asked of nobody",
          "agent1", Curl("later.corp.example"), "RST", LOST, asked="nobody", reached="nobody"),
    Story("an internal name is refused by CONNECT",
          "agent2", ProxyCurl("git.corp.example"), "CONNECT 502", {**LOST, **UNHEARD, **CONNECT}, reached="nobody"),
    Story("the route by nat goes on",
          "agent1", Curl("allowed.example"), "page of allowed", by_nat("allowed"), reached="internet"),
)


def expected_record(story, mode, family, aim):
    """All that a row says of its record, with addresses in the place of places."""
    asks = story.asks
    common = {"listener": "network", "mode": mode, "client_ip": address_of(story.who, family), "peer_ip": None,
              "host": asks.name, "port": asks.port, "sni": asks.name, "original_ip": aim}
    record = {**common, **story.record}
    if record["host"] in PLACES:
        record["host"] = address_of(record["host"], family)
    return record
