"""What the stories learn of processes is right while these end."""

import os
import threading
import unittest

from proc import is_gone

CHILDREN = 500  # one in ten ends between the open and the read of its file


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


if __name__ == "__main__":
    unittest.main()
