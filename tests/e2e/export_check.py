"""Holds what `exeat audit export` writes against the parts of the public schemas that it uses.

The tables are written by hand from the definitions of Elastic Common Schema 8.17.0 and OCSF 1.5.0: each field that may occur, its type, the
values that an enumeration allows, what is required. A field that is not in them is a fault.
"""

import ipaddress
import json
import re

import audit_check
from audit_check import demand

LONG_MAX = 2**63 - 1


def is_text(value):
    return isinstance(value, str)


def is_long(value):
    return type(value) is int and 0 <= value <= LONG_MAX


def is_port(value):
    return type(value) is int and 1 <= value <= 65535


def is_flag(value):
    return isinstance(value, bool)


def is_ip(value):
    try:
        return bool(ipaddress.ip_address(value))
    except ValueError:
        return False


def is_date(value):
    return is_text(value) and bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", value))


def is_texts(value):
    return isinstance(value, list) and all(map(is_text, value))


def one_of(*words):
    return lambda value: any(value == word and type(value) is type(word) for word in words)


def all_of(*words):
    return lambda value: isinstance(value, list) and len(value) > 0 and set(value) <= set(words) and len(set(value)) == len(value)


# -- Elastic Common Schema --

ECS_VERSION = "8.17.0"
ECS = {
    "@timestamp": is_date, "message": is_text, "ecs.version": one_of(ECS_VERSION),
    "event.kind": one_of("event"), "event.category": all_of("network", "process", "configuration"),
    "event.type": all_of("access", "allowed", "change", "connection", "creation", "deletion", "denied", "end", "info", "protocol", "start"),
    "event.outcome": one_of("success", "failure", "unknown"), "event.action": is_text, "event.reason": is_text, "event.code": is_text,
    "event.id": is_text, "event.sequence": is_long, "event.duration": is_long, "event.module": one_of("exeat"),
    "event.dataset": one_of("exeat.audit"), "event.hash": is_text,
    "observer.name": is_text, "observer.type": one_of("proxy"), "observer.vendor": is_text, "observer.product": is_text,
    "observer.ingress.zone": is_text, "observer.ingress.interface.alias": is_text, "observer.egress.interface.alias": is_text,
    "source.ip": is_ip, "source.port": is_port, "source.bytes": is_long, "source.nat.ip": is_ip, "source.nat.port": is_port,
    "user.name": is_text, "user_agent.original": is_text,
    "destination.address": is_text, "destination.domain": is_text, "destination.ip": is_ip, "destination.port": is_port,
    "destination.bytes": is_long,
    "network.transport": one_of("tcp"), "network.protocol": one_of("tls"), "network.direction": one_of("outbound"), "network.bytes": is_long,
    "tls.version": is_text, "tls.version_protocol": one_of("tls", "ssl"), "tls.client.server_name": is_text,
    "rule.name": is_text, "rule.id": is_text, "rule.ruleset": is_text,
    # what the schema has no field for
    "exeat.v": one_of(1), "exeat.id": is_text, "exeat.mode": one_of("connect", "redirect", "tproxy"), "exeat.peer_ip": is_ip, "exeat.alpn": is_texts,
    "exeat.ja4": is_text, "exeat.ech": is_flag, "exeat.original_ip": is_ip, "exeat.verdict": one_of("allow", "deny", "observe"),
    "exeat.class": one_of("policy", "client", "network", "capacity"), "exeat.egress_public_ip": is_ip, "exeat.upstream_port": is_port,
    "exeat.dns_ms": is_long, "exeat.connect_ms": is_long, "exeat.end": one_of(*audit_check.ENDS),
}
ECS_ALWAYS = ["@timestamp", "ecs.version", "event.kind", "event.action", "event.code", "event.id", "event.sequence", "event.module", "event.dataset",
              "observer.type", "exeat.v"]

# What the schema expects of each category.
ECS_TYPES = {
    "network": {"access", "allowed", "connection", "denied", "end", "info", "protocol", "start"},
    "process": {"access", "change", "end", "info", "start"},
    "configuration": {"access", "change", "creation", "deletion", "info"},
}


