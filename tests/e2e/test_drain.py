"""Draining: what SIGTERM means to load balancers, to who connects just then, to open tunnels, and to the record of them."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import client_hello, echoes, long_story, receive_all, wait_until
from proc import is_gone
from tunnels import NAME, TunnelStory
from watching import Door

ADMIN = "[admin]\nlisten = unix:{dir}/admin.sock\n"


class DrainStory(TunnelStory):
    def start(self, delay="0", timeout="1h", workers=2, watch="off"):
        (self.directory / "log").unlink(missing_ok=True)  # of the one before
        exeat = f"[exeat]\nname = test\nworkers = {workers}\ndrain_delay = {delay}\ndrain_timeout = {timeout}\nwatch = {watch}\n"
        super().start(extra=exeat + ADMIN)
        self.door = Door(self.proxy.ports["admin"])

    def terminate(self):
        self.proxy.process.send_signal(signal.SIGTERM)

    def drain(self):
        """Returns when no worker accepts anything any more."""
        self.terminate()
        self.await_log("draining: open connections: ")
        wait_until("the listeners' end", self.is_refused)

    @staticmethod
    def let_pass(seconds):
        """For what goes by the clock alone."""
        begun = time.monotonic()
        wait_until("time to pass", lambda: time.monotonic() - begun > seconds)

    def is_refused(self):
        try:
            self.proxy.dial().close()
        except ConnectionRefusedError:
            return True
        return False

    def readyz(self):
        return self.door.ask("/readyz")[::2]

    def end_of(self, code=0):
        """What is on file when it has ended; `code` is how it must."""
        self.assertEqual(code, self.proxy.process.wait(harness.PATIENCE), self.proxy.log_text())
        return self.proxy.records()

    def closes(self):
        return [record["end"] for record in self.proxy.records() if record["event"] == "close"]


@long_story
class Drain(DrainStory):
    def test_without_a_tunnel_it_ends_by_itself(self):
        self.start()
        self.terminate()
        stop = self.end_of()[-1]
        self.assertEqual(("stop", "drained: 0 tunnels were cut"), (stop["event"], stop["detail"]))
        self.await_log("draining: open connections: 0, tunnels cut: 0")
        self.await_log("drained: nothing is open any more, tunnels cut: 0")

    def test_it_is_not_ready_at_once_and_serves_for_the_delay(self):
        self.start(delay="1h")
        wait_until("it to be ready", lambda: self.readyz() == (200, "ready\n"))
        tunnel = self.open_tunnel()
        self.terminate()
        wait_until("/readyz to say so", lambda: self.readyz() == (503, "leaving: connections are served for a moment still\n"))
        self.assertEqual(200, self.door.ask("/healthz")[0])
        self.assertTrue(self.tunnel_works())
        self.assert_echo(tunnel)
        self.assertEqual(0, self.proxy.stop())  # the second request
        self.assertNotIn("draining: ", self.proxy.log_text())

    def test_the_delay_ends_in_a_drain(self):
        self.start(delay="300ms")
        tunnel = self.open_tunnel()
        self.terminate()
        self.await_log("leaving: not ready any more, and serving for 300 ms")
        self.await_log("draining: open connections: 1, tunnels cut: 0")
        wait_until("the listeners' end", self.is_refused)
        self.assert_echo(tunnel)
        tunnel.close()
        self.end_of()

    def test_a_server_that_dies_in_the_delay_is_started_again_and_is_not_ready_either(self):
        self.start(delay="1h")
        self.terminate()
        wait_until("/readyz to say so", lambda: self.readyz()[1].startswith("leaving"))
        self.kill("server")
        wait_until("the next server", self.tunnel_works)
        wait_until("/readyz to say so again", lambda: self.readyz()[1].startswith("leaving"))

    def test_open_tunnels_live_until_their_end_and_are_recorded(self):
        self.start()
        tunnels = [self.open_tunnel() for _ in range(4)]
        self.drain()
        self.assertEqual((503, "draining: no tunnel is opened any more, those that are open go on\n"), self.readyz())
        self.assertEqual(200, self.door.ask("/healthz")[0])
        self.assertEqual(4, len(self.door.tunnels()))
        status = subprocess.run([harness.EXEAT, "status", "-c", self.proxy.config], capture_output=True, text=True, timeout=harness.PATIENCE)
        self.assertIn("draining", status.stdout, status)
        self.assertEqual(4, sum(value for (name, _), value in self.door.metrics().items() if name == "exeat_tunnels_open"))
        for tunnel in tunnels:
            self.assert_echo(tunnel)
            tunnel.close()
        wait_until("its end", lambda: self.proxy.process.poll() is not None)
        records = self.end_of()
        self.assertEqual(["client_eof"] * 4, self.closes())
        self.assertEqual("drained: 0 tunnels were cut", records[-1]["detail"])

    def test_who_was_on_the_way_is_let_through(self):
        self.start()
        sock = self.connect()  # its 200 is out, its hello is not
        self.drain()
        self.assert_echo(sock, client_hello(NAME))

    def test_the_time_being_up_the_rest_is_cut_by_fin(self):
        self.start(timeout="300ms")
        tunnels = [self.open_tunnel() for _ in range(8)]
        self.terminate()
        for tunnel in tunnels:
            self.assertEqual(b"", tunnel.recv(1))  # and no ConnectionResetError
        stop = self.end_of()[-1]
        self.assertEqual(["stopped"] * 8, self.closes())
        self.assertEqual(("stop", "drained: 8 tunnels were cut"), (stop["event"], stop["detail"]))

    def test_the_rest_is_cut_little_by_little(self):
        self.start(timeout="2s", workers=1)
        tunnels = [self.open_tunnel() for _ in range(10)]
        self.terminate()
        for tunnel in tunnels:
            self.assertEqual(b"", tunnel.recv(1))
        self.end_of()
        ages = [record["duration_ms"] for record in self.proxy.records() if record["event"] == "close"]
        self.assertGreater(max(ages) - min(ages), 1000)  # of two seconds
        self.assertGreater(len({age // 100 for age in ages}), 4)

    def test_no_time_at_all(self):
        self.start(timeout="0")
        tunnel = self.open_tunnel()
        self.terminate()
        self.assertEqual(b"", tunnel.recv(1))
        self.end_of()

    def test_a_second_request_stops_now(self):
        for how in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(how=how.name):
                self.start()
                tunnels = [self.open_tunnel() for _ in range(4)]
                self.drain()
                self.let_pass(0.5)  # so that it is another request
                self.assertEqual(0, self.proxy.stop(how))
                for tunnel in tunnels:
                    self.assertEqual(b"", tunnel.recv(1))
                self.assertEqual(["stopped"] * 4, self.closes()[-4:])
                self.assertEqual("drained: 4 tunnels were cut", self.proxy.records()[-1]["detail"])

    def test_a_third_request_kills(self):
        self.start()
        journal = self.proxy.children()["journal"]
        self.open_tunnel()
        self.drain()
        os.kill(journal, signal.SIGSTOP)  # so that the orderly stop cannot end
        self.proxy.process.send_signal(signal.SIGINT)
        self.await_log("stopping")
        with self.assertRaises(subprocess.TimeoutExpired):
            self.proxy.process.wait(1)
        self.terminate()
        self.end_of(code=1)

    def test_what_comes_twice_at_once_is_one_request(self):
        self.start()
        tunnel = self.open_tunnel()
        self.terminate()
        self.terminate()
        self.await_log("draining: open connections: 1, tunnels cut: 0")
        wait_until("the listeners' end", self.is_refused)
        self.assert_echo(tunnel)


class Meanwhile(DrainStory):
    """What else happens to an exeat that drains for hours."""

    def test_a_journal_that_dies_is_started_again(self):
        self.start()
        tunnels = [self.open_tunnel() for _ in range(3)]
        self.drain()
        self.kill("journal")
        for tunnel in tunnels:
            self.assert_echo(tunnel)
            tunnel.close()
        records = self.end_of()
        self.assertEqual(["client_eof"] * 3, self.closes())
        self.assertEqual("stop", records[-1]["event"])

    def test_a_server_that_dies_is_not_started_again(self):
        self.start()
        tunnel = self.open_tunnel()
        self.drain()
        self.strike("server")
        self.end_of(code=1)
        with contextlib.suppress(ConnectionError):
            self.assertEqual(b"", tunnel.recv(1))
        self.assertEqual(1, self.proxy.log_text().count(": ready, "))

    def test_audit_files_are_rotated(self):
        self.start()
        tunnel = self.open_tunnel()
        self.drain()
        self.rotate(".1")
        tunnel.close()
        self.end_of()
        self.assertEqual(["rotate", "close", "stop"], [record["event"] for record in self.proxy.records() if record["event"] != "probe"])

    def test_a_reload_is_refused(self):
        self.start(delay="1h")
        self.terminate()
        wait_until("/readyz to say so", lambda: self.readyz()[1].startswith("leaving"))
        self.proxy.process.send_signal(signal.SIGHUP)
        refused = self.proxy.wait_records("the refusal", lambda records: next((r for r in records if r["event"] == "reload"), None))
        self.assertIn("stays; refused, 1 fault: ", refused["detail"])
        self.assertIn("exeat is being stopped, and goes by what it has until its end", refused["detail"])

    def test_a_reload_is_refused_while_it_drains(self):
        self.start()
        tunnel = self.open_tunnel()
        self.drain()
        self.proxy.process.send_signal(signal.SIGHUP)
        self.proxy.wait_records("the refusal", lambda records: next((r for r in records if r["event"] == "reload"), None))
        self.assert_echo(tunnel)
        tunnel.close()
        self.end_of()

    def test_files_that_change_at_the_same_moment_are_not_read(self):
        self.start(watch="on")
        tunnel = self.open_tunnel()
        self.let_pass(1)  # so that it waits for files to change again
        os.kill(self.proxy.process.pid, signal.SIGSTOP)
        self.proxy.config.write_text(self.proxy.config.read_text() + "# another line\n")
        self.terminate()
        os.kill(self.proxy.process.pid, signal.SIGCONT)  # which hears of both at once
        self.await_log("draining: open connections: 1")
        wait_until("the listeners' end", self.is_refused)
        self.assert_echo(tunnel)
        tunnel.close()
        self.end_of()
        self.assertNotIn("reload", [record["event"] for record in self.proxy.records()])


class AtTheChange(DrainStory):
    """Those who connect just then."""

    def ask(self):
        """What becomes of one client that wants a tunnel."""
        try:
            sock, status, head = self.proxy.connect(NAME, self.origin.port)
        except ConnectionRefusedError:
            return "refused"
        except OSError as error:
            return errno.errorcode.get(error.errno, repr(error))
        with sock:
            if status == 200:
                return "200" if echoes(sock, client_hello(NAME)) else "a tunnel that was cut"
            return "draining" if status == 503 and "this proxy is going away" in head + receive_all(sock).decode() else head

    def client(self, answers, over):
        while not over.is_set():
            answers.append(self.ask())
            if answers[-1] == "refused":
                return

    def test_nobody_is_reset(self):
        self.start()
        answers, over = [], threading.Event()
        clients = [threading.Thread(target=self.client, args=(answers, over)) for _ in range(16)]
        tunnel = self.open_tunnel()
        for client in clients:
            client.start()
        try:
            wait_until("some to be served", lambda: answers.count("200") > 100)
            self.terminate()
            for client in clients:
                client.join(harness.PATIENCE)
        finally:
            over.set()
        self.assertLessEqual(set(answers), {"200", "draining", "refused"})
        self.assertEqual(16, answers.count("refused"))
        self.assert_echo(tunnel)

    def dial_lazily(self):
        """Connected, as far as the client knows: the last packet of the handshake waits for what it says first, but for a fifth of a second at most."""
        sock = socket.socket()
        sock.settimeout(harness.PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        sock.connect((self.proxy.host, self.proxy.port))
        return sock

    def is_told(self):
        """Whether clients who were half-way in came too late; none of them hears anything else than an answer."""
        self.start()
        lazy = [self.dial_lazily() for _ in range(8)]
        self.terminate()
        self.await_log("draining: open connections: ")
        told = 0
        for sock in lazy:
            with sock:
                sock.sendall(f"CONNECT {NAME}:{self.origin.port} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
                status, head = self.proxy.read_head(sock)
                self.assertIn(status, (200, 503), head)
                if status == 503:
                    self.assertIn("this proxy is going away", head + receive_all(sock).decode())
                    told += 1
        self.end_of()
        self.assertEqual(told, sum(1 for r in self.proxy.records() if r["event"] == "decision" and r["reason"] == "draining") - self.told)
        self.told += told
        return told

    def test_who_is_half_way_in_is_told(self):
        self.told = 0
        wait_until("somebody to come too late, but not by more than that", self.is_told, 3 * harness.PATIENCE)

    def test_who_waits_in_the_queue_is_answered(self):
        self.start(workers=1)
        tunnel = self.open_tunnel()
        server = self.proxy.children()["server"]
        os.kill(server, signal.SIGSTOP)  # so that nobody is accepted
        waiting = [self.proxy.dial() for _ in range(32)]
        for sock in waiting:
            sock.sendall(f"CONNECT {NAME}:{self.origin.port} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        self.terminate()
        self.await_log("nobody is let in any more")
        os.kill(server, signal.SIGCONT)
        for sock in waiting:
            with sock:
                status, head = self.proxy.read_head(sock)
                self.assertIn(status, (200, 503), head)
        self.assert_echo(tunnel)
