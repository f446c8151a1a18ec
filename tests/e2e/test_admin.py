"""How exeat is watched: metrics that agree with the records, health, live tunnels, what became of rules, `exeat status`."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import unittest

import injection
from harness import EXEAT, PATIENCE, SANITIZED, Origin, client_hello, origins_on_one_port, plain_story, policy, receive_all, wait_until
from proc import descriptors
from traffic import Traffic
from tunnels import NAME, ProxyStory, TunnelStory
from watching import Door, difference, families, read_metrics, sample

ROOT = pathlib.Path(__file__).resolve().parents[2]
BOTH = "[admin]\nlisten = unix:{dir}/admin.sock\nmetrics = 127.0.0.1:0\n"
OBSERVED = "observed.example.test"
DENIED = "denied.example.test"
EPOLL_WAIT = "232"  # of x86-64
TUNNEL_KEYS = ["id", "client_ip", "client_group", "host", "port", "rule", "route", "egress_ip", "upstream_ip", "bytes_up", "bytes_down", "since",
               "generation"]
RULE_KEYS = ["name", "at", "hits", "last_hit", "clients", "bytes_up", "bytes_down", "since"]


class WatchedStory(TunnelStory):
    def start(self, extra="", admin=BOTH, **how):
        super().start(extra + admin, **how)
        self.socket = Door(self.proxy.ports["admin"]) if "admin" in self.proxy.ports else None
        self.open_door = Door(self.proxy.ports["metrics"]) if "metrics" in self.proxy.ports else None
        if self.socket:
            wait_until("all its workers", lambda: self.socket.ask("/readyz")[0] == 200)
        return self.proxy

    def status(self, *args, code=0):
        done = subprocess.run([EXEAT, "status", "-c", str(self.proxy.config), *args], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return done


class DoorTest(WatchedStory):
    def test_everything_is_on_the_socket_and_no_names_are_on_the_port(self):
        self.start()
        self.open_tunnel()
        for path, kind in (("/metrics", "text/plain; version=0.0.4; charset=utf-8"), ("/healthz", "text/plain; charset=utf-8"),
                           ("/readyz", "text/plain; charset=utf-8")):
            for door in (self.socket, self.open_door):
                with self.subTest(path, door=door.where):
                    status, headers, body = door.ask(path)
                    self.assertEqual((200, kind, "no-store"), (status, headers["Content-Type"], headers["Cache-Control"]))
                    self.assertNotIn(NAME, body)
                    self.assertEqual((200, ""), door.ask(path, "HEAD")[::2])
        for path in ("/server", "/tunnels", "/rules", "/reload", "/", "/metrics/", "//metrics", "/nothing"):
            with self.subTest(path):
                status, _, body = self.open_door.ask(path)
                self.assertEqual(404, status)
                self.assertIn("error", json.loads(body))
                self.assertNotIn(NAME, body)
        self.assertEqual(404, self.socket.ask("/nothing")[0])
        self.assertEqual(404, self.open_door.ask("/reload", "POST")[0])
        for path, method in (("/metrics", "POST"), ("/tunnels", "POST"), ("/reload", "GET")):
            status, headers, _ = self.socket.ask(path, method)
            self.assertEqual(405, status)
            self.assertIn(headers["Allow"], ("GET, HEAD", "POST"))
        for path in ("/tunnels?hots=x", "/metrics?x=1", "/rules?rule=test"):
            self.assertEqual(400, self.socket.ask(path)[0], path)

    def test_the_socket_is_for_user_and_group_and_goes_with_exeat(self):
        self.start()
        path = pathlib.Path(self.directory, "admin.sock")
        self.assertEqual(stat.S_IFSOCK | 0o660, path.stat().st_mode)
        self.assertEqual(0, self.proxy.stop())
        self.assertFalse(path.exists())

    def test_what_a_killed_one_left_is_no_obstacle(self):
        self.start()
        self.proxy.process.kill()
        self.proxy.process.wait()
        self.assertTrue(pathlib.Path(self.directory, "admin.sock").is_socket())
        wait_until("the end of its children", self.nobody_answers)
        self.proxy.kill()
        self.start()
        self.assertEqual("ready\n", self.socket.good("/readyz"))

    def nobody_answers(self):
        try:
            self.socket.ask("/healthz")
        except ConnectionRefusedError:
            return True
        except ConnectionError:
            pass  # it ends at this moment
        return False

    def refused(self, admin):
        """What a start says that cannot be."""
        config = pathlib.Path(self.directory, "second.conf")
        config.write_text(f"[listen explicit]\naddress = 127.0.0.1:0\n{policy(NAME)}[audit]\nfile = second.jsonl\n{admin}")
        done = subprocess.run([EXEAT, "run", "-c", str(config)], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(1, done.returncode, done.stderr)
        return done.stderr

    def test_a_door_that_is_taken_is_said_and_nothing_starts(self):
        self.start()
        metrics = self.proxy.ports["metrics"]
        path = pathlib.Path(self.directory, "admin.sock")
        self.assertIn(f"cannot listen on {metrics} ([admin] metrics): Address already in use", self.refused(f"[admin]\nmetrics = {metrics}\n"))
        self.assertIn(f"cannot listen on unix:{path} ([admin] listen): Address already in use", self.refused(f"[admin]\nlisten = unix:{path}\n"))
        self.assertEqual("ready\n", self.socket.good("/readyz"), "and the first one has its doors still")
        self.assertIn(f"unix:{self.directory}/nowhere/sock ([admin] listen): No such file", self.refused("[admin]\nlisten = unix:nowhere/sock\n"))
        pathlib.Path(self.directory, "precious").write_text("data")
        self.assertIn("precious ([admin] listen): File exists", self.refused("[admin]\nlisten = unix:precious\n"))
        self.assertIn("precious ([admin] state): is not what exeat keeps there", self.refused("[admin]\nstate = precious\n"))
        self.assertEqual("data", pathlib.Path(self.directory, "precious").read_text())

    def test_no_route_leads_back_to_the_door(self):
        self.start()
        text = policy("127.0.0.0/8", port="1-65535", rule="sni = off", extra=BOTH)
        self.proxy.stop()
        self.proxy = self.exeat(text)
        port = int(self.proxy.ports["metrics"].rsplit(":", 1)[1])
        for host, wanted in (("127.0.0.1", 403), ("127.0.0.2", 403)):
            sock, status, head = self.proxy.connect(host, port)
            sock.close()
            self.assertEqual(wanted, status, head)
            self.assertIn("address_forbidden", head)

    def test_without_the_section_there_is_no_door(self):
        self.start(admin="")
        self.assertEqual({"explicit"}, set(self.proxy.ports))
        self.assertIn("[admin] listen: there is none", self.status(code=2).stderr)

    # -- whoever wants to be in the way --

    def test_slow_visitors_keep_nobody_out(self):
        self.start(workers=1)
        tunnel = self.open_tunnel()
        server = self.proxy.children()["server"]
        before = descriptors(server)
        host, port = self.proxy.ports["metrics"].rsplit(":", 1)
        slow = []
        for number in range(200):
            sock = socket.create_connection((host, int(port)), PATIENCE)
            self.addCleanup(sock.close)
            sock.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: " if number % 2 else b"G")
            slow.append(sock)
        self.assertEqual("ready\n", self.open_door.good("/readyz"))
        self.assertEqual("alive\n", self.socket.good("/healthz"))
        self.assert_echo(tunnel)
        self.assertLess(descriptors(server) - before, 40, "so many at a time, and not one more")
        self.assertEqual(b"", receive_all(slow[0]), "the first of them had to go")
        for sock in slow:
            sock.close()
        wait_until("its descriptors back", lambda: descriptors(server) <= before)

    def test_what_is_too_much_is_not_read(self):
        self.start()
        for request in (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 20000 + b"\r\n\r\n", b"POST /reload HTTP/1.1\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000,
                        b"\x16\x03\x01\x02\x00\x01", b"GET /\x00 HTTP/1.1\r\n\r\n", b"CONNECT a.example:443 HTTP/1.1\r\n\r\n"):
            for door in (self.socket, self.open_door):
                connection = door.connection()
                connection.connect()
                with connection.sock as sock, contextlib.suppress(OSError):
                    sock.sendall(request)
                    sock.shutdown(socket.SHUT_WR)
                    self.assertNotIn(b" 200 ", receive_all(sock)[:20])
        self.assertEqual("alive\n", self.socket.good("/healthz"))


@unittest.skipIf(SANITIZED, "sanitizers make system calls of their own")
@unittest.skipUnless(shutil.which("strace"), "SKIPPED: strace is not installed")
class CallsTest(WatchedStory):
    def test_no_descriptor_is_spoken_of_behind_its_end(self):
        """By then its number may be that of a worker's socket."""
        calls = self.directory / "calls"
        self.start(through=("strace", "-D", "-f", "-e", "trace=epoll_ctl", "-o", str(calls)), sandbox="off")
        before = calls.read_text().count("EPOLL_CTL_DEL")
        for _ in range(5):
            self.assertEqual(200, self.open_door.ask("/readyz")[0])
        wait_until("their ends", lambda: calls.read_text().count("EPOLL_CTL_DEL") >= before + 5)
        self.assertNotIn("EBADF", calls.read_text())


