"""The hooks of the Buildkite agent in contrib/buildkite: what a job's environment is, and what its build is annotated with."""

import http.server
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import unittest

from harness import EXEAT, PATIENCE, EndToEndTest, HeldPort, TlsOrigin, plain_story, policy

HOOKS = pathlib.Path(__file__).parents[2] / "contrib" / "buildkite"
ALLOWED = "allowed.example.test"
DENIED = "denied.example.test"
OTHER = "other.example.test"

# What the agent is to a hook: it is told how it was called, and the annotation.
AGENT = """#!/bin/sh
printf '%s\\n' "$*" >>"$RECORDED/calls"
cat >>"$RECORDED/annotation"
exit "${AGENT_EXIT:-0}"
"""


@plain_story
class Hooks(EndToEndTest):
    """A job as the agent runs it: each hook is read into a shell of its own, which stops at the first fault; what `environment` exports is handed on."""

    def setUp(self):
        super().setUp()
        if shutil.which("curl") is None:
            self.skipTest("curl is not installed: contrib/test installs it")
        self.shell = "sh"
        self.environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        self.add_agent()

    def add_agent(self):
        agent = self.directory / "bin" / "buildkite-agent"
        agent.parent.mkdir()
        agent.write_text(AGENT)
        agent.chmod(0o755)
        self.environment |= {"PATH": f"{agent.parent}:{self.environment['PATH']}", "RECORDED": str(self.directory), "BUILDKITE_LABEL": "unit tests"}

    def run_hook(self, name, then="true"):
        script = f'set -eu; . "$1"; {then}'
        ran = subprocess.run([self.shell, "-c", script, name, HOOKS / name], capture_output=True, text=True, timeout=PATIENCE, env=self.environment,
                             stdin=subprocess.DEVNULL)
        self.assertEqual(0, ran.returncode, f"a hook never fails a job: {ran.stderr}")
        return ran

    def begin_job(self, proxy=None):
        if proxy:
            self.environment["EXEAT_PROXY"] = proxy
        self.environment |= dict(line.split("=", 1) for line in self.run_hook("environment", then="env -0").stdout.rstrip("\0").split("\0"))

    def end_job(self):
        """What it says in the job's log."""
        return self.run_hook("pre-exit").stderr

    def annotation(self):
        path = self.directory / "annotation"
        return path.read_text() if path.exists() else None

    def rows(self):
        """Of the annotation's tables, without what differs from run to run."""
        lines = [line for line in self.annotation().splitlines() if line.startswith("| `")]
        return [tuple(line.strip("| ").split(" | ")[:4]) for line in lines]


