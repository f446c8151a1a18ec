"""The tests themselves: no name stands twice in one place, where the later one would hide the earlier without a word."""

import ast
import collections
import unittest

from harness import DATA

BINDS = (ast.FunctionDef, ast.ClassDef)


def names_twice(tree):
    """What is defined again in the same module or class."""
    for place in [tree] + [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
        counts = collections.Counter(node.name for node in place.body if isinstance(node, BINDS) and not is_setter(node))
        yield from (name for name, count in counts.items() if count > 1)


def is_setter(node):
    """It has the name of its property."""
    return any(isinstance(decorator, ast.Attribute) for decorator in node.decorator_list)


class Suite(unittest.TestCase):
    def test_no_name_hides_another(self):
        paths = sorted(DATA.glob("*/*.py"))
        self.assertIn("test_suite.py", [path.name for path in paths])
        for path in paths:
            self.assertEqual([], list(names_twice(ast.parse(path.read_text()))), path)

    def test_one_that_does_is_found(self):
        self.assertEqual(["A", "test_b"], list(names_twice(ast.parse("class A:\n def test_b(self): 1\n def test_b(self): 2\nclass A: pass\n"))))


if __name__ == "__main__":
    unittest.main()