class HealthTest(WatchedStory):
    def test_not_ready_while_the_journal_hangs_and_alive_all_the_same(self):
        self.start()
        journal = self.proxy.children()["journal"]
        os.kill(journal, signal.SIGSTOP)
        try:
            with self.proxy.connect(DENIED, 443)[0]:  # a record that waits
                wait_until("not ready", lambda: self.open_door.ask("/readyz")[0] == 503)
            self.assertIn("journal", self.open_door.ask("/readyz")[2])
            self.assertEqual("alive\n", self.open_door.good("/healthz"))
            self.assertGreater(self.open_door.metrics()[sample("exeat_journal_queue")], 0)
            self.assertIn("journal", self.status(code=1).stdout)
        finally:
            os.kill(journal, signal.SIGCONT)
        wait_until("ready again", lambda: self.open_door.ask("/readyz")[0] == 200)
        wait_until("an empty queue", lambda: self.open_door.metrics()[sample("exeat_journal_queue")] == 0)

    def only_worker(self):
        """Beside the main thread the only one that waits for events, as epoll_wait(2) does."""
        server = self.proxy.children()["server"]
        threads = pathlib.Path(f"/proc/{server}/task")
        waiting = wait_until("both to wait", lambda: len(found := [thread.name for thread in threads.iterdir()
                                                                   if (thread / "syscall").read_text().split()[0] == EPOLL_WAIT]) == 2 and found)
        return next(int(thread) for thread in waiting if int(thread) != server)

    @plain_story
    @unittest.skipIf(injection.why_not() is not None, injection.why_not())
    def test_neither_alive_nor_ready_while_a_worker_hangs(self):
        self.start(workers=1)
        with injection.stopped(self.only_worker()), concurrent.futures.ThreadPoolExecutor() as pool:
            told = pool.submit(self.status, "--json", code=1)
            for code, _, body in pool.map(self.open_door.ask, ("/healthz", "/readyz", "/metrics")):
                self.assertEqual(503, code)
                self.assertIn("a worker does not answer", body)
            self.assertEqual({"ready": False, "state": "a worker does not answer"}, json.loads(told.result().stdout))
        wait_until("life", lambda: self.open_door.ask("/healthz")[0] == 200)


