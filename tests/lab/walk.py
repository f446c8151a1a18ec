"""Lets a person walk about in the lab: puts it up, opens a shell on an agent, answers that shell's command `lab`, takes everything down."""

import argparse
import os
import pathlib
import socket
import sys
import threading

import enclosure
import network
from network import EXPLICIT_PORT, MODES, address_of

HOME = enclosure.FILES / "walk"
DOOR = HOME / "door"  # where `lab` finds the guide

TRY = (
    ("curl https://allowed.example/", "an allowed name"),
    ("curl https://denied.example/", "a denied one: access denied"),
    ("curl https://unlisted.example/", "one that no rule lists: unrecognized name"),
    ("curl https://git.corp.example/", "an internal one, by the vpn"),
    (f"curl --resolve allowed.example:443:{address_of('wrong', 4)} https://allowed.example/", "an allowed one, aimed elsewhere"),
    (f"openssl s_client -connect {address_of('allowed', 4)}:443 -noservername </dev/null", "no name: access denied"),
    (f"https_proxy=http://{address_of('appliance', 4)}:{EXPLICIT_PORT} curl https://allowed.example/", "by CONNECT"),
)
COMMANDS = (
    ("lab audit", f"what exeat decided (the records: {HOME}/audit.jsonl)"),
    ("lab origins", "who reached an origin, and from where it seemed to come"),
    ("lab questions", "which names were asked, where and by whom"),
    ("lab strays", "packets that went astray"),
    ("lab vpn down|up", "takes the vpn's link away, and gives it back"),
    ("lab in NAMESPACE COMMAND", "runs a command elsewhere: lab in appliance nft list ruleset"),
    ("lab map", "this page"),
)
DESCRIPTION = "Network namespaces to walk about in: agents, an appliance with exeat, an internet, and an inside behind a vpn. " \
    "All of it is gone when the shell ends. EXEAT names the program to use; without it one is built."
AUDIT_KEYS = "client_ip host original_ip verdict reason rule route egress_public_ip upstream_ip".split()


def parse():
    parser = argparse.ArgumentParser(prog="contrib/lab", description=DESCRIPTION)
    parser.add_argument("mode", nargs="?", choices=MODES, default=MODES[0], help=f"how connections come to exeat (default: {MODES[0]})")
    parser.add_argument("--vpn", choices=("interface", "mark"), default="interface", help="what holds the route to the vpn (default: interface)")
    parser.add_argument("--run", metavar="COMMAND", help="runs this on agent1 in the place of a shell, and ends as it ends")
    return parser.parse_args()


def walk(options):
    from lab import Lab
    with Lab(HOME, options.mode, options.vpn) as lab, Guide(lab) as guide:
        agent = ["ip", "netns", "exec", "agent1"]
        if options.run is not None:
            return guide.accompany(*agent, "sh", "-c", options.run)
        print(guide.map(), flush=True)
        guide.accompany(*agent, "bash", "--rcfile", str(guide.rc), "-i")
        print("the lab is being taken down", flush=True)
        return 0


class Guide:
    """Has the command `lab` put on the way, and answers it; each verb is a method that returns a text."""

    VERBS = ("audit", "origins", "questions", "strays", "vpn", "map")

    def __init__(self, lab):
        self.lab = lab
        self.bin = HOME / "bin"
        self.bin.mkdir()
        self.rc = HOME / "bashrc"
        self.rc.write_text("PS1='agent1 \\$ '\nunset HISTFILE\n")
        command = self.bin / "lab"
        command.write_text(f'#!/bin/sh\nif [ "${{1-}}" = in ]; then\n    shift\n    exec ip netns exec "$@"\nfi\n'
                           f'exec "{sys.executable}" -B "{pathlib.Path(__file__).resolve()}" --ask "$@"\n')
        command.chmod(0o755)
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(str(DOOR))
        self.door.listen()
        threading.Thread(target=self.answer_all, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.door.close()

    def accompany(self, *command):
        """Runs a command that knows of no proxy and trusts the lab's authority; returns its exit code."""
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment["PATH"] = f"{self.bin}:{environment['PATH']}"
        environment.update(dict.fromkeys(("CURL_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAINFO"), str(self.lab.authority)))
        return os.waitstatus_to_exitcode(os.waitpid(os.posix_spawnp(command[0], command, environment), 0)[1])

    def answer_all(self):
        while True:
            try:
                sock, _ = self.door.accept()
            except OSError:
                return
            with sock, sock.makefile("rw") as asked:
                asked.write(self.answer(asked.readline().split()))

    def answer(self, words):
        verb, *rest = words or ["map"]
        if verb not in self.VERBS or len(rest) != (verb == "vpn"):
            return f"lab: one of these:\n{table(COMMANDS)}\n"
        try:
            return getattr(self, verb)(*rest) + "\n"
        except OSError as error:
            return f"lab: {error}\n"

    # -- verbs --

    def map(self):
        places = [(place, *addresses) for place, addresses in network.PLACES.items()]
        return (f"{network.__doc__}\n\n{table(places)}\n\nmode = {self.lab.mode}, the route to the vpn is held by its {self.lab.vpn}. "
                f"Try on agent1:\n\n{table(TRY)}\n\n{table(COMMANDS)}\n")

    def audit(self):
        return table([AUDIT_KEYS] + [[record[key] or "-" for key in AUDIT_KEYS] for record in self.lab.exeat.decisions()])

    def origins(self):
        return self.seen("connection")

    def questions(self):
        return self.seen("question")

    def seen(self, what):
        rows = [(name, *list(line.values())[1:]) for name, people in self.lab.people.items() for line in people.seen(what)]
        return table(rows) or "none"

    def strays(self):
        return table(self.lab.network.strays().items()) or "none"

    def vpn(self, what):
        if what == "up":
            self.lab.network.raise_vpn()
            self.lab.lead_inside()
            self.lab.appliance.do("up")
        else:
            self.lab.network["appliance"].ip("link", "set", "vpn0", "down")
        return f"the vpn is {what}"


def table(rows):
    """Columns as wide as they have to be."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def ask(words):
    """The command `lab`: one line to the guide, and what it says."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(DOOR))
        with sock.makefile("rw") as guide:
            guide.write(" ".join(words) + "\n")
            guide.flush()
            print(guide.read(), end="")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ask"]:
        sys.exit(ask(sys.argv[2:]))
    chosen = parse()
    sys.exit(enclosure.run(lambda: walk(chosen)))
