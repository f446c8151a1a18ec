"""Socket activation: exeat serves on sockets that somebody else has bound, and leaves them as they were for who has them next."""

import os
import shutil
import signal
import socket
import sys
import unittest

from harness import LOW_PORTS, PATIENCE, HeldPort, client_hello, echoes, wait_until
from tunnels import NAME, TunnelStory
from watching import Door

# What a service manager does between fork and exec: the descriptors it is told stand from 3 on, and the variables are of this process.
PASS = """
import fcntl, os, sys
names, *fds = sys.argv[1].split(",")
copies = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in fds]
for i, copy in enumerate(copies):
    os.dup2(copy, 3 + i)
    os.close(copy)
os.environ.update(LISTEN_PID=str(os.getpid() + int(os.environ.pop("WRONG_BY", "0"))), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names)
os.execvp(sys.argv[2], sys.argv[2:])
"""

# systemd-socket-activate waits for a first connection before it executes anything.
WAKE = """
import os, socket, sys, time
host, port = sys.argv[1].rsplit(":", 1)
if os.fork() == 0:
    end = time.monotonic() + 20
    while time.monotonic() < end and socket.socket().connect_ex((host, int(port))) != 0:
        time.sleep(0.01)
    os._exit(0)
os.execvp(sys.argv[2], sys.argv[2:])
"""

NO_CAPABILITY = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]


def say(sock, text):
    sock.sendall(text.encode())
    return sock


class ActivationStory(TunnelStory):
    """`self.manager` are sockets that the test holds as systemd would."""

    def setUp(self):
        super().setUp()
        self.manager = []

    def bind(self, address=("127.0.0.1", 0), family=socket.AF_INET, shared=False, backlog=128):
        sock = self.use(socket.socket(family))
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(backlog)
        self.manager.append(sock)
        return sock

    def activate(self, through=(), names="", **how):
        fds = [sock.fileno() for sock in self.manager]
        where = "{}:{}".format(*self.manager[0].getsockname())
        for name in ("ports", "log"):
            (self.directory / name).unlink(missing_ok=True)
        return self.start(listen=how.pop("listen", where), pass_fds=fds,
                          through=[sys.executable, "-c", PASS, ",".join([names, *map(str, fds)]), *through], **how)

    def assert_refused(self, words, **how):
        """Such a start is an error, which says so."""
        with self.assertRaises(AssertionError) as caught:
            self.activate(**how)
        self.assertIn("exeat ended with 1", str(caught.exception))
        self.assertIn(words, str(caught.exception))

    def assert_all_served(self, count=24):
        """Every one of so many at once, whichever worker has accepted it."""
        tunnels = [self.connect() for _ in range(count)]
        for tunnel in tunnels:
            self.assert_echo(tunnel, client_hello(NAME))

    def ask(self):
        """A client that waits for its answer."""
        sock = socket.create_connection(self.manager[0].getsockname(), PATIENCE)
        self.addCleanup(sock.close)
        return say(sock, f"CONNECT {NAME}:{self.origin.port} HTTP/1.1\r\nHost: {NAME}:{self.origin.port}\r\n\r\n")

    def assert_tunnel(self, sock):
        status, head = self.proxy.read_head(sock)
        self.assertEqual(200, status, head)
        self.assert_echo(sock, client_hello(NAME))


class Served(ActivationStory):
    def test_one_socket_serves_all_workers_through_reloads_and_deaths(self):
        self.bind()
        self.activate(workers=3)
        self.await_log("(explicit), which the service manager passed")
        self.assertEqual(self.manager[0].getsockname()[1], self.proxy.port)
        self.assert_all_served()
        for times in (1, 2):
            self.proxy.process.send_signal(signal.SIGHUP)
            wait_until("a reload", lambda: self.proxy.log_text().count("reloaded: ") == times)
            self.assert_all_served()
        self.kill("server")
        wait_until("the next server", self.tunnel_works)

    def test_one_a_worker_where_it_is_shared(self):
        self.bind(shared=True)
        self.bind(self.manager[0].getsockname(), shared=True)
        self.activate(workers=2)
        self.assert_all_served()

    def test_other_listeners_are_bound_beside(self):
        self.bind()
        where = "{}:{}".format(*self.manager[0].getsockname())
        self.activate(listen=f"{where} 127.0.0.1:0 [::1]:0")
        self.await_log("ready, ")
        self.assertEqual(1, self.proxy.log_text().count("which the service manager passed"))
        self.assert_all_served()

    def test_what_was_passed_to_another_process_is_not_taken(self):
        self.bind()
        with self.assertRaises(AssertionError) as caught:
            self.activate(environment={"WRONG_BY": "1"})
        self.assertIn("Address already in use", str(caught.exception))

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root and setpriv")
    def test_a_low_port_without_the_capability(self):
        self.bind(("127.0.0.1", self.use(HeldPort("127.0.0.1", among=LOW_PORTS)).number))
        self.activate(through=NO_CAPABILITY)
        self.assertLess(self.proxy.port, 1024)
        self.assert_all_served(4)

    def test_the_doors(self):
        self.bind()
        metrics = self.bind().getsockname()
        path = str(self.directory / "admin.sock")
        self.bind(path, socket.AF_UNIX)
        admin = f"[admin]\nlisten = unix:{path}\nmetrics = 127.0.0.1:{metrics[1]}\n"
        os.chmod(path, 0o666)
        self.assert_refused("SocketMode=0660", extra=admin)
        os.chmod(path, 0o660)
        self.activate(extra=admin)
        for where in ("admin", "metrics"):
            self.assertEqual(200, Door(self.proxy.ports[where]).ask("/healthz")[0])
        self.assertEqual(0, self.proxy.stop())
        self.assertTrue(os.path.exists(path), "it is the manager's to remove")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)