class MetricsTest(ProxyStory):
    """Counter by counter, after every kind of end that a session can have here."""

    def test_they_say_what_the_records_say(self):
        traffic = self.use(Traffic(self.directory, clients=4))
        extra = f"[rule observed]\nto = {OBSERVED}\nport = {traffic.origin.port}\naction = observe\n" + BOTH
        self.proxy = self.exeat(traffic.policy(extra))
        traffic.proxy = self.proxy
        traffic.start()
        traffic.await_progress(60)
        traffic.stop()
        for request in (b"GET http://a.example.test/ HTTP/1.1\r\nHost: a.example.test\r\n\r\n", b"rubbish\r\n\r\n", b"CONNECT"):
            with self.proxy.dial() as sock:
                sock.sendall(request)
                sock.shutdown(socket.SHUT_WR)
                receive_all(sock)
        for host, hello in ((OBSERVED, client_hello(OBSERVED)), ("wrong.load.example.test", client_hello("other.example.test")),
                            ("plain.load.example.test", b"SSH-2.0-x\r\n"), ("refused.load.example.test", b"")):
            port = traffic.origin.port if hello else 1
            with self.proxy.connect(host, port)[0] as sock, contextlib.suppress(OSError):
                sock.sendall(hello)
                sock.shutdown(socket.SHUT_WR)
                receive_all(sock)
        doors = [Door(self.proxy.ports[name]) for name in ("metrics", "admin")]
        for door in doors:
            wait_until("no tunnel", lambda door=door: door.metrics()[sample("exeat_tunnels_open", route="nat")] == 0)
            with contextlib.suppress(AssertionError):
                wait_until("agreement", lambda door=door: not difference(door.metrics(), self.proxy.records()), 5)
            self.assertEqual({}, difference(door.metrics(), self.proxy.records()))
        self.look_at(doors[0].metrics())

    def look_at(self, metrics):
        seen = {dict(labels)["reason"] for name, labels in metrics if name == "exeat_sessions_total"}
        self.assertLessEqual({"rule_allow", "default_deny", "rule_observe", "bad_request", "method_not_allowed", "not_tls", "sni_mismatch"}, seen)
        allowed = sum(value for (name, labels), value in metrics.items() if name == "exeat_sessions_total" and ("verdict", "deny") not in labels)
        self.assertEqual(allowed, metrics[sample("exeat_setup_seconds_count")])
        self.assertEqual(1, metrics[sample("exeat_journal_up")])
        self.assertEqual(0, sum(value for (name, _), value in metrics.items() if name == "exeat_egress_ports"))


