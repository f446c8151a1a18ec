#!/usr/bin/env python3
"""Holds an audit file against the schema and the promises of its records: one decision a session, one close an open tunnel."""

import argparse
import base64
import binascii
import hashlib
import json
import os
import pathlib
import re
import socket
import sys

try:
    import jsonschema
except ImportError:
    jsonschema = None

EVENTS = "start stop reload decision close rotate recovered gap probe checkpoint".split()
SESSION_EVENTS = ("decision", "close")
ENDS = "client_eof origin_eof client_reset origin_reset idle policy_revoked stopped unreachable".split()
CLASSES = "policy client network capacity".split()
LINE_MAX = 8192
CHAIN_START = "A" * 44
HEAD_LEN = 192


class AuditFault(AssertionError):
    """What is wrong, and in which line."""


def demand(condition, what):
    if not condition:
        raise AuditFault(what)


# Types: each takes a value that is not None.


def is_text(value):
    return isinstance(value, str)


def is_count(value):
    return type(value) is int and 0 <= value < 2**64


def is_port(value):
    return type(value) is int and 1 <= value <= 65535


def is_flag(value):
    return type(value) is bool


def is_word(value):
    return is_text(value) and re.fullmatch(r"[a-z][a-z0-9_]*", value) is not None


def family_of(value):
    return socket.AF_INET6 if ":" in value else socket.AF_INET


def is_ip(value):
    try:
        return is_text(value) and socket.inet_ntop(family_of(value), socket.inet_pton(family_of(value), value)) == value
    except OSError:
        return False


def is_time(value):
    return is_text(value) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", value) is not None


def is_ulid(value):
    return is_text(value) and re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", value) is not None


def is_alpn(value):
    return isinstance(value, list) and len(value) <= 16 and all(map(is_text, value))


def is_ja4(value):
    return is_text(value) and re.fullmatch(r"[tqd][0-9sd]{2}[di]\d{4}.{2}_[0-9a-f]{12}_[0-9a-f]{12}", value) is not None


def is_chain(value):
    try:
        return is_text(value) and len(value) == 44 and len(base64.b64decode(value, validate=True)) == 32
    except binascii.Error:
        return False


def one_of(words):
    return lambda value: value in words


# Every key in its order, the type of its value, and whether it is in every record (else it may be null).
SCHEMA = [
    ("v", is_count, True),
    ("seq", is_count, True),
    ("time", is_time, True),
    ("instance", is_text, True),
    ("event", one_of(EVENTS), True),
    ("id", is_ulid, False),
    ("listener", is_text, False),
    ("mode", one_of(("connect", "redirect", "tproxy")), False),
    ("client_ip", is_ip, False),
    ("client_port", is_port, False),
    ("peer_ip", is_ip, False),
    ("client_group", is_text, False),
    ("client_user", is_text, False),
    ("user_agent", is_text, False),
    ("host", is_text, False),
    ("port", is_port, False),
    ("sni", is_text, False),
    ("alpn", is_alpn, False),
    ("ja4", is_ja4, False),
    ("ech", is_flag, False),
    ("tls_version", is_text, False),
    ("original_ip", is_ip, False),
    ("verdict", one_of(("allow", "deny", "observe")), False),
    ("class", one_of(CLASSES), False),
    ("reason", is_word, False),
    ("rule", is_text, False),
    ("rule_at", is_text, False),
    ("policy", is_text, False),
    ("route", is_text, False),
    ("egress_ip", is_ip, False),
    ("egress_public_ip", is_ip, False),
    ("egress_port", is_port, False),
    ("upstream_ip", is_ip, False),
    ("upstream_port", is_port, False),
    ("dns_ms", is_count, False),
    ("connect_ms", is_count, False),
    ("bytes_up", is_count, False),
    ("bytes_down", is_count, False),
    ("duration_ms", is_count, False),
    ("end", one_of(ENDS), False),
    ("detail", is_text, False),
    ("chain", is_chain, False),
]
KEYS = [key for key, _, _ in SCHEMA]


def read_reasons():
    """Reason codes and their classes, from the table in the source."""
    header = pathlib.Path(__file__).resolve().parents[2] / "src" / "policy" / "reason.h"
    rows = re.findall(r'X\([A-Z0-9_]+, "([a-z0-9_]+)", CLASS_([A-Z]+)', header.read_text(encoding="utf-8"))
    assert len(rows) > 20, f"{header}: only {len(rows)} reasons were found"
    return {code: None if name == "NONE" else name.lower() for code, name in rows}


