"""Makes the parts of the end-to-end tests (harness, audit_check) importable from here."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
