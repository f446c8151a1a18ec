"""What a machine is made from before it is booted: its files, and a control group to live in."""

import contextlib
import os
import pathlib
import subprocess

PACKAGES = "systemd,logrotate"
SOURCES = pathlib.Path("/etc/apt")

# In the new root, $1: the package as /exeat.deb, whose name comes over standard input, and what it depends on in apt's cache, not installed.
ADD_PACKAGE = 'read -r package && cp "$package" "$1/exeat.deb" && chroot "$1" apt-get install --quiet=2 --yes --download-only /exeat.deb'


@contextlib.contextmanager
def made(tar):
    """Makes the files while the body does something else, which at last gives `add_package` the name of one."""
    sources = [path for path in (SOURCES / "sources.list", *sorted((SOURCES / "sources.list.d").iterdir()))
               if path.suffix in (".list", ".sources") and path.is_file()]
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=apt", f"--include={PACKAGES}", "--skip=cleanup/apt",
               "--aptopt=APT::Install-Recommends no", f"--customize-hook={ADD_PACKAGE}", "", str(tar), *map(str, sources)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as making:
        yield lambda package: making.communicate(f"{package}\n")
    if making.returncode != 0:
        raise subprocess.CalledProcessError(making.returncode, command)


def group_parent():
    """Where control groups of the second version are made; None: nowhere."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, path, kind, options = line.split()[:4]
        if kind == "cgroup2" and "rw" in options.split(","):
            return pathlib.Path(path)
    return None


@contextlib.contextmanager
def control_group():
    """One for a machine to live in. It must be gone at the end of this, and with it all that it has made there."""
    group = group_parent() / f"exeat-package-{os.getpid()}"
    group.mkdir()
    try:
        yield group
    finally:
        for path, _, _ in os.walk(group, topdown=False):
            os.rmdir(path)
