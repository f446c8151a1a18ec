"""The three processes: what happens to tunnels when one of them dies, stops, or cannot write."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
import unittest

import audit_check
import harness
from harness import BACK_WITHIN, EXEAT, Exeat, client_hello, long_story, policy, wait_until
from proc import is_gone
from tunnels import NAME, TunnelStory


@long_story
class Processes(TunnelStory):
    def refused(self):
        """The head of a refusal; None where that is not known to every worker yet: cut before a byte goes out."""
        sock, status, head = self.proxy.connect(NAME, self.origin.port)
        with sock:
            if status != 200:
                return head
            sock.sendall(client_hello(NAME))
            with contextlib.suppress(ConnectionError):
                self.assertEqual(b"", sock.recv(1))
        return None

    # -- the journal --

    def test_without_the_journal_new_tunnels_are_refused_and_open_ones_go_on(self):
        proxy = self.start()
        tunnel = self.open_tunnel()
        os.kill(proxy.process.pid, signal.SIGSTOP)  # so that nobody starts it again yet
        try:
            journal = self.strike("journal")
            wait_until("the journal's end", lambda: is_gone(journal))
            head = wait_until("a refusal", self.refused)
            self.assertIn("audit_unavailable", head)
            self.assertTrue(head.splitlines()[0].endswith("connection refused"), head)
            self.assert_echo(tunnel)
        finally:
            os.kill(proxy.process.pid, signal.SIGCONT)
        wait_until("tunnels again", self.tunnel_works)
        self.assert_echo(tunnel)
        gap = proxy.wait_records("a gap", lambda rs: next((r for r in rs if r["event"] == "gap"), None))
        self.assertIn("audit_unavailable", gap["detail"])
        tunnel.close()
        self.assertEqual(0, proxy.stop())
        audit_check.check_file(proxy.audit_path)

    def test_the_journal_is_back_within_a_second_each_time(self):
        proxy = self.start()
        tunnel = self.open_tunnel()
        for pause in (0.05, 0.1, 0.2, 0.4, 0.8):  # which the supervisor makes before it starts one again that never lives long
            began = time.monotonic()
            self.kill("journal")
            wait_until("a tunnel", self.tunnel_works)
            self.assertLess(time.monotonic() - began, pause + BACK_WITHIN / 2)
            self.assert_echo(tunnel)
        tunnel.close()
        self.assertEqual(0, proxy.stop())
        audit_check.check_file(proxy.audit_path)

    # -- the server --

    def test_when_the_server_dies_the_listeners_stay(self):
        proxy = self.start()
        self.open_tunnel()
        server = self.strike("server")
        began = time.monotonic()
        sock = proxy.dial()  # the kernel still listens
        with sock:
            sock.sendall(f"CONNECT {NAME}:{self.origin.port} HTTP/1.1\r\nHost: {NAME}:{self.origin.port}\r\n\r\n".encode())
            status, head = proxy.read_head(sock)
        self.assertEqual(200, status, head)
        self.assertLess(time.monotonic() - began, BACK_WITHIN)
        self.assertNotEqual(server, proxy.children()["server"])
        self.assertEqual(0, proxy.stop())
        starts = [record for record in proxy.records() if record["event"] == "start"]
        self.assertEqual(2, len(starts))
        audit_check.check_file(proxy.audit_path, allow_open=True)

    # -- the supervisor --

    def test_when_the_supervisor_dies_the_others_end_and_the_port_is_free(self):
        proxy = self.start()
        children = proxy.children()
        proxy.process.kill()
        proxy.process.wait()
        for role, pid in children.items():
            wait_until(f"the {role}'s end", lambda pid=pid: is_gone(pid))
        with socket.socket() as sock:
            sock.bind((proxy.host, proxy.port))

    def test_a_second_exeat_on_the_same_port_is_refused(self):
        proxy = self.start()
        ran = subprocess.run([EXEAT, "run", "--listen", f"127.0.0.1:{proxy.port}"], capture_output=True, text=True, timeout=30,
                             stdin=subprocess.DEVNULL)
        self.assertEqual(1, ran.returncode)
        self.assertIn(f"cannot listen on 127.0.0.1:{proxy.port}", ran.stderr)

    def test_a_second_exeat_on_the_same_audit_file_does_not_start(self):
        proxy = self.start()
        before = proxy.audit_path.read_bytes()
        ran = subprocess.run([EXEAT, "run", "-c", str(proxy.config)], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        self.assertEqual(1, ran.returncode, ran.stderr)
        self.assertIn("another process writes it", ran.stderr)
        self.assertNotIn("ready", ran.stderr)
        self.assertEqual(before, proxy.audit_path.read_bytes())
        self.assertTrue(self.tunnel_works())

    # -- stopping --

    def stop_with_tunnels(self, how):
        proxy = self.start()
        tunnels = [self.open_tunnel() for _ in range(20)]
        self.assertEqual(0, proxy.stop(how))
        for tunnel in tunnels:
            with contextlib.suppress(ConnectionError):
                self.assertEqual(b"", tunnel.recv(1))
        records = audit_check.check_file(proxy.audit_path)
        closes = [record for record in records if record["event"] == "close"]
        self.assertEqual({"stopped"}, {record["end"] for record in closes})
        self.assertEqual(20, len(closes))
        self.assertEqual("stop", records[-1]["event"])

    def test_a_signal_that_comes_twice_at_once_is_one(self):
        proxy = self.start()
        self.open_tunnel()
        proxy.process.send_signal(signal.SIGINT)
        self.assertEqual(0, proxy.stop())
        self.assertEqual("stop", audit_check.check_file(proxy.audit_path)[-1]["event"])

    def test_a_second_request_means_now(self):
        proxy = self.start()
        self.stall_journal()  # so that the orderly stop cannot end
        self.connect().sendall(client_hello(NAME))  # on which nobody decides
        proxy.process.send_signal(signal.SIGINT)
        with self.assertRaises(subprocess.TimeoutExpired):
            proxy.process.wait(1)
        proxy.process.send_signal(signal.SIGINT)
        self.assertEqual(1, proxy.process.wait(3 * BACK_WITHIN))

    def test_sigint_closes_every_tunnel_with_its_record(self):
        self.stop_with_tunnels(signal.SIGINT)

    def test_seq_goes_on_over_restarts(self):
        for _ in range(3):
            proxy = self.start()
            self.assertTrue(self.tunnel_works())
            self.assertEqual(0, proxy.stop())
        records = audit_check.check_file(proxy.audit_path)
        self.assertEqual(["start", "decision", "close", "stop"] * 3, [record["event"] for record in records])

    def test_without_a_chain_records_have_none(self):
        proxy = self.start(extra=f"[audit]\nfile = {self.directory}/audit.jsonl\nchain = no\n")
        self.assertTrue(self.tunnel_works())
        self.assertEqual(0, proxy.stop())
        audit_check.check_file(proxy.audit_path, chained=False)

    def test_a_stop_brings_a_dead_journal_back_for_the_last_records(self):
        proxy = self.start()
        for _ in range(3):
            self.open_tunnel()
        os.kill(proxy.process.pid, signal.SIGSTOP)
        journal = self.strike("journal")
        wait_until("the journal's end", lambda: is_gone(journal))
        os.kill(proxy.process.pid, signal.SIGINT)
        os.kill(proxy.process.pid, signal.SIGCONT)
        self.assertEqual(0, proxy.process.wait(harness.PATIENCE))
        records = audit_check.check_file(proxy.audit_path)
        self.assertEqual(3, sum(1 for record in records if record["event"] == "close"))
        self.assertEqual("stop", records[-1]["event"])

    # -- a journal that hangs --

    @staticmethod
    def wake(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def stall_journal(self):
        journal = self.proxy.children()["journal"]
        os.kill(journal, signal.SIGSTOP)
        self.addCleanup(self.wake, journal)
        return journal

    def test_a_journal_that_hangs_is_as_good_as_none(self):
        proxy = self.start(workers=1)  # each learns it for itself, by the first decision that is not answered
        tunnel = self.open_tunnel()
        journal = self.stall_journal()
        with self.connect() as sock:
            sock.sendall(client_hello(NAME))
            with self.assertRaises(ConnectionResetError):
                sock.recv(1)
        sock, status, head = proxy.connect(NAME, self.origin.port)
        sock.close()
        self.assertEqual(503, status)
        self.assertIn("audit_unavailable", head)
        self.assert_echo(tunnel)
        self.assertEqual(1, self.origin.payload.count(b"\x16\x03\x01"), "only the first hello came through")
        os.kill(journal, signal.SIGCONT)
        wait_until("tunnels again", self.tunnel_works)
        tunnel.close()
        self.assertEqual(0, proxy.stop())
        audit_check.check_file(proxy.audit_path)

    def test_a_journal_that_hangs_delays_but_does_not_refuse_when_told_to_continue(self):
        proxy = self.start(extra=f"[audit]\nfile = {self.directory}/audit.jsonl\non_failure = continue\n")
        journal = self.stall_journal()
        self.assert_echo(self.open_tunnel())
        os.kill(journal, signal.SIGCONT)
        self.assertEqual(0, proxy.stop())
        audit_check.check_file(proxy.audit_path)

    def test_without_sni_a_decision_that_is_not_committed_is_told_before_the_200(self):
        self.proxy = self.exeat(policy(NAME, port=self.origin.port, hosts=self.hosts, rule="sni = off"))
        journal = self.stall_journal()
        sock, status, head = self.proxy.connect(NAME, self.origin.port)
        sock.close()
        self.assertEqual(503, status, head)
        os.kill(journal, signal.SIGCONT)
        self.assertEqual(0, self.proxy.stop())
        audit_check.check_file(self.proxy.audit_path)

    # -- what cannot be written --

    def test_a_file_that_cannot_be_opened_keeps_it_from_starting(self):
        with self.assertRaisesRegex(AssertionError, "ended with 1"):
            Exeat(self.directory, policy(NAME, hosts=self.hosts) + "\n[audit]\nfile = /nonexistent/audit.jsonl\n", audit=False)

    def test_a_standard_output_that_is_closed_lets_nobody_out(self):
        """What is opened next has its number then, and is not where records go."""
        text = policy(NAME, port=self.origin.port, hosts=self.hosts) + "\n[audit]\nfile = -\n"
        proxy = self.proxy = self.exeat(text, through=("sh", "-c", 'exec "$0" "$@" >&-'))
        sock, status, head = proxy.connect(NAME, self.origin.port)
        sock.close()
        self.assertEqual(503, status, head)
        self.assertIn("audit_unavailable", head)
        self.await_log("audit file - cannot be written")
        children = proxy.children().values()
        proxy.kill()
        for pid in children:  # by themselves they would go on trying for 10 s
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def limit_file_size(self, proxy, size):
        resource.prlimit(proxy.children()["journal"], resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def test_a_full_disk_refuses_and_recovers(self):
        proxy = self.start()
        tunnel = self.open_tunnel()
        proxy.wait_records("the decision", lambda rs: len(rs) >= 2)
        self.limit_file_size(proxy, proxy.audit_path.stat().st_size)
        self.assertIn("audit_unavailable", wait_until("a refusal", self.refused))
        self.assert_echo(tunnel)
        reached = len(self.origin.payload)
        self.limit_file_size(proxy, resource.RLIM_INFINITY)
        wait_until("tunnels again", self.tunnel_works)
        self.assertGreater(len(self.origin.payload), reached)
        self.assert_echo(tunnel)
        tunnel.close()
        self.assertEqual(0, proxy.stop())
        records = audit_check.check_file(proxy.audit_path)
        self.assertTrue(any(record["event"] == "gap" for record in records))
        self.assertEqual(1, proxy.log_text().count("writes again"), proxy.log_text())

    def test_on_failure_continue_lets_out_and_counts(self):
        audit = f"[audit]\nfile = {self.directory}/audit.jsonl\non_failure = continue\n"
        proxy = self.start(extra=audit)
        proxy.wait_records("the start", lambda rs: len(rs) >= 1)
        self.limit_file_size(proxy, proxy.audit_path.stat().st_size)
        self.tunnel_works()  # finds the disk full; may itself be the one that is cut
        wait_until("a tunnel without a record", self.tunnel_works)
        self.limit_file_size(proxy, resource.RLIM_INFINITY)
        gap = proxy.wait_records("a gap", lambda rs: next((r for r in rs if r["event"] == "gap"), None))
        self.assertIn("rule_allow", gap["detail"])
        self.assertEqual(0, proxy.stop())

    def test_standard_output_as_journal(self):
        reader, writer = os.pipe()
        proxy = self.start(extra="[audit]\nfile = -\n", stdout=writer)
        os.close(writer)
        self.assertTrue(self.tunnel_works())
        self.assertEqual(0, proxy.stop())
        lines = b""
        while part := os.read(reader, 65536):
            lines += part
        os.close(reader)
        copy = self.directory / "copy.jsonl"
        copy.write_bytes(lines)
        self.assertEqual(["start", "decision", "close", "stop"], [record["event"] for record in audit_check.check_file(copy)])

    # -- a reader that does not read --

    def signal_for(self, number, event, count):
        """Until there are so many records of what it asks for."""
        self.proxy.process.send_signal(number)
        self.proxy.wait_records(f"{event} {count}", lambda records: [record["event"] for record in records].count(event) == count)

    def test_a_stuck_standard_error_stalls_nobody(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        proxy = self.start("[limits]\ntunnels = 10000000\n", stderr=writer)  # each reload warns of so many
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x")
        os.set_blocking(writer, True)
        tunnel = self.open_tunnel()
        for _ in range(3):  # each death is a line that nobody reads
            self.kill("journal")
            wait_until("a tunnel", self.tunnel_works)
            self.assert_echo(tunnel)
        self.signal_for(signal.SIGHUP, "reload", 1)
        self.signal_for(signal.SIGUSR2, "start", 2)
        self.signal_for(signal.SIGHUP, "reload", 2)  # it waits until the upgrade is over
        self.assert_echo(tunnel)
        self.assertTrue(self.tunnel_works())
        self.assertEqual(0, proxy.stop())


if __name__ == "__main__":
    unittest.main()