def flatten(value, prefix=""):
    """Leaves by their dotted names; an object without members is a fault."""
    demand(value, f"{prefix} is empty")
    flat = {}
    for key, member in value.items():
        if isinstance(member, dict):
            flat |= flatten(member, f"{prefix}{key}.")
        else:
            flat[prefix + key] = member
    return flat


def check_fields(flat, table, always):
    for name, value in flat.items():
        demand(name in table, f"{name} is no field")
        demand(table[name](value), f"{name} is {value!r}")
    for name in always:
        demand(name in flat, f"{name} is missing")


def check_ecs(record, exported):
    flat = flatten(exported)
    check_fields(flat, ECS, ECS_ALWAYS)
    for kind in flat.get("event.type", []):
        demand(any(kind in ECS_TYPES[category] for category in flat["event.category"]), f"{kind} is no type of {flat['event.category']}")
    for name, key in (("@timestamp", "time"), ("event.sequence", "seq"), ("event.code", "event"), ("event.reason", "reason"), ("exeat.id", "id"),
                      ("event.hash", "chain"), ("source.ip", "client_ip"), ("destination.address", "host"), ("destination.port", "port"),
                      ("source.bytes", "bytes_up"), ("destination.bytes", "bytes_down"), ("exeat.verdict", "verdict"), ("message", "detail"),
                      ("tls.client.server_name", "sni"), ("user_agent.original", "user_agent"), ("exeat.alpn", "alpn"), ("rule.name", "rule")):
        demand(flat.get(name) == record[key], f"{name} is {flat.get(name)!r}, {key} {record[key]!r}")
    demand("denied" not in flat.get("event.type", []) or record["verdict"] == "deny" or record["end"] == "policy_revoked", "denied")
    demand(("allowed" in flat.get("event.type", [])) == (record["verdict"] in ("allow", "observe")), "allowed")


# -- Open Cybersecurity Schema Framework --

OCSF_VERSION = "1.5.0"
OCSF_COMMON = {
    "activity_id": is_long, "activity_name": is_text, "category_uid": is_long, "class_uid": one_of(0, 4001, 6002), "type_uid": is_long,
    "time": is_long,
    "severity_id": one_of(0, 1, 2, 3, 4, 5, 6, 99), "status_id": one_of(0, 1, 2, 99), "status_code": is_text, "message": is_text,
    "duration": is_long,
    "metadata.version": one_of(OCSF_VERSION), "metadata.product.name": is_text, "metadata.product.vendor_name": is_text,
    "metadata.product.uid": is_text, "metadata.log_name": is_text, "metadata.log_version": is_text, "metadata.event_code": is_text,
    "metadata.uid": is_text, "metadata.correlation_uid": is_text, "metadata.sequence": is_long, "metadata.original_time": is_text,
    "metadata.profiles": all_of("host", "network_proxy", "security_control"),
}
OCSF_NETWORK = {
    "actor.user.name": is_text, "src_endpoint.ip": is_ip, "src_endpoint.port": is_port, "src_endpoint.zone": is_text,
    "src_endpoint.proxy_endpoint.ip": is_ip, "dst_endpoint.hostname": is_text, "dst_endpoint.ip": is_ip, "dst_endpoint.port": is_port,
    "proxy_endpoint.name": is_text, "proxy_endpoint.ip": is_ip, "proxy_endpoint.port": is_port, "connection_info.uid": is_text,
    "connection_info.direction_id": one_of(0, 1, 2, 3, 99), "connection_info.protocol_name": is_text, "connection_info.protocol_num": one_of(6),
    "traffic.bytes_out": is_long, "traffic.bytes_in": is_long, "traffic.bytes": is_long, "tls.version": is_text, "tls.sni": is_text,
    "ja4_fingerprint_list": lambda value: [set(item) for item in value] == [{"type_id", "type", "value"}] and value[0]["type_id"] == 1,
    "firewall_rule.name": is_text, "firewall_rule.uid": is_text, "policy.uid": is_text,
    "action_id": one_of(0, 1, 2, 3, 4, 99), "disposition_id": one_of(*range(28), 99),
}
OCSF_LIFECYCLE = {"app.name": is_text, "app.vendor_name": is_text, "app.uid": is_text}
OCSF_ALWAYS = ["activity_id", "category_uid", "class_uid", "type_uid", "time", "severity_id", "metadata.version", "metadata.product.name"]

