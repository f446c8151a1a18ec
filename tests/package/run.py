"""Builds the Debian package and a clean root, and tells the stories of both. Arguments are passed to unittest.

EXEAT_PACKAGE names a package that is there already."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "lab"))

import e2e  # noqa: E402, F401
import enclosure  # noqa: E402
import root  # noqa: E402

TOOLS = {"dpkg-buildpackage": "dpkg-dev", "dh": "debhelper", "lintian": "lintian", "mmdebstrap": "mmdebstrap", "unshare": "util-linux"}


def lack():
    """What this machine lacks; None: nothing."""
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            return f"`{tool}` is not installed (package {package})"
    if os.geteuid() != 0:
        return "a clean root is made by root"
    if root.group_parent() is None:
        return "no control group of version 2 can be made, which systemd lives in"
    return None


def build(directory):
    if "EXEAT_PACKAGE" in os.environ:
        return os.environ["EXEAT_PACKAGE"]
    subprocess.run([TOP / "contrib" / "package-deb", directory], check=True)
    return str(next(pathlib.Path(directory).glob("exeat_*.deb")))


def tests():
    told = unittest.main(module=None, argv=["run-package", "discover", "-v", "-s", str(HERE), *sys.argv[1:]], exit=False).result
    return int(not told.wasSuccessful() or told.testsRun == 0)


def main():
    lacking = lack()
    if lacking:
        print(f"SKIPPED: the package cannot be tested here: {lacking}", flush=True)
        return enclosure.SKIPPED
    with tempfile.TemporaryDirectory(prefix="exeat-package-") as directory:
        with root.made(f"{directory}/root.tar") as add_package:
            package = build(directory)
            add_package(package)
        subprocess.run(["dpkg-deb", "-x", package, f"{directory}/unpacked"], check=True)
        with root.control_group() as group:
            # the harness looks at the program: that of the package
            os.environ.update(EXEAT=f"{directory}/unpacked/usr/bin/exeat", EXEAT_PACKAGE=package, EXEAT_ROOT=f"{directory}/root.tar",
                              EXEAT_GROUP=str(group))
            return enclosure.run(tests)


if __name__ == "__main__":
    sys.exit(main())
