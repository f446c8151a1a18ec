"""What the stories learn of processes is right while these end."""

import os
import pathlib
import subprocess
import sys
import threading
import unittest

from harness import wait_until
from proc import is_gone

CHILDREN = 500  # one in ten ends between the open and the read of its file

# Its first thread ends; the other one does when there is nothing more to read.
HEADLESS = """
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).pthread_exit(None)
"""


class Proc(unittest.TestCase):
    def test_one_that_ends_while_it_is_looked_at_is_gone(self):
        for _ in range(CHILDREN):
            child = os.fork()
            if child == 0:
                os._exit(0)
            collector = threading.Thread(target=os.waitpid, args=(child, 0))
            collector.start()
            try:
                while not is_gone(child):
                    pass
                collector.join()
                self.assertTrue(is_gone(child))
            finally:
                collector.join()

    def test_one_whose_first_thread_has_ended_is_there_until_the_last_has(self):
        with subprocess.Popen([sys.executable, "-c", HEADLESS], stdin=subprocess.PIPE) as child:
            stat = pathlib.Path(f"/proc/{child.pid}/stat")
            wait_until("its first thread's end", lambda: " Z " in stat.read_text())
            self.assertFalse(is_gone(child.pid))
            child.stdin.close()
            wait_until("its end", lambda: is_gone(child.pid))


if __name__ == "__main__":
    unittest.main()