class ContribTest(WatchedStory):
    def test_alerts_and_dashboard_name_what_there_is(self):
        self.start()
        there = families(self.socket.good("/metrics"))
        whole = {re.sub("_(bucket|sum|count)$", "", name) for name in there}
        for path in ("contrib/prometheus/exeat.rules.yml", "contrib/grafana/exeat.json", "man/exeat-metrics.5"):
            named = set(re.findall(r"\bexeat_\w+", (ROOT / path).read_text()))
            self.assertGreater(len(named), 5, path)
            self.assertEqual(set(), named - there - whole, path)
        dashboard = json.loads((ROOT / "contrib/grafana/exeat.json").read_text())
        self.assertTrue(all(target["expr"] for panel in dashboard["panels"] for target in panel["targets"]))
        manual = (ROOT / "man/exeat-metrics.5").read_text()
        for name in whole:
            self.assertIn(name, manual)

    @unittest.skipUnless(shutil.which("promtool"), "SKIPPED: promtool is not installed (Debian: prometheus)")
    def test_promtool_finds_no_fault(self):
        self.start()
        self.open_tunnel()
        for command, given in ((["check", "metrics"], self.socket.good("/metrics")),
                               (["check", "rules", str(ROOT / "contrib/prometheus/exeat.rules.yml")], ""),
                               (["test", "rules", str(ROOT / "contrib/prometheus/exeat.rules.test.yml")], "")):
            done = subprocess.run(["promtool", *command], input=given, capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)
            self.assertNotIn("use", done.stderr if command == ["check", "metrics"] else "")


class LiveTest(WatchedStory):
    def test_bytes_count_while_a_tunnel_is_open(self):
        self.start()
        sock = self.open_tunnel()
        hello = len(client_hello(NAME))
        up = sample("exeat_bytes_total", route="nat", way="up")
        first = self.open_door.metrics()
        self.assertEqual((1, 1), (first[sample("exeat_tunnels_open", route="nat")], first[sample("exeat_egress_ports", route="nat", source="127.0.0.1")]))
        self.assert_echo(sock, b"x" * 100000)
        second = self.open_door.metrics()
        self.assertEqual(100000, second[up] - first[up])
        rule = self.socket.rules()["test"]
        self.assertEqual((1, 1, second[up]), (rule["hits"], rule["clients"], rule["bytes_up"]))
        sock.close()
        wait_until("its end", lambda: self.open_door.metrics()[sample("exeat_tunnels_open", route="nat")] == 0)
        self.assertEqual(second[up], self.open_door.metrics()[up], "neither lost nor counted twice")
        self.assertGreaterEqual(second[up], 100000 + hello - 100)  # a hello is never twice the same

    def test_every_open_tunnel_is_listed_and_filters_find_it(self):
        self.start()
        socks = [self.open_tunnel() for _ in range(5)]
        self.assert_echo(socks[2], b"y" * 1000)
        tunnels = self.socket.tunnels()
        self.assertEqual(5, len(tunnels))
        records = {record["id"]: record for record in self.proxy.decisions()}
        for tunnel in tunnels:
            self.assertEqual(TUNNEL_KEYS, list(tunnel))
            for key in ("client_ip", "client_group", "host", "port", "rule", "route", "egress_ip", "upstream_ip"):
                self.assertEqual(records[tunnel["id"]][key], tunnel[key], key)
            self.assertEqual(1, tunnel["generation"])
        self.assertEqual(1, sum(tunnel["bytes_down"] > 1000 for tunnel in tunnels))
        for query, count in ((f"host={NAME}", 5), ("host=*.example.test", 5), ("host=other.example.test", 0), ("rule=test&route=nat", 5),
                             ("client_ip=127.0.0.1", 5), ("client_ip=127.0.0.9", 0), ("client_group=local&rule=none", 0)):
            self.assertEqual(count, len(self.socket.tunnels(f"?{query}")), query)
        for sock in socks:
            sock.close()
        wait_until("no tunnel", lambda: self.socket.tunnels() == [])

    def test_a_rule_is_told_of_whether_it_was_hit_or_not(self):
        self.start(extra=f"[rule refused]\nto = {DENIED}\naction = deny\n[rule idle]\nto = idle.example.test\n")
        rules = self.socket.rules()
        self.assertEqual(["test", "refused", "idle"], list(rules))
        for rule in rules.values():
            self.assertEqual(RULE_KEYS, list(rule))
            self.assertEqual((0, None, 0), (rule["hits"], rule["last_hit"], rule["clients"]))
        for client in ("127.0.0.1", "127.0.0.2", "127.0.0.2"):
            with self.proxy.dial(source=(client, 0)) as sock:
                sock.sendall(f"CONNECT {DENIED}:443 HTTP/1.1\r\nHost: {DENIED}:443\r\n\r\n".encode())
                self.assertEqual(403, self.proxy.read_head(sock)[0])
        after = self.socket.rules()
        last = self.proxy.wait_decision(client_ip="127.0.0.2")
        self.assertEqual((3, 2, rules["refused"]["since"]), (after["refused"]["hits"], after["refused"]["clients"], after["refused"]["since"]))
        self.assertGreaterEqual(after["refused"]["last_hit"], last["time"])
        self.assertEqual(rules["idle"], after["idle"])
        self.assertTrue(after["idle"]["at"].startswith(str(self.proxy.config)))

    def test_what_became_of_rules_outlives_a_restart(self):
        state = BOTH + "state = {dir}/rules\n"
        self.start(admin=state)
        self.open_tunnel().close()
        self.proxy.wait_records("its close", lambda records: any(record["event"] == "close" for record in records))
        before = self.socket.rules()["test"]
        self.assertEqual(0, self.proxy.stop())
        self.assertEqual(0o640, pathlib.Path(self.directory, "rules").stat().st_mode & 0o777)
        self.start(admin=state)
        self.assertEqual(before, self.socket.rules()["test"])
        self.open_tunnel().close()
        wait_until("both", lambda: self.socket.rules()["test"]["bytes_up"] > before["bytes_up"])
        after = self.socket.rules()["test"]
        self.assertEqual((2, 1, before["since"]), (after["hits"], after["clients"], after["since"]))
        self.assertEqual(0, self.proxy.stop())
        with open(self.directory / "rules", "a", encoding="ascii") as file:
            file.write("torn 1 2")
        self.start(admin=state)
        self.assertEqual(after, self.socket.rules()["test"])
        self.await_log("not whole")


