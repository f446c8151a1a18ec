#!/usr/bin/env python3
"""Turn the test vectors and tables into seeds for the fuzzers: make_corpus.py VECTORS_DIR OUT_DIR makes OUT_DIR/<fuzzer>/<row id>."""
import base64
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
REQUEST_PREFIX = bytes([255, 7])  # fuzz_connect_request and fuzz_client_hello: limit 16336 bytes, pieces
SEED_MAX = 20000
SURVEY = b"""exeat survey 1
journal\t1\t2
listener\texplicit\tallow\trule_allow\t3
route\tnat\t4\t5\t6
source\t203.0.113.16\tnat\t7
rule\tagents\t1\t2\t3\t4\tCLIENTS
sum\tdns\t8
bucket\tdns\t1\t9
bucket\tdns\tinf\t10
tunnel\t01K00000000000000000000000\t10.0.0.1\t203.0.113.16\t2001:db8::1\t443\t1\t2\t3\tbuilders\tagents\tnat\tagent.example
end
"""


def rows(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def request_bytes(row):
    if row.get("raw_b64"):
        return base64.b64decode(row["raw_b64"])
    return b"".join(base64.b64decode(step.get("send_b64") or "") for step in row.get("steps") or [])


def write(out, fuzzer, name, data):
    if not 0 < len(data) <= SEED_MAX:
        return
    folder = out / fuzzer
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def audit_records():
    """Lines as exeat writes them: of null wherever that may be, and of every kind of value."""
    key_row = re.compile(r'X\([A-Z0-9_]+, "(\w+)", ([A-Z]+)\)')
    keys = key_row.findall((ROOT / "src/audit/audit_record.h").read_text(encoding="utf-8"))
    values = {"NUMBER": 7, "TEXT": 'a"\\\x01\u00e9\U0001f600', "FLAG": True, "LIST": ["h2", 'x"]']}
    always = {"v": 1, "seq": 57, "time": "2026-11-21T23:49:17.123456Z", "event": "close"}
    yield "nulls", {key: always.get(key) for key, _ in keys}
    yield "values", {key: always.get(key, values[kind]) for key, kind in keys} | {"chain": "A" * 43 + "="}


def main(vectors, out):
    for name, record in audit_records():
        for target in ("fuzz_audit_record", "fuzz_audit_export"):
            write(out, target, name, json.dumps(record, separators=(",", ":")).encode())
    for row in rows(vectors / "connect.jsonl"):
        data = request_bytes(row)
        write(out, "fuzz_connect_request", row["id"], REQUEST_PREFIX + data)
        parts = data.split(b" ")
        if len(parts) > 1:  # reason, no cause, port 443, host
            write(out, "fuzz_reply", row["id"], bytes([4, 0, 1, 187]) + parts[1][:300])
    for row in rows(vectors / "client_hello.jsonl"):
        data = bytes.fromhex(row["hex"])
        write(out, "fuzz_client_hello", row["id"], REQUEST_PREFIX + data)
        write(out, "fuzz_hello_openssl", row["id"], data)
    for row in rows(vectors / "proxy_header.jsonl"):
        data = bytes.fromhex(row["hex"]) + bytes(row.get("zeros", 0)) + bytes.fromhex(row.get("tail_hex", ""))
        write(out, "fuzz_proxy_header", row["id"], bytes([7]) + data)
    for row in rows(vectors / "log_injection.jsonl"):
        for name, how in (("pieces", 0), ("same", 64), ("long", 127)):
            write(out, "fuzz_record", f"{row['id']}-{name}", bytes([how]) + bytes.fromhex(row["hex"]))
    for path in (ROOT / "tests/tables/config").glob("*.conf"):
        write(out, "fuzz_config", path.stem, path.read_bytes())
    clients = base64.b64encode(bytes(range(4)) * 256)
    write(out, "fuzz_handover", "one", b"exeat-handover 1\nworkers 1\ncapabilities 0 0 0\nconfiguration 5 - 1\nreloads 0 0\nwanted 0 0\nkey -\nstate - 0 0\ndoors 6 - 7 -\n"
          b"journal 10 7 0 0\nservers 1 1\nserver 11 8 0 1 1 0 0 0 0 0\naddresses 1 1\naddress 1 0 0 l 0.0.0.0:0 0.0.0.0:3128 9\nend\n")
    write(out, "fuzz_rules", "two", b"exeat rules 1\n" + b"".join(name + b" 1 2 3 4 5 " + clients + b"\n" for name in (b"agents", b"internal")))
    write(out, "fuzz_survey_text", "all", SURVEY.replace(b"CLIENTS", clients))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: make_corpus.py VECTORS_DIR OUT_DIR")
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
