"""A network and processes of the bench's own: nothing else's traffic or rules are in it, and all that is started in it ends with it."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

INSIDE = "EXEAT_BENCH_INSIDE"
NAME = "origin.bench.test"
FAKE = "192.0.2.1"  # an address that only the enclosure has: what goes there is brought to a transparent listener


# Tens of thousands of tunnels a minute between the same two addresses: without this the search for a free port would be what is measured.
SYSCTLS = {"net/ipv4/ip_local_port_range": "10000 65535", "net/ipv4/tcp_max_tw_buckets": "1000"}


def furnish():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{FAKE}/32", "dev", "lo"], check=True)
    for key, value in SYSCTLS.items():
        with contextlib.suppress(OSError):  # not everything is a user namespace's to set
            pathlib.Path("/proc/sys", key).write_text(value)
    with tempfile.NamedTemporaryFile("w") as hosts:
        hosts.write(f"127.0.0.1 localhost {NAME}\n")
        hosts.flush()
        os.chmod(hosts.name, 0o644)
        subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)


def enter():
    """Starts this program anew inside, and returns only there; or outside, where there can be no enclosure: then nothing is transparent."""
    if INSIDE in os.environ:
        furnish()
        return
    unshare = ["unshare", "--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-root-user"]
    if all(map(shutil.which, ("ip", "nft", "unshare"))) and subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", [*unshare, sys.executable, *sys.argv])


def can_bring():
    return INSIDE in os.environ


class Bringing:
    """While it holds, connections to FAKE and a port come to a transparent listener instead. TPROXY: no connection tracking in the way of anybody."""

    RULES = "table ip exeat_bench {{ chain bring {{ type filter hook prerouting priority mangle;\n" \
            "ip daddr {fake} tcp dport {port} tproxy to 127.0.0.1:{listener} accept\n}}\n}}"

    def __init__(self, port, listener):
        subprocess.run(["nft", self.RULES.format(fake=FAKE, port=port, listener=listener)], check=True)

    def close(self):
        subprocess.run(["nft", "delete", "table", "ip", "exeat_bench"], check=True)