class StatusTest(WatchedStory):
    def test_it_says_the_same_for_people_and_for_scripts(self):
        self.start()
        self.open_tunnel()
        whole = json.loads(self.status("--json").stdout)
        self.assertEqual((True, "ready", self.socket.rules()), (whole["ready"], whole["state"], {rule["name"]: rule for rule in whole["rules"]}))
        tunnel, = whole["tunnels"]
        lines = self.status().stdout.splitlines()
        self.assertEqual("ready", lines[0])
        row = lines[lines.index("tunnels") + 1].split("\t")
        self.assertEqual([str(value) for value in tunnel.values()], row)
        rule = lines[lines.index("rules") + 1].split("\t")
        self.assertEqual([str(value) for value in whole["rules"][0].values()], rule)

    def test_it_says_what_holds_as_the_start_record_does(self):
        self.start()
        start, = (record for record in self.proxy.records() if record["event"] == "start")
        whole = json.loads(self.status("--json").stdout)
        self.assertEqual((1, start["detail"]), (whole["generation"], f"mode enforce; {whole['holds']}"))
        self.assertIn("uid ", whole["holds"])
        self.assertEqual(f"generation 1: {whole['holds']}", self.status().stdout.splitlines()[1])

    def test_it_says_why_nobody_answers(self):
        self.start()
        self.assertIn("is more than `status` takes", self.status("surplus", code=2).stderr)
        if os.geteuid() == 0:
            self.directory.chmod(0o755)
            done = subprocess.run([EXEAT, "status", "-c", str(self.proxy.config)], capture_output=True, text=True, timeout=PATIENCE, user=65534,
                                  group=65534, extra_groups=[])
            if "cannot" not in done.stderr:  # whether nobody may run the program and read its configuration is not the question
                self.assertIn("permission denied", done.stderr)
        self.proxy.stop()
        self.assertIn("exeat does not run", self.status(code=2).stderr)

    def test_watching_goes_on_until_nobody_looks(self):
        self.start()
        watch = subprocess.Popen([EXEAT, "status", "-c", str(self.proxy.config), "--json", "--watch"], stdout=subprocess.PIPE, text=True)
        for _ in range(2):
            self.assertTrue(json.loads(watch.stdout.readline())["ready"])
        watch.stdout.close()
        self.assertIn(watch.wait(PATIENCE), (0, 2, -signal.SIGPIPE))


if __name__ == "__main__":
    unittest.main()
