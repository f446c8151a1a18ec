"""Generations of the server side by side: who connects, who is in a tunnel, and what they count and say together."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time

from generations import House, memo
from harness import EXEAT, PATIENCE, EndToEndTest, Exeat, Origin, client_hello, echoes, long_story, policy, receive_all, receive_exactly, wait_until
from tunnels import NAME
from watching import difference, sample

OTHER = "other.example.test"


class GenerationStory(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.origin = self.use(Origin())
        hosts = self.directory / "hosts"
        hosts.write_text(f"127.0.0.1 {NAME} {OTHER}\n")
        self.hosts = hosts
        self.house = self.use(House(self.directory, self.policy(), hosts))
        self.first = self.house.serve()

    def policy(self, names=(NAME, OTHER), timeout="1h"):
        exeat = f"[exeat]\nname = test\nworkers = 2\ndrain_timeout = {timeout}\n"
        doors = f"[listen explicit]\naddress = 127.0.0.1:0\n[admin]\nlisten = unix:{self.directory}/admin.sock\n"
        return exeat + doors + policy(*names, port=self.origin.port, hosts=self.hosts)

    def dial(self):
        return socket.create_connection((self.house.host, self.house.port), PATIENCE)

    def connect(self, name=NAME):
        sock = self.dial()
        self.addCleanup(sock.close)
        sock.sendall(f"CONNECT {name}:{self.origin.port} HTTP/1.1\r\nHost: {name}:{self.origin.port}\r\n\r\n".encode())
        status, head = Exeat.read_head(sock)
        self.assertEqual(200, status, head)
        return sock

    def open_tunnel(self, name=NAME):
        sock = self.connect(name)
        self.assert_echo(sock, client_hello(name))
        return sock

    def tunnels(self):
        return [row["generation"] for row in self.house.door.tunnels()]

    def hits(self):
        return self.house.door.rules()["test"]["hits"]

    def carried(self):
        """What the rule let through, and what the records say of it when nothing is open."""
        rule = self.house.door.rules()["test"]
        return rule["hits"], rule["bytes_up"], rule["bytes_down"]

    def recorded(self):
        records = self.house.records()
        closes = [record for record in records if record["event"] == "close"]
        hits = sum(record["event"] == "decision" and record["rule"] == "test" for record in records)
        return hits, sum(record["bytes_up"] for record in closes), sum(record["bytes_down"] for record in closes)

    def assert_agreement(self):
        """All counters of all generations are what all records say."""
        wait_until("metrics and records to agree", lambda: not difference(self.house.door.metrics(), self.house.records()))


class Handover(GenerationStory):
    def load(self, done, faults, counts):
        """A client that opens one tunnel after the other, and may not fail once."""
        while not done.is_set():
            try:
                with self.dial() as sock:
                    sock.sendall(f"CONNECT {NAME}:{self.origin.port} HTTP/1.1\r\nHost: {NAME}:{self.origin.port}\r\n\r\n".encode())
                    status, head = Exeat.read_head(sock)
                    if status != 200 or not echoes(sock, client_hello(NAME)):
                        faults.append(head or "no answer")
                    counts.append(status)
            except OSError as error:
                faults.append(repr(error))

    @contextlib.contextmanager
    def clients(self, count=4):
        done, faults, counts = threading.Event(), [], []
        threads = [threading.Thread(target=self.load, args=(done, faults, counts), daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield counts
        finally:
            done.set()
            for thread in threads:
                thread.join(PATIENCE)
        self.assertEqual([], faults)

    @staticmethod
    def progress(counts):
        reached = len(counts)
        wait_until("some more", lambda: len(counts) > reached + 10)

    def test_nobody_is_refused_and_every_tunnel_lives_on(self):
        held = {1: self.open_tunnel()}
        with self.clients() as counts:
            self.progress(counts)
            for number in (2, 3):
                one = self.house.serve()
                held[number] = self.open_tunnel()
                self.progress(counts)
                self.assertEqual(number, one.number)
        wait_until("nobody's tunnel but those that are held", lambda: self.tunnels() == [1, 2, 3])
        for sock in held.values():
            self.assert_echo(sock)
        self.assertEqual(3, self.house.door.metrics()[sample("exeat_generations")])
        self.assertEqual(3, self.house.door.metrics()[sample("exeat_tunnels_open", route="nat")])
        for number, sock in held.items():
            sock.close()
            if number < 3:
                self.house.end(self.house.all[number - 1])
        self.assert_agreement()
        wait_until("the rule's counts and the records to agree", lambda: self.carried() == self.recorded())
        stops = [record["detail"] for record in self.house.records() if record["event"] == "stop"]
        self.assertEqual(["retired: 0 tunnels were cut"] * 2, stops)
        self.assertEqual({"allow"}, {record["verdict"] for record in self.house.records() if record["event"] == "decision"})
        self.house.stop()

    def test_who_was_on_the_way_is_let_through(self):
        silent, asked = self.dial(), self.connect()  # accepted, or in the queue; and with its 200
        wait_until("both in it", lambda: self.house.door.metrics()[sample("exeat_egress_ports", route="nat", source="127.0.0.1")] == 1)
        self.house.serve()
        with silent:
            self.assert_echo(asked, client_hello(NAME))
            silent.sendall(f"CONNECT {NAME}:{self.origin.port} HTTP/1.1\r\n\r\n".encode())
            self.assertEqual(200, Exeat.read_head(silent)[0])
            self.assert_echo(silent, client_hello(NAME))
        asked.close()
        self.house.end(self.first)
        self.assertEqual(0, self.first.last("OPEN").b)

    def test_the_one_before_answers_until_it_is_retired(self):
        self.open_tunnel()
        self.house.start()
        answers = [(self.tunnels(), self.house.door.ask("/readyz")[0]) for _ in range(30)]
        self.assertEqual([([1], 200)] * 30, answers)

    def test_one_without_tunnels_is_over_at_once(self):
        self.house.serve()
        self.house.end(self.first)
        self.assertEqual(1, self.house.door.metrics()[sample("exeat_generations")])
        self.assert_agreement()


class Retired(GenerationStory):
    """What a generation still does that others have taken the place of."""

    def offer(self, one, text):
        """A reload as one that is retired hears of it: without a word of sockets."""
        self.house.edition += 1
        self.house.configure(one, text)
        self.assertEqual((self.house.edition, 1), (lambda said: (said.a, said.b))(one.await_word("LOADED")))
        one.channel.say("GIVEN", self.house.edition)
        self.assertEqual((self.house.edition, 1), (lambda said: (said.a, said.b))(one.await_word("WHOLE")))
        one.channel.say("GO", self.house.edition)
        self.assertEqual(self.house.edition, one.await_word("TAKEN").a)

    def test_it_judges_again_at_a_reload_and_listens_nowhere(self):
        cut, kept = self.open_tunnel(), self.open_tunnel(OTHER)
        self.house.serve()
        self.offer(self.first, self.policy(names=[OTHER]))
        self.assertEqual(b"", receive_all(cut))
        self.assert_echo(kept)
        self.assertTrue(all(echoes(self.connect(), client_hello(NAME)) for _ in range(20)))  # the one that serves has not heard of it
        wait_until("its close", lambda: ["policy_revoked"] == [r["end"] for r in self.house.records_of(self.first) if r["event"] == "close"])
        kept.close()
        self.house.end(self.first)

    def test_a_drain_has_its_time_there_too(self):
        tunnel = self.open_tunnel()
        self.house.serve()
        self.offer(self.first, self.policy(timeout="300ms"))
        self.first.channel.say("LEAVE")
        self.first.channel.say("DRAIN")
        self.assertEqual(b"", tunnel.recv(1))
        self.house.end(self.first)
        self.assertEqual("drained: 1 tunnel was cut", self.house.records_of(self.first)[-1]["detail"])

    def test_a_stop_ends_it(self):
        tunnel = self.open_tunnel()
        self.house.serve()
        self.first.channel.say("STOP")
        self.assertEqual(b"", receive_all(tunnel))
        self.assertEqual(0, self.first.wait())
        self.house.living.remove(self.first)
        self.house.count()
        self.assert_agreement()


    def test_what_is_not_the_last_to_end_says_so(self):
        """Told to stop, or without a supervisor, who might know better."""
        second, others = self.house.serve(), "generation %d ended, others go on"
        self.house.serve()
        for one, last_words in ((self.first, lambda: self.first.channel.say("STOP", 2)), (second, lambda: second.channel.end.shutdown(socket.SHUT_WR))):
            last_words()
            self.assertEqual(0, one.wait())
            self.house.living.remove(one)
            self.assertEqual("retired: 0 tunnels were cut; " + others % one.number, self.house.records_of(one)[-1]["detail"])
        self.house.count()


class OtherJournal(GenerationStory):
    """One journal process goes on where another ends."""

    def test_nobody_is_refused_meanwhile(self):
        tunnel = self.open_tunnel()
        for _ in range(5):
            self.assertEqual(0, self.first.replace_journal(10000))
            self.assert_echo(tunnel)
            waiting, hello = self.connect(), client_hello(NAME)
            waiting.sendall(hello)
            waiting.settimeout(0.1)
            self.assertRaises(TimeoutError, waiting.recv, 1)  # its decision is not on file
            waiting.settimeout(PATIENCE)
            self.first.continue_journal()
            self.assertEqual(hello, receive_exactly(waiting, len(hello)))
            waiting.close()
        tunnel.close()
        self.house.stop()
        events = [record["event"] for record in self.house.records_of(self.first)]
        self.assertEqual({"start": 1, "decision": 6, "close": 6, "stop": 1}, {event: events.count(event) for event in events})

    def test_one_that_does_not_come_is_down(self):
        waiting = self.connect()
        self.assertEqual(0, self.first.replace_journal(200))
        waiting.sendall(client_hello(NAME))
        self.assertEqual(b"", receive_all(waiting))
        sock = self.dial()
        self.addCleanup(sock.close)
        sock.sendall(f"CONNECT {NAME}:{self.origin.port} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        self.assertEqual(503, Exeat.read_head(sock)[0])
        self.first.continue_journal()
        wait_until("tunnels again", self.is_open)

    def is_open(self):
        with self.dial() as sock:
            sock.sendall(f"CONNECT {NAME}:{self.origin.port} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
            return Exeat.read_head(sock)[0] == 200


@long_story
class Together(GenerationStory):
    """What is said of all by the one that serves."""

    def count_more(self, tunnel):
        """The metrics, with something in them that the one of the tunnel has counted since it handed over."""
        self.first.await_word("COLLECTED")
        before = self.house.door.metrics()
        self.assert_echo(tunnel, b"x" * 1000)
        key = sample("exeat_bytes_total", route="nat", way="up")
        return wait_until("more bytes", lambda: (samples := self.house.door.metrics())[key] == before[key] + 1000 and samples)

    def test_one_that_hangs_is_said_and_no_counter_falls(self):
        tunnel = self.open_tunnel()
        self.house.serve()
        self.open_tunnel()
        before = self.count_more(tunnel)
        self.assertEqual(0, before[sample("exeat_generations_silent")])
        self.first.process.send_signal(signal.SIGSTOP)
        during = self.house.door.metrics()
        self.assertEqual((2, 1), (during[sample("exeat_generations")], during[sample("exeat_generations_silent")]))
        self.assertEqual((2, 1), tuple(samples[sample("exeat_tunnels_open", route="nat")] for samples in (before, during)))
        self.assertEqual([], [key for key, value in before.items() if key[0].endswith("_total") and during[key] < value])
        answer = json.loads(self.house.door.good("/tunnels"))
        self.assertEqual((1, [2]), (answer["silent"], [row["generation"] for row in answer["tunnels"]]))
        status = subprocess.run([EXEAT, "status", "-c", self.house.config], capture_output=True, text=True, timeout=PATIENCE)
        self.assertIn("# generations that do not answer, and whose tunnels are not here: 1\n", status.stdout, status)
        self.assertEqual(200, self.house.door.ask("/healthz")[0])
        self.first.process.send_signal(signal.SIGCONT)
        wait_until("it to be heard again", lambda: self.tunnels() == [1, 2])
        self.assertNotIn("silent", json.loads(self.house.door.good("/tunnels")))
        self.assert_echo(tunnel)

    def test_one_that_is_killed_takes_no_count_along(self):
        tunnel = self.open_tunnel()
        self.house.serve()
        before = self.count_more(tunnel)
        self.first.kill()
        self.house.living.remove(self.first)
        self.house.count()
        after = self.house.door.metrics()
        self.assertEqual(0, after[sample("exeat_tunnels_open", route="nat")])
        self.assertEqual([], [key for key, value in before.items() if key[0].endswith("_total") and after[key] < value])

    def test_what_is_no_answer_is_not_believed(self):
        self.open_tunnel()
        self.house.serve()
        self.house.deaf = True
        for data in (b"", b"exeat survey 1\n", b"exeat survey 1\nlistener\texplicit\tallow\trule_allow\t-1\nend\n", b"\0" * 100):
            fd = memo(data)
            self.house.serving.channel.say("COLLECTED", 0, 1, fd=fd)
            os.close(fd)
        wait_until("it to be said", lambda: self.house.log_path.read_text().count("says of itself cannot be read") == 4)
        self.assertEqual(1, self.house.door.metrics()[sample("exeat_generations_silent")])

    def test_what_became_of_a_rule_goes_from_one_to_the_next_and_over_a_start(self):
        tunnels = [self.open_tunnel()]
        for _ in range(2):
            self.house.serve()
            tunnels.append(self.open_tunnel())
        self.assertEqual(3, self.hits())
        for sock in tunnels:
            self.assert_echo(sock)
            sock.close()
        self.house.end(self.house.all[1])  # in another order than they came
        self.house.end(self.house.all[0])
        wait_until("the last tunnel's end", lambda: self.carried() == self.recorded())
        self.house.stop()
        self.house.living.clear()
        self.house.serve()  # with what the last one left
        self.assertEqual(self.recorded(), self.carried())

    def test_one_that_dies_while_it_serves_leaves_nothing_twice(self):
        self.open_tunnel()
        second = self.house.serve()
        wait_until("what was handed over to be kept", lambda: second.last("STATE"))
        second.kill()
        self.house.living.clear()
        self.house.living.append(self.first)
        third = self.house.start()
        self.house.living.append(third)
        self.house.count()
        self.assertEqual(1, self.hits())


class Upgrade(GenerationStory):
    """Who asks for an upgrade hears of it from the server that was asked."""

    def ask(self):
        return subprocess.Popen([EXEAT, "upgrade", "-c", self.house.config], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def answer(self, asked, done, words):
        fd = memo(words.encode())
        self.first.channel.say("UPGRADED", asked.a, done, fd=fd)
        os.close(fd)

    def test_the_answer_comes_through_one_that_is_retired_and_idle(self):
        command = self.ask()
        asked = self.first.await_word("UPGRADE")
        self.house.serve()
        begun = time.monotonic()
        while time.monotonic() - begun < 0.5:  # many times what it takes else
            self.assertIsNone(self.first.last("DRAINED"), "somebody waits for an answer")
            self.assertTrue(self.tunnel_works())
        self.answer(asked, 1, "exeat.conf:1: odd (warning)\nexeat 2 in place of 1\n")
        out, error = command.communicate(timeout=PATIENCE)
        self.assertEqual((0, "exeat.conf:1: odd (warning)\nupgraded: exeat 2 in place of 1\n", ""), (command.returncode, out, error))
        self.house.end(self.first)

    def tunnel_works(self):
        with self.connect() as sock:
            return echoes(sock, client_hello(NAME))

    def test_one_that_is_refused(self):
        command = self.ask()
        self.answer(self.first.await_word("UPGRADE"), 0, "the new program does not start\n")
        _, error = command.communicate(timeout=PATIENCE)
        self.assertEqual(1, command.returncode)
        self.assertIn("exeat: the new program does not start\nexeat: error: the upgrade is refused; what was before goes on\n", error)

    def test_when_nobody_can_be_asked(self):
        command = subprocess.run([EXEAT, "upgrade", "-c", "/dev/null"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(2, command.returncode)
        self.assertIn("SIGUSR2 to a running exeat does the same", command.stderr)
