"""What the stories of the journal and the processes are made of: tunnels, one by one, the end of processes, and files that are rotated."""

import contextlib
import os
import signal

from harness import EndToEndTest, Origin, client_hello, echoes, policy, wait_until
from proc import is_gone

NAME = "allowed.example.test"


class ProxyStory(EndToEndTest):
    """What befalls `self.proxy`: its processes are killed, its audit file is rotated."""

    def await_log(self, words, count=1):
        """Until it says that, so many times: what has happened may not be written yet, since the log is written aside."""
        wait_until(f"the log to say {words!r}", lambda: self.proxy.log_text().count(words) >= count)

    def strike(self, role):
        """Kills one of its children; gives the pid it had."""
        pid = self.proxy.children()[role]
        os.kill(pid, signal.SIGKILL)
        return pid

    def await_another(self, role, pid):
        wait_until(f"another {role}", lambda: self.proxy.children().get(role) not in (None, pid))

    def kill(self, role):
        self.await_another(role, self.strike(role))

    def kill_all(self):
        """All three at once, as a power cut would."""
        pids = [self.proxy.process.pid, *self.proxy.children().values()]
        os.kill(pids[0], signal.SIGSTOP)  # so that it starts nobody again
        for pid in pids[1:] + pids[:1]:
            os.kill(pid, signal.SIGKILL)
        self.proxy.kill()
        for pid in pids:
            wait_until("its end", lambda pid=pid: is_gone(pid))

    def rename(self, suffix):
        """Renames the file under exeat's hands; gives the new name."""
        path = self.proxy.audit_path
        return path.rename(f"{path}{suffix}")

    def reopen(self):
        self.proxy.process.send_signal(signal.SIGUSR1)

    def await_new_file(self):
        path = self.proxy.audit_path
        wait_until("the new file", lambda: path.exists() and path.stat().st_size > 0)

    def rotate(self, suffix):
        """Gives the old file; what is on its way goes on into the new one."""
        other = self.rename(suffix)
        self.reopen()
        self.await_new_file()
        return other


class TunnelStory(ProxyStory):
    """One proxy, one echoing origin, tunnels between them."""

    def setUp(self):
        super().setUp()
        self.origin = self.use(Origin())
        self.hosts = self.directory / "hosts"
        self.hosts.write_text(f"127.0.0.1 {NAME}\n")

    def start(self, extra="", **how):
        self.proxy = self.exeat(policy(NAME, port=self.origin.port, hosts=self.hosts, extra=extra), **how)
        return self.proxy

    def connect(self):
        """A CONNECT that must work; nothing is said behind it."""
        sock, status, head = self.proxy.connect(NAME, self.origin.port)
        self.addCleanup(sock.close)
        self.assertEqual(200, status, head)
        return sock

    def open_tunnel(self):
        sock = self.connect()
        self.assert_echo(sock, client_hello(NAME))
        return sock

    def tunnel_works(self):
        with contextlib.suppress(AssertionError, OSError):
            sock, status, _ = self.proxy.connect(NAME, self.origin.port, timeout=5)
            with sock:
                return status == 200 and echoes(sock, client_hello(NAME))
        return False
