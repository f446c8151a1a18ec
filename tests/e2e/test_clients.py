"""Real clients through a real exeat to a real TLS origin: what works, and what a denied one shows to a developer."""

import os
import re
import shutil
import subprocess
import sys
import unittest

from harness import PATIENCE, EndToEndTest, TlsOrigin, policy

ALLOWED = "allowed.example.test"
DENIED = "denied.example.test"

NODE_CONNECT = r"""
const http = require('http'), https = require('https');
const [proxyHost, proxyPort, host, port, ca] = process.argv.slice(1);
const request = http.request({ host: proxyHost, port: proxyPort, method: 'CONNECT', path: `${host}:${port}` });
request.on('connect', (response, socket) => {
  if (response.statusCode !== 200) {
    console.error(`${response.statusCode} ${response.statusMessage}`);
    process.exit(1);
  }
  https.get({ host, port, path: '/node', socket, agent: false, servername: host, ca: require('fs').readFileSync(ca) }, (answer) => {
    answer.pipe(process.stdout);
    answer.on('end', () => process.exit(0));
  });
});
request.on('error', (error) => { console.error(error.message); process.exit(1); });
request.end();
"""


class Clients(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.cert = self.certificate(ALLOWED, DENIED)
        self.origin = self.use(TlsOrigin(self.cert))
        hosts = self.directory / "hosts"
        hosts.write_text(f"127.0.0.1 {ALLOWED} {DENIED}\n")
        self.proxy = self.exeat(policy(ALLOWED, port=self.origin.port, hosts=hosts))

    def url(self, host, path="/"):
        return f"https://{host}:{self.origin.port}{path}"

    def run_client(self, *command, proxy=True, **variables):
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        if proxy:
            environment |= {"HTTPS_PROXY": self.proxy.proxy, "https_proxy": self.proxy.proxy}
        environment |= {"HOME": str(self.directory), "LC_ALL": "C", "GIT_SSL_CAINFO": str(self.cert.path), **variables}
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE * 2, env=environment, stdin=subprocess.DEVNULL)

    def need(self, program):
        if shutil.which(program) is None:
            self.skipTest(f"{program} is not installed: contrib/test installs it")

    def assert_decision(self, host, verdict, reason):
        record = self.proxy.wait_decision(host=host)
        self.assertEqual((verdict, reason), (record["verdict"], record["reason"]))
        return record

    # -- curl --

    def test_curl_reaches_an_allowed_name(self):
        self.need("curl")
        ran = self.run_client("curl", "-sS", "--cacert", str(self.cert.path), self.url(ALLOWED, "/curl"))
        self.assertEqual((0, "hello from the origin: /curl\n"), (ran.returncode, ran.stdout), ran.stderr)
        record = self.assert_decision(ALLOWED, "allow", "rule_allow")
        self.assertEqual((ALLOWED, "test", "nat", "127.0.0.1"), (record["sni"], record["rule"], record["route"], record["upstream_ip"]))
        self.assertIn("curl/", record["user_agent"])
        self.assertEqual(("TLS 1.3", ["h2", "http/1.1"], False), (record["tls_version"], record["alpn"], record["ech"]))
        self.assertRegex(record["ja4"], r"^t13d\d{4}h2_[0-9a-f]{12}_[0-9a-f]{12}$")
        self.proxy.wait_close(record["id"])

    def test_curl_shows_the_number_of_a_denial(self):
        self.need("curl")
        ran = self.run_client("curl", "-sS", "--cacert", str(self.cert.path), self.url(DENIED))
        self.assertIn("403", ran.stderr)
        self.assertEqual(56, ran.returncode)
        self.assert_decision(DENIED, "deny", "default_deny")
        self.assertEqual([], self.origin.connections)

    def test_curl_verbose_shows_the_reason_and_the_id(self):
        self.need("curl")
        ran = self.run_client("curl", "-sSv", "--cacert", str(self.cert.path), self.url(DENIED))
        record = self.assert_decision(DENIED, "deny", "default_deny")
        self.assertIn(f"exeat: {DENIED}:{self.origin.port} is not allowed (default_deny, id {record['id']})", ran.stderr)
        self.assertIn("Proxy-Status: exeat; error=http_request_denied", ran.stderr)

    def test_curl_without_proxy_form_is_told_how(self):
        self.need("curl")
        ran = self.run_client("curl", "-sSv", "--proxy", self.proxy.proxy, f"http://{ALLOWED}/path")
        self.assertIn("405", ran.stderr)
        self.assertIn("Allow: CONNECT", ran.stderr)
        self.assertIn(f"https://{ALLOWED}/path", ran.stderr)

    # -- git --

    def make_repository(self):
        work, bare = self.directory / "work", self.directory / "repo.git"
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "init.defaultBranch=main"]
        for command in ([*git, "init", "-q", str(work)], [*git, "-C", str(work), "commit", "-q", "--allow-empty", "-m", "first"],
                        [*git, "clone", "-q", "--bare", str(work), str(bare)], [*git, "-C", str(bare), "update-server-info"]):
            subprocess.run(command, check=True, capture_output=True)
        return bare

    def serve_files(self, root):
        def respond(path):
            file = root / path.split("?")[0].lstrip("/").removeprefix("repo.git/")
            return file.read_bytes() if file.is_file() else b""
        self.origin.respond = respond

    def test_git_clones_over_https(self):
        self.need("git")
        self.serve_files(self.make_repository())
        target = self.directory / "clone"
        ran = self.run_client("git", "clone", "-q", self.url(ALLOWED, "/repo.git"), str(target))
        self.assertEqual(0, ran.returncode, ran.stderr)
        self.assertTrue((target / ".git" / "HEAD").exists())
        self.assertIn("git/", self.assert_decision(ALLOWED, "allow", "rule_allow")["user_agent"])

    def test_git_shows_the_number_of_a_denial(self):
        self.need("git")
        ran = self.run_client("git", "ls-remote", self.url(DENIED, "/repo.git"))
        self.assertNotEqual(0, ran.returncode)
        self.assertIn("403", ran.stderr)
        self.assert_decision(DENIED, "deny", "default_deny")

    # -- wget --

    def test_wget_reaches_an_allowed_name(self):
        self.need("wget")
        ran = self.run_client("wget", "-qO-", f"--ca-certificate={self.cert.path}", self.url(ALLOWED, "/wget"))
        self.assertEqual((0, "hello from the origin: /wget\n"), (ran.returncode, ran.stdout), ran.stderr)

    def test_wget_shows_the_reason_of_a_denial(self):
        self.need("wget")
        ran = self.run_client("wget", "-O-", "--tries=1", f"--ca-certificate={self.cert.path}", self.url(DENIED))
        record = self.assert_decision(DENIED, "deny", "default_deny")
        self.assertIn(f"is not allowed (default_deny, id {record['id']})", ran.stderr)

    # -- Python --

    def python(self, host):
        code = f"import urllib.request as r; print(r.urlopen({self.url(host, '/python')!r}).read().decode(), end='')"
        return self.run_client(sys.executable, "-c", code, SSL_CERT_FILE=str(self.cert.path))

    def test_python_reaches_an_allowed_name(self):
        ran = self.python(ALLOWED)
        self.assertEqual((0, "hello from the origin: /python\n"), (ran.returncode, ran.stdout), ran.stderr)

    def test_python_shows_the_reason_of_a_denial(self):
        ran = self.python(DENIED)
        record = self.assert_decision(DENIED, "deny", "default_deny")
        self.assertRegex(ran.stderr, re.escape(f"403 exeat: {DENIED}:{self.origin.port} is not allowed (default_deny, id {record['id']})"))

    # -- Node --

    def node(self, host):
        return self.run_client("node", "-e", NODE_CONNECT, "--", self.proxy.host, str(self.proxy.port), host, str(self.origin.port), str(self.cert.path))

    def test_node_reaches_an_allowed_name(self):
        self.need("node")
        ran = self.node(ALLOWED)
        self.assertEqual((0, "hello from the origin: /node\n"), (ran.returncode, ran.stdout), ran.stderr)

    def test_node_shows_the_reason_of_a_denial(self):
        self.need("node")
        ran = self.node(DENIED)
        record = self.assert_decision(DENIED, "deny", "default_deny")
        self.assertIn(f"403 exeat: {DENIED}:{self.origin.port} is not allowed (default_deny, id {record['id']})", ran.stderr)

    # -- what agrees --

    def test_a_name_that_differs_is_cut_before_a_byte_reaches_the_origin(self):
        self.need("curl")
        ran = self.run_client("curl", "-sS", "--cacert", str(self.cert.path), "--connect-to", f"{DENIED}:{self.origin.port}:{ALLOWED}:{self.origin.port}",
                              self.url(DENIED))
        self.assertIn("access denied", ran.stderr)
        record = self.assert_decision(ALLOWED, "deny", "sni_mismatch")
        self.assertEqual(DENIED, record["sni"])
        self.assertEqual([], self.origin.names, "the ClientHello reached the origin")
        self.assertEqual([], self.origin.requests)


if __name__ == "__main__":
    unittest.main()