# Of each class: its category, its own fields, what it requires, its activities beside 0 and 99.
OCSF_CLASSES = {
    0: (0, {}, [], ()),
    4001: (4, OCSF_NETWORK, ["src_endpoint.ip", "connection_info.direction_id"], range(1, 8)),
    6002: (6, OCSF_LIFECYCLE, ["app.name"], range(1, 9)),
}

# What an attribute's object needs beside it.
OCSF_NEEDS = {
    "tls.sni": ["tls.version"], "dst_endpoint.port": ["dst_endpoint.ip", "dst_endpoint.hostname"], "proxy_endpoint.port": ["proxy_endpoint.ip"],
}

# The profile that an attribute comes from.
OCSF_PROFILES = {
    "actor.user.name": "host", "proxy_endpoint.name": "network_proxy", "action_id": "security_control", "disposition_id": "security_control",
    "firewall_rule.name": "security_control", "policy.uid": "security_control",
}


def check_ocsf(record, exported):
    unmapped = exported.pop("unmapped", {"mode": None})
    demand(unmapped and set(unmapped) <= set(audit_check.KEYS), f"unmapped is {unmapped}")
    flat = flatten(exported)
    category, own, required, activities = OCSF_CLASSES[flat["class_uid"]]
    check_fields(flat, OCSF_COMMON | own, OCSF_ALWAYS + required)
    demand(flat["category_uid"] == category, f"category_uid is {flat['category_uid']}")
    demand(flat["type_uid"] == flat["class_uid"] * 100 + flat["activity_id"], f"type_uid is {flat['type_uid']}")
    demand(flat["activity_id"] in (0, 99, *activities), f"activity_id is {flat['activity_id']}")
    demand((flat["activity_id"] == 99) == ("activity_name" in flat), "an activity of our own has a name, and only that")
    for name, others in OCSF_NEEDS.items():
        demand(name not in flat or any(other in flat for other in others), f"{name} alone")
    for name, profile in OCSF_PROFILES.items():
        demand(name not in flat or profile in flat["metadata.profiles"], f"{name} without its profile")
    demand((flat["class_uid"] == 4001) == (record["event"] in audit_check.SESSION_EVENTS), f"{record['event']} is of class {flat['class_uid']}")
    for name, key in (("metadata.original_time", "time"), ("metadata.sequence", "seq"), ("metadata.event_code", "event"), ("status_code", "reason"),
                      ("metadata.correlation_uid", "id"), ("message", "detail"), ("duration", "duration_ms")):
        demand(flat.get(name) == record[key], f"{name} is {flat.get(name)!r}, {key} {record[key]!r}")
    for key, value in unmapped.items():
        demand(value == record[key], f"unmapped.{key} is {value!r}, {key} {record[key]!r}")


FORMATS = {"ecs": check_ecs, "ocsf": check_ocsf}


def refuse_twice(pairs):
    demand(len({key for key, _ in pairs}) == len(pairs), "a key stands twice")
    return dict(pairs)


def check_export(form, records, output):
    """`output`, bytes, is these records, each as one valid line by the schema."""
    lines = output.splitlines(keepends=True)
    demand(len(lines) == len(records), f"{len(lines)} lines of {len(records)} records")
    for record, line in zip(records, lines):
        demand(line.endswith(b"\n") and line.isascii(), f"{line!r}")
        try:
            FORMATS[form](record, json.loads(line, object_pairs_hook=refuse_twice, parse_constant=audit_check.refuse_constant))
        except audit_check.AuditFault as fault:
            raise audit_check.AuditFault(f"{form}: seq {record['seq']}: {fault}: {line!r}") from fault