class Left(ActivationStory):
    """What exeat leaves behind on a socket that others have."""

    def test_who_comes_during_a_drain_is_served_by_the_next(self):
        self.bind()
        self.activate()
        tunnel = self.open_tunnel()
        self.proxy.process.send_signal(signal.SIGTERM)
        self.await_log("draining: open connections: 1")
        early = self.ask()
        self.assertTrue(echoes(tunnel, b"an open tunnel goes on"))
        tunnel.close()
        self.assertEqual(0, self.proxy.process.wait(PATIENCE), self.proxy.log_text())
        late = self.ask()
        self.activate()
        self.assert_tunnel(early)
        self.assert_tunnel(late)

    def test_a_stop_resets_nobody_who_waits(self):
        self.bind()
        self.activate()
        self.assertEqual(0, self.proxy.stop(signal.SIGINT))
        waiting = self.ask()
        self.activate()
        self.assert_tunnel(waiting)

    def test_a_reload_cannot_drop_it(self):
        self.bind()
        where = "{}:{}".format(*self.manager[0].getsockname())
        self.activate()
        self.proxy.config.write_text(self.proxy.config.read_text().replace(where, "127.0.0.1:0"))
        self.proxy.process.send_signal(signal.SIGHUP)
        self.await_log(f"{where} was passed by the service manager")
        self.await_log("the reload is refused")
        self.assert_all_served(4)


    def test_an_upgrade_keeps_it_as_it_was_passed(self):
        self.bind()
        path = str(self.directory / "admin.sock")
        self.bind(path, socket.AF_UNIX)
        os.chmod(path, 0o660)
        where, admin = "{}:{}".format(*self.manager[0].getsockname()), f"[admin]\nlisten = unix:{path}\n"
        self.activate(extra=admin)
        tunnel = self.open_tunnel()
        self.proxy.process.send_signal(signal.SIGUSR2)
        self.await_log("upgraded: generation 2 serves")
        self.assert_echo(tunnel)
        self.assert_all_served(4)
        self.proxy.config.write_text(self.proxy.config.read_text().replace(where, "127.0.0.1:0"))
        self.proxy.process.send_signal(signal.SIGHUP)
        self.await_log(f"{where} was passed by the service manager")
        self.assertEqual(0, self.proxy.stop(signal.SIGINT))
        self.assertTrue(os.path.exists(path), "it is the manager's to remove")
        waiting = self.ask()
        self.activate(extra=admin)
        self.assert_tunnel(waiting)


class Refused(ActivationStory):
    def test_a_socket_that_nobody_asks_for(self):
        self.bind()
        self.bind()
        port = self.manager[1].getsockname()[1]
        self.assert_refused(f"descriptor 4, which the service manager passed (two, 127.0.0.1:{port}): nobody would serve it", names="one:two")

    def test_more_sockets_than_workers(self):
        for _ in range(3):
            self.bind(self.manager[0].getsockname() if self.manager else ("127.0.0.1", 0), shared=True)
        self.assert_refused("than there are workers", workers=2)

    def test_what_is_connected(self):
        self.bind()
        client = self.use(socket.create_connection(self.manager[0].getsockname()))
        self.manager.append(client)
        self.assert_refused("no socket that listens for connections")


@unittest.skipUnless(shutil.which("systemd-socket-activate"), "needs systemd-socket-activate")
class Systemd(ActivationStory):
    def test_its_own_tool_passes_what_is_served(self):
        listen = f"127.0.0.1:{self.use(HeldPort('127.0.0.1')).number}"
        self.start(listen=listen, through=[sys.executable, "-c", WAKE, listen, "systemd-socket-activate", f"--listen={listen}"])
        self.await_log("which the service manager passed")
        self.assert_all_served(4)


if __name__ == "__main__":
    unittest.main()