class WithExeat(Hooks):
    def setUp(self):
        super().setUp()
        self.certificate_ = self.certificate(ALLOWED)
        self.origin = self.use(TlsOrigin(self.certificate_))
        hosts = self.directory / "hosts"
        hosts.write_text(f"127.0.0.1 {ALLOWED} {DENIED}\n")
        text = policy(ALLOWED, port=self.origin.port, hosts=hosts, extra=f"[rule never]\nto = {OTHER}\naction = deny\n")
        self.proxy = self.exeat(text.replace("[clients local]", "[clients local]\ndenials = own"))

    def fetch(self, host, port=None):
        """What a build does."""
        port = port or self.origin.port
        return subprocess.run(["curl", "-sS", "--cacert", self.certificate_.path, f"https://{host}:{port}/"], capture_output=True, text=True,
                              timeout=PATIENCE, env=self.environment)

    def test_a_denial_becomes_an_annotation(self):
        for self.shell in [shell for shell in ("sh", "bash") if shutil.which(shell)]:
            with self.subTest(shell=self.shell):
                self.tell_of_a_job()

    def tell_of_a_job(self):
        (self.directory / "annotation").unlink(missing_ok=True)
        self.environment.pop("EXEAT_PROXY", None)
        self.begin_job(self.proxy.proxy)
        self.assertEqual("hello from the origin: /\n", self.fetch(ALLOWED).stdout)
        self.assertIn("403", self.fetch(DENIED).stderr)
        self.fetch(DENIED)
        self.fetch(OTHER, 443)
        self.assertEqual("", self.end_job())
        self.assertEqual([(f"`{OTHER}:443`", "`rule_deny`", "`never`", "1"), (f"`{DENIED}:{self.origin.port}`", "`default_deny`", "", "2")], self.rows())
        self.assertTrue(self.annotation().startswith("**exeat denied 3 connections of** `unit tests`\n\n|"), self.annotation())
        self.assertEqual("annotate --style warning --context exeat --append", (self.directory / "calls").read_text().splitlines()[-1])
        last = [r for r in self.proxy.decisions() if r["host"] == DENIED][-1]
        self.assertRegex(self.annotation(), rf"\| `{last['time'][:10]}T[0-9:.]+Z` \| `{last['id']}` \|\n")

    def test_what_was_denied_before_the_job_is_not_its_own(self):
        self.begin_job(self.proxy.proxy)
        self.fetch(OTHER, 443)
        self.begin_job()
        self.fetch(DENIED)
        self.end_job()
        self.assertEqual([(f"`{DENIED}:{self.origin.port}`", "`default_deny`", "", "1")], self.rows())
        self.begin_job()
        self.end_job()
        self.assertEqual(1, len(self.rows()), "a job without a denial adds nothing")

    def test_nothing_denied_nothing_said(self):
        self.begin_job(self.proxy.proxy)
        self.fetch(ALLOWED)
        self.assertEqual("", self.end_job())
        self.assertIsNone(self.annotation())

    def test_an_annotation_that_fails_does_not_fail_the_job(self):
        self.begin_job(self.proxy.proxy)
        self.fetch(DENIED)
        self.environment["AGENT_EXIT"] = "1"
        self.assertIn("could not be annotated", self.end_job())

    def test_the_environment_is_what_exeat_says(self):
        """`exeat env` and the hook name the same variables, with the same values; what the agent has in NO_PROXY stays, and nothing comes twice."""
        said = subprocess.run([EXEAT, "env"], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
        expected = dict(re.findall(r"(\w+)='([^']*)'", said))
        self.assertEqual({"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"}, set(expected))
        self.environment["EXEAT_PROXY"] = expected["HTTPS_PROXY"]
        self.begin_job()
        self.assertEqual(expected, {key: self.environment[key] for key in expected})
        self.begin_job()
        self.assertEqual(expected, {key: self.environment[key] for key in expected})
        self.environment["NO_PROXY"] = ".corp.example"
        self.begin_job()
        self.assertEqual(f".corp.example,{expected['NO_PROXY']}", self.environment["NO_PROXY"])
        self.assertEqual(self.environment["NO_PROXY"], self.environment["no_proxy"])

    def test_the_agents_own_proxy_is_taken(self):
        self.environment["HTTPS_PROXY"] = self.proxy.proxy + "/"
        self.begin_job()
        self.assertEqual([self.proxy.proxy] * 3, [self.environment[key] for key in ("EXEAT_PROXY", "HTTPS_PROXY", "https_proxy")])


class WithoutExeat(Hooks):
    """Nobody there, or somebody who answers otherwise: the job goes on."""

    def answer(self, body, status=200):
        """A proxy that says this of its denials; gives its address."""
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    def test_nobody_is_there(self):
        self.begin_job(f"http://127.0.0.1:{self.use(HeldPort('127.0.0.1')).number}")
        self.assertEqual("", self.environment["EXEAT_DENIED_BEFORE"])
        self.assertIn("does not say what was denied", self.end_job())
        self.assertIsNone(self.annotation())

    def test_somebody_who_never_answers(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.environment["EXEAT_PROXY"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
            self.assertIn("does not say what was denied", self.end_job())

    def test_denials_are_off(self):
        self.begin_job(self.answer(b'{"error":"not shown","reason":"denials_asked","id":"0"}', status=403))
        self.assertIn("does not say what was denied", self.end_job())

    def test_no_word_of_others_is_markdown(self):
        one = (r'{"id":"01A","time":"2026-11-22T10:00:00.000001Z","host":"x\"},{\"`|<img src=a>\\\u001b[0m[a](http://b)","port":null,'
               r'"reason":"bad_request","rule":null}')
        two = r'{"id":"01B","time":"2026-11-22T10:00:00.000000Z","host":null,"port":65535,"reason":"default_deny","rule":"a.b-c_D"}'
        self.begin_job(self.answer(b'{"denials":[]}'))
        self.environment["BUILDKITE_LABEL"] = "a `b`\n# c\\n<d> %s"
        self.environment["EXEAT_PROXY"] = self.answer(f'{{"denials":[{one},{two}]}}'.encode())
        self.assertEqual("", self.end_job())
        self.assertEqual([("`x?img?src?a?0m?a?http:?b?`", "`bad_request`", "", "1"), ("`?:65535`", "`default_deny`", "`a.b-c_D`", "1")],
                         [(re.sub(r"\?+", "?", row[0]), *row[1:]) for row in self.rows()])
        self.assertTrue(self.annotation().startswith("**exeat denied 2 connections of** `a ?b??? c?n?d? ?s`\n"), self.annotation())

    def test_what_is_no_list_of_denials_says_nothing(self):
        good = '{"id":"01A","time":"2026-11-22T10:00:00.000001Z","host":"a","port":1,"reason":"default_deny","rule":null}'
        for text in ("", "<html>", '{"denials":[]}', '{"denials":[{}]}', '{"denials":[{"id":"01', '{"denials":[' + good[:-1], "[" + good):
            with self.subTest(text=text):
                self.begin_job()
                self.environment["EXEAT_PROXY"] = self.answer(text.encode())
                self.end_job()
                self.assertIsNone(self.annotation())


if __name__ == "__main__":
    unittest.main()
