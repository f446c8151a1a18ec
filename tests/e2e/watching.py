"""How exeat is watched: its admin socket and its door for metrics, and what the metrics must say by the audit records."""

import collections
import http.client
import json
import re
import socket

from harness import PATIENCE

SAMPLE = re.compile(r"(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>-?[0-9.]+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)",?')

# What the journal process says by itself, not for a worker.
JOURNALS_OWN = ("rotate", "checkpoint", "recovered")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("exeat", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Door:
    """One of exeat's two doors, as a line of its ports file names it."""

    def __init__(self, where):
        self.where = where

    def connection(self):
        if self.where.startswith("unix:"):
            return UnixConnection(self.where.removeprefix("unix:"))
        return http.client.HTTPConnection(self.where, timeout=PATIENCE)

    def ask(self, path, method="GET"):
        """(status, headers, body)"""
        connection = self.connection()
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def good(self, path):
        status, _, body = self.ask(path)
        assert status == 200, f"{path}: {status} {body}"
        return body

    def tunnels(self, query=""):
        return json.loads(self.good(f"/tunnels{query}"))["tunnels"]

    def rules(self):
        return {rule["name"]: rule for rule in json.loads(self.good("/rules"))["rules"]}

    def metrics(self):
        return read_metrics(self.good("/metrics"))


def read_metrics(text):
    """Value by (name, labels), the labels a frozenset of pairs; each name must have its HELP and TYPE first, and stand in one place."""
    samples, described, kinds = {}, set(), {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in described, f"{name} stands in two places"
            described.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name in described and kind in ("counter", "gauge", "histogram"), line
            kinds[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            family = re.sub("_(bucket|sum|count)$", "", match["name"])
            family = family if kinds.get(family) == "histogram" else match["name"]
            assert family in kinds, f"{line}: no TYPE"
            key = match["name"], frozenset(LABEL.findall(match["labels"] or ""))
            assert key not in samples, f"{line}: twice"
            samples[key] = float(match["value"])
    return samples


def families(text):
    """The names that have a TYPE, and of histograms those of their samples."""
    names = set()
    for name, kind in re.findall(r"(?m)^# TYPE (\w+) (\w+)$", text):
        names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    return names


def sample(name, **labels):
    return name, frozenset(labels.items())


def counts_of(records):
    """What the counters must say after these records, when no tunnel is open."""
    wanted = collections.Counter()
    for record in records:
        if record["event"] not in JOURNALS_OWN:
            wanted[sample("exeat_journal_records_total")] += 1
        if record["event"] == "close":
            wanted[sample("exeat_bytes_total", route=record["route"], way="up")] += record["bytes_up"]
            wanted[sample("exeat_bytes_total", route=record["route"], way="down")] += record["bytes_down"]
        if record["event"] != "decision":
            continue
        wanted[sample("exeat_sessions_total", listener=record["listener"], verdict=record["verdict"], reason=record["reason"],
                      **{"class": record["class"] or ""})] += 1
        for key in ("dns", "connect"):
            if record[f"{key}_ms"] is not None:
                wanted[sample(f"exeat_{key}_seconds_count")] += 1
                wanted[sample(f"exeat_{key}_seconds_sum")] += record[f"{key}_ms"] / 1000
                wanted.update(sample(f"exeat_{key}_seconds_bucket", le=bound) for bound in BOUNDS if record[f"{key}_ms"] <= 1000 * float(bound))
    return wanted


BOUNDS = ("0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10", "+Inf")
COUNTED = ("exeat_sessions_total", "exeat_bytes_total", "exeat_journal_records_total", "exeat_dns_seconds", "exeat_connect_seconds")


def difference(samples, records):
    """Each counter that does not say what the records do: (what it says, what they do)."""
    wanted = counts_of(records)
    told = {key: value for key, value in samples.items() if key[0].startswith(COUNTED)}
    return {key: (told.get(key, 0), wanted.get(key, 0)) for key in told.keys() | wanted.keys() if abs(told.get(key, 0) - wanted.get(key, 0)) > 1e-6}
