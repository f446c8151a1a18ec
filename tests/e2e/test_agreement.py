"""`exeat explain` and the server never disagree: both are asked about every client, host, port and server name below, and must say the same."""

import concurrent.futures
import contextlib
import itertools
import json
import socket
import subprocess
import unittest

from forged import hello_naming
from harness import EXEAT, EndToEndTest, Origin, client_hello, long_story, origins_on_one_port, unthreaded_story, wait_until

CLIENTS = ["127.0.0.1", "127.0.0.2", "127.0.0.9"]  # builders, deployers, nobody

# name: where it resolves to. The routes accept 127.0.0.0/8 (inside) and 127.0.0.1 alone (nat).
NAMES = {
    "plain.example.test": "127.0.0.1",
    "a.wild.example.test": "127.0.0.1",
    "a.b.wild.example.test": "127.0.0.1",
    "wild.example.test": "127.0.0.1",
    "secret.wild.example.test": "127.0.0.1",
    "inside.example.test": "127.0.0.3",
    "moved.example.test": "127.0.0.3",
    "six.example.test": "::1",
    "expired.example.test": "127.0.0.1",
    "deployers.example.test": "127.0.0.1",
    "loose.example.test": "127.0.0.1",
    "any.example.test": "127.0.0.1",
    "outer.example.test": "127.0.0.1",
    "observed.example.test": "127.0.0.1",
    "unlisted.example.test": "127.0.0.1",
    "PLAIN.example.test.": "127.0.0.1",
    "bad_host..test": "127.0.0.1",
    "127.0.0.1": "127.0.0.1",
    "127.0.0.4": "127.0.0.4",
    "[::1]": "::1",
    "0x7f.1": "127.0.0.1",
}

SNI = ["", "plain.example.test", "a.wild.example.test", "denied.example.test", "any.example.test", "not a name"]

POLICY = """
{mode}
[clients builders]
from = 127.0.0.1
[clients deployers]
from = 127.0.0.2
[hosts wild]
host = *.wild.example.test
[route nat]
source = 127.0.0.1
addresses = 127.0.0.1 ::1
[route inside]
source = 127.0.0.5
addresses = 127.0.0.0/8
[rule no-secrets]
to = secret.wild.example.test
port = 1-65535
action = deny
[rule wild]
to = @wild
port = {port}
route = nat
[rule plain]
to = plain.example.test moved.example.test six.example.test
port = {port}
route = nat
[rule inside]
to = inside.example.test 127.0.0.4
port = {port}
route = inside
[rule expired]
to = expired.example.test
port = {port}
route = nat
expires = 2020-01-01
[rule deployers]
from = deployers
to = deployers.example.test
port = {port}
route = nat
[rule loose]
to = loose.example.test
port = {port}
route = nat
sni = allowed
[rule any]
to = any.example.test
port = {port}
route = nat
sni = any
[rule outer]
to = outer.example.test
port = {port}
route = nat
ech = outer
[rule observed]
to = observed.example.test
port = {port}
route = nat
action = observe
[dns]
hosts_file = {hosts}
server = 127.0.0.1:9
timeout = 1s
"""


@long_story
@unthreaded_story
class Agreement(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.origin, *_ = [self.use(origin) for origin in origins_on_one_port("127.0.0.1", "127.0.0.3", "127.0.0.4")]
        self.other = self.use(Origin())  # a port that no rule names

    def start(self, mode):
        hosts = self.directory / "hosts"
        hosts.write_text("".join(f"{address} {name}\n" for name, address in NAMES.items() if name.endswith(".example.test")))
        text = POLICY.format(mode="", port=self.origin.port, hosts=hosts)
        self.proxy = self.exeat(f"[exeat]\nname = test\nworkers = 2\n{mode}\n" + text)

    def explain(self, client, host, ports, sni):
        command = [EXEAT, "explain", "-c", str(self.proxy.config), "--json", "--from", client, "--resolved", NAMES[host]]
        command += ["--sni", sni] if sni else []
        ran = subprocess.run([*command, *(f"{host}:{port}" for port in ports)], capture_output=True, text=True, timeout=60)
        self.assertIn(ran.returncode, (0, 1), ran.stderr)
        return [json.loads(line) for line in ran.stdout.splitlines()]

    def ask(self, label, client, host, port, sni):
        """One connection from that address; its record is found by the user agent."""
        with socket.create_connection((self.proxy.host, self.proxy.port), 20, source_address=(client, 0)) as sock, contextlib.suppress(ConnectionError):
            sock.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nUser-Agent: {label}\r\n\r\n".encode())
            status, _ = self.proxy.read_head(sock)
            if status == 200:
                sock.sendall(hello_for(sni or own_name(host)))
                sock.recv(65536)

    def check(self, mode):
        self.start(mode)
        ports = [self.origin.port, self.other.port]
        cases = list(itertools.product(CLIENTS, NAMES, SNI))
        labels = [f"{client} {host}:{port} {sni or 'same'}" for client, host, sni in cases for port in ports]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            explained = [line for lines in pool.map(lambda case: self.explain(case[0], case[1], ports, case[2]), cases) for line in lines]
            list(pool.map(self.ask, labels, *zip(*((client, host, port, sni) for client, host, sni in cases for port in ports))))

        def all_decided():
            found = {record["user_agent"]: record for record in self.proxy.decisions()}
            return found if len(found) >= len(labels) else None
        decided = wait_until("every decision", all_decided)
        faults = []
        for label, line in zip(labels, explained):
            record = decided[label]
            for key in ("verdict", "reason", "rule", "rule_at", "route"):
                if line[key] != record[key]:
                    faults.append(f"{label}: explain says {key} = {line[key]}, the server {record[key]} ({record['reason']})")
        self.assertEqual([], faults[:20])
        verdicts = {record["verdict"] for record in decided.values()}
        reasons = {record["reason"] for record in decided.values()}
        return verdicts, reasons

    def test_enforcing(self):
        verdicts, reasons = self.check("")
        self.assertEqual({"allow", "deny", "observe"}, verdicts)
        self.assertLessEqual({"rule_allow", "rule_observe", "default_deny", "rule_deny", "rule_expired", "client_unknown", "address_literal", "address_forbidden",
                              "bad_request", "sni_mismatch", "sni_denied", "sni_invalid", "route_unavailable"}, reasons)

    def test_observing(self):
        verdicts, reasons = self.check("mode = observe\nobserve_route = nat")
        self.assertEqual({"allow", "deny", "observe"}, verdicts)
        self.assertIn("default_deny", reasons)


def own_name(host):
    """What a well-behaved client sends: the host, and nothing for an address."""
    return None if host.strip("[]").replace(".", "").replace(":", "").isdigit() else host.rstrip(".").lower()


def hello_for(name):
    """OpenSSL refuses to send a blank."""
    return hello_naming(name) if name and " " in name else client_hello(name)


if __name__ == "__main__":
    unittest.main()