REASONS = read_reasons()


def read_pairs(pairs):
    keys = [key for key, _ in pairs]
    demand(keys == KEYS, f"keys are {keys}")
    return dict(pairs)


def refuse_constant(text):
    raise AuditFault(f"{text} is no JSON")


def read_line(line):
    demand(line.endswith(b"\n"), "the line is torn")
    demand(len(line) <= LINE_MAX, f"the line has {len(line)} bytes")
    demand(all(0x20 <= byte <= 0x7E for byte in line[:-1]), "a byte outside printable ASCII")
    try:
        record = json.loads(line, object_pairs_hook=read_pairs, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        raise AuditFault(f"no JSON: {error}") from error
    demand(isinstance(record, dict), "no object")
    demand(b"\\ud" not in line or not re.search(r"[\ud800-\udfff]", json.dumps(record, ensure_ascii=False)), "half of a surrogate pair")
    return record


def check_types(record):
    for key, is_type, always in SCHEMA:
        value = record[key]
        if value is None:
            demand(not always, f"{key} is null")
        else:
            demand(is_type(value), f"{key} is {value!r}")
    demand(record["v"] == 1, f"v is {record['v']}")


def demand_known(record, *keys):
    for key in keys:
        demand(record[key] is not None, f"{key} is null in {record['event']} {record['verdict'] or ''}")


def demand_null(record, *keys):
    for key in keys:
        demand(record[key] is None, f"{key} is {record[key]!r} in {record['event']} {record['verdict'] or ''}")


def check_decision(record):
    reason = record["reason"]
    demand_known(record, "verdict", "reason", "listener", "mode", "client_ip")
    if record["peer_ip"] is None:
        demand_known(record, "client_port")  # a load balancer may say that it knows none
    demand(reason in REASONS, f"reason {reason} is not in the table")
    if record["verdict"] == "allow":
        demand(reason == "rule_allow", f"allowed with reason {reason}")
        demand_null(record, "class")
    elif record["verdict"] == "deny":
        demand_known(record, "class")
        demand(record["class"] == REASONS[reason], f"class {record['class']} with reason {reason}")
    if record["verdict"] != "deny":
        demand_known(record, "route", "upstream_ip", "upstream_port", "egress_ip", "egress_port")
        if record["mode"] != "connect":
            demand_known(record, "original_ip")
    if record["mode"] == "connect":
        demand_null(record, "original_ip")
    demand_null(record, "bytes_up", "bytes_down", "duration_ms", "end")
    demand((record["alpn"] is None) == (record["ech"] is None), "alpn and ech are known together or not at all")


def check_close(record):
    demand_known(record, "bytes_up", "bytes_down", "duration_ms", "end")
    demand_null(record, "user_agent", "alpn", "ja4")


def check_other(record):
    demand_null(record, "verdict", "class", "reason", "bytes_up", "bytes_down", "duration_ms", "end")
    if record["event"] == "probe":
        demand(re.fullmatch(r"\d+ connections? without a byte", record["detail"] or ""), f"detail is {record['detail']!r}")
    if record["event"] == "gap":
        demand(re.fullmatch(r"\w+ \d+(, \w+ \d+)*", record["detail"] or ""), f"detail is {record['detail']!r}")
    if record["event"] == "checkpoint":
        demand(re.fullmatch(r"signed by key [0-9a-f]{16}: [A-Za-z0-9+/]{85}[AQgw]==", record["detail"] or ""), f"detail is {record['detail']!r}")
    if record["event"] == "recovered":
        demand(is_recovery(record["detail"] or ""), f"detail is {record['detail']!r}")
    if record["event"] == "reload":
        demand_known(record, "policy")
        demand(is_reload(record["policy"], record["detail"] or ""), f"detail is {record['detail']!r} with policy {record['policy']}")
    if record["event"] == "rotate":
        demand(re.fullmatch(r"continues inode \d+ after seq \d+", record["detail"] or ""), f"detail is {record['detail']!r}")


def check_event(record):
    demand((record["id"] is not None) == (record["event"] in SESSION_EVENTS), f"id is {record['id']} in {record['event']}")
    {"decision": check_decision, "close": check_close}.get(record["event"], check_other)(record)


DIGEST = r"sha256:[0-9a-f]{64}"


def is_reload(policy, detail):
    """It names the policy that serves from here on, and what changed or what was wrong with the other."""
    forms = (rf"policy {policy} in place of (?!{policy}){DIGEST}: .+", rf"policy {policy} stays: .+",
             rf"policy {policy} stays; refused( {DIGEST})?, (1 fault|\d+ faults): .+")
    return any(re.fullmatch(form, detail) for form in forms)


RECOVERED = [
    r"cut off \d+ bytes of a torn record",
    r"seq \d+ to \d+ are missing",
    r"the journal died, the server and its sessions go on",
    r"left without close: (none|[0-9A-Z]{26}( [0-9A-Z]{26})*)",
    r"more follow",
    r"and \d+ more",
    r"older ones are not known",
    r"generation \d+ ended, others go on",
]
BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ended_beside_others(detail):
    """The last three characters of the ids of the generation that has ended, and what the detail says before; "": no other goes on."""
    found = re.fullmatch(r"(?:(.*); )?generation (\d+) ended, others go on", detail or "")
    if not found:
        return "", detail or ""
    number = int(found[2])
    demand(0 < number < 32**3, f"there is no generation {number}")
    return "".join(BASE32[number // 32**place % 32] for place in (2, 1, 0)), found[1] or ""


def is_recovery(detail):
    """Some of these parts, in this order."""
    parts = [next((i for i, form in enumerate(RECOVERED) if re.fullmatch(form, part)), None) for part in detail.split("; ")]
    return None not in parts and parts == sorted(set(parts))


class Sessions:
    """Who was decided, who is open, who was closed or left without; a close repeats what its decision said."""

    REPEATED = (
        "listener mode client_ip client_port peer_ip client_group client_user host port sni original_ip rule rule_at policy "
        "route egress_ip egress_public_ip egress_port upstream_ip upstream_port"
    ).split()

    def __init__(self, continuing=False):
        self.continuing = continuing  # with on_failure = continue decisions may be missing, counted in a gap
        self.decisions = {}
        self.open = set()

    def see(self, record):
        if record["event"] == "decision":
            self.decide(record)
        elif record["event"] == "close":
            self.close(record)
        elif record["event"] == "recovered":
            self.recover(record["detail"])
        elif record["event"] == "stop":
            self.demand_none("at the stop", ended_beside_others(record["detail"])[0])

    def decide(self, record):
        demand(record["id"] not in self.decisions, f"a second decision on {record['id']}")
        self.decisions[record["id"]] = record
        if record["verdict"] != "deny":
            self.open.add(record["id"])

    def recover(self, detail):
        """Names everybody who is open of a server that died."""
        mark, detail = ended_beside_others(detail)
        for session in re.findall(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b", detail):
            demand(session in self.open, f"{session} is left without close, but was not open")
            demand(session.endswith(mark), f"{session} is of another generation")
            self.open.remove(session)
        if "left without close" in detail and not detail.endswith(("; more follow", "not known", " more")):
            self.demand_none("but not named", mark)

    def demand_none(self, when, mark=""):
        left = sorted(session for session in self.open if session.endswith(mark))
        demand(self.continuing or not left, f"without a close {when}: {', '.join(left)}")

    def close(self, record):
        if self.continuing and record["id"] not in self.decisions:
            return
        demand(record["id"] in self.decisions, f"a close without a decision: {record['id']}")
        demand(record["id"] in self.open, f"a second close of {record['id']}")
        self.open.remove(record["id"])
        decision = self.decisions[record["id"]]
        for key in self.REPEATED:
            demand(record[key] == decision[key], f"{key} is {record[key]!r} in the close, {decision[key]!r} in the decision")
        for key in ("verdict", "class", "reason"):
            demand(record[key] in (None, decision[key]), f"{key} is {record[key]!r} in the close, {decision[key]!r} in the decision")


class Policies:
    """Who judges was announced, by a `start` or a `reload`, be it a little later."""

    def __init__(self):
        self.announced, self.judged = set(), set()

    def see(self, record):
        if record["policy"] is not None:
            (self.announced if record["event"] in ("start", "reload") else self.judged).add(record["policy"])

    def finish(self, first):
        unknown = self.judged - self.announced
        demand(not unknown or first["seq"] != 1, f"no start and no reload is by {', '.join(sorted(unknown))}")


class Chain:
    """Where the chain stands; None where that cannot be known, because what came before is not here."""

    def __init__(self, chained):
        self.chained = chained
        self.stands = None

    def see(self, record, line):
        if not self.chained:
            demand_null(record, "chain")
            return
        demand_known(record, "chain")
        if record["seq"] == 1:
            self.stands = CHAIN_START
        if self.stands is not None:
            digest = hashlib.sha256(self.stands.encode() + line[:line.rindex(b',"chain":')]).digest()
            demand(record["chain"] == base64.b64encode(digest).decode(), "the chain is broken")
        self.stands = record["chain"]


class Head:
    """FILE.head, read before its file, which may have grown since."""

    def __init__(self, path):
        self.at, self.found = path, False
        try:
            line = pathlib.Path(f"{path}.head").read_bytes()
        except FileNotFoundError:
            self.said = None
            return
        demand(len(line) == HEAD_LEN and line.endswith(b"\n") and b"\n" not in line[:-1], f"{path}.head: {line!r}")
        self.said = json.loads(line)
        demand(list(self.said) == ["seq", "chain", "inode", "size"], f"{path}.head: {line!r}")

    def see(self, record, inode, size):
        if self.said is None or record["seq"] != self.said["seq"]:
            return
        self.found = True
        for key, value in (("chain", record["chain"]), ("inode", inode), ("size", size)):
            demand(self.said[key] == value, f"{self.at}.head says {key} {self.said[key]!r}, the file {value!r}")

    def finish(self, last):
        """It may lag behind the file only where the journal was killed."""
        if self.said is None or last is None:
            return
        demand(self.found, f"{self.at}.head says seq {self.said['seq']}, which is not there")
        demand(self.said["seq"] == last["seq"] or last["event"] != "stop", f"{self.at}.head says seq {self.said['seq']} of {last['seq']}")


def check_files(paths, allow_open=False, first=None, chained=True, continuing=False):
    """Checks every line of files that continue each other and returns the records, the head beside the last file too, if there is one.

    `allow_open`: tunnels may lack their close. `first`: the seq to begin with (None: any). `chained`: False with chain = no.
    `continuing`: with on_failure = continue.
    Raises AuditFault, an AssertionError, with FILE:LINE."""
    records, sessions, policies, chain, path, number = [], Sessions(continuing), Policies(), Chain(chained), paths[-1], 0
    try:
        head = Head(path)
        for path in paths:
            with open(path, "rb") as lines:
                inode, size = os.fstat(lines.fileno()).st_ino, 0
                for number, line in enumerate(lines, 1):
                    record = read_line(line)
                    check_types(record)
                    expected = records[-1]["seq"] + 1 if records else first or record["seq"]
                    demand(record["seq"] == expected, f"seq {record['seq']} where {expected} should be")
                    check_event(record)
                    chain.see(record, line)
                    sessions.see(record)
                    policies.see(record)
                    size += len(line)
                    head.see(record, inode, size)
                    records.append(record)
        head.finish(records[-1] if records else None)
        if records:
            policies.finish(records[0])
        if not allow_open:
            sessions.demand_none("at the end")
    except AuditFault as fault:
        raise AuditFault(f"{path}:{number}: {fault}") from fault
    return records


SCHEMA_FILE = pathlib.Path(__file__).resolve().parents[2] / "contrib/siem/exeat-audit.schema.json"
SCHEMA_MOST = 500  # records of one file: the schema is slow, and holds little that is not checked above


def check_schema(records):
    """Holds records against what is published of them; without jsonschema nothing is looked at."""
    if jsonschema is None:
        return
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    for record in records[:SCHEMA_MOST]:
        for error in validator.iter_errors(record):
            raise AuditFault(f"seq {record['seq']}: {'.'.join(map(str, error.absolute_path))}: {error.message}")


def check_file(path, allow_open=False, first=None, chained=True):
    return check_files([path], allow_open, first, chained)


def first_seq(path):
    with open(path, "rb") as lines:
        return json.loads(lines.readline() or b'{"seq":18446744073709551616}')["seq"]


def history(path):
    """The file and those that were rotated away beside it, oldest first."""
    path = pathlib.Path(path)
    return sorted((other for other in path.parent.glob(f"{path.name}*") if other.suffix != ".head"), key=first_seq)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--allow-open", action="store_true", help="tunnels may lack their close")
    parser.add_argument("--first", type=int, help="the seq of the first record (default: any)")
    parser.add_argument("--unchained", action="store_true", help="written with chain = no")
    parser.add_argument("files", nargs="+", metavar="FILE", help="oldest first; each continues the one before")
    options = parser.parse_args()
    try:
        records = check_files(options.files, options.allow_open, options.first, not options.unchained)
        print(f"{len(records)} records")
    except (AuditFault, OSError) as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
