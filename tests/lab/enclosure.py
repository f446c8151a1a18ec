"""Networks, mounts and processes of the lab's own: what is made in there is gone when its first process ends, however it ends.

The first process is the child that `run` forks: process 1 of a space of its own, and killed with its parent. So the kernel takes everything down,
also after a SIGKILL: programs, namespaces, cables and files. The machine's own network, /run and /tmp are never written to."""

import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import traceback

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
SKIPPED = 77  # as automake understands it
TOOLS = {"ip": "iproute2", "nft": "nftables", "openssl": "openssl", "curl": "curl", "mount": "mount"}
FILES = pathlib.Path("/run/lab")  # inside, /run is a file system of the lab's own


class Lacking(Exception):
    """What this machine lacks for a lab."""


def system(call, *arguments):
    if call(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def is_inside():
    """Whether this process lives in the enclosure."""
    return os.getpid() == 1 and FILES.is_dir()


def run(inner):
    """Runs `inner` in the enclosure and returns the exit code that it returned: 77, said loudly, when there can be none on this machine."""
    try:
        demand_tools()
        enter()
    except Lacking as lack:
        return skip(lack)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os._exit(live(inner))
    # The lab ends with its own reasons; a Ctrl-C reaches it as it reaches this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def skip(lack):
    print(f"SKIPPED: the lab cannot be built here: {lack}", flush=True)
    return SKIPPED


def demand_tools():
    if os.geteuid() != 0:
        raise Lacking("it needs root, for network namespaces")
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            raise Lacking(f"`{tool}` is not installed (package {package})")


def enter():
    try:
        system(LIBC.unshare, CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID)
    except OSError as error:
        raise Lacking(f"namespaces are not allowed ({error.strerror})") from error


def live(inner):
    """The whole life of the first process."""
    try:
        system(LIBC.prctl, PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        furnish()
        return inner()
    except Lacking as lack:
        return skip(lack)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    except BaseException:  # nothing may get past here: what called `run` would go on as a second process
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def furnish():
    """Files of its own, and a /proc that shows its own processes; then what the lab is made of is tried."""
    must("mount", "--make-rprivate", "/")
    must("mount", "-t", "proc", "proc", "/proc")
    must("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    FILES.mkdir()
    os.environ["TMPDIR"] = str(FILES)
    must("ip", "netns", "add", "trial")
    must("ip", "-n", "trial", "link", "add", "cable", "type", "veth", "peer", "name", "cable2")
    must("ip", "-n", "trial", "link", "add", "segment", "type", "bridge")
    must("ip", "netns", "exec", "trial", "nft", "add table inet trial")
    must("ip", "netns", "delete", "trial")


def must(*command):
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        raise Lacking(f"`{' '.join(command)}` says: {(ran.stderr or ran.stdout).strip()}")


def others():
    """The processes that live in the enclosure beside this one, as (pid, command line)."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if words:  # a zombie has none
                found.append((int(entry.name), words.replace(b"\0", b" ").decode(errors="replace").strip()))
    return found


def show(path, text):
    """Makes `path` show another text inside the enclosure, where the machine has such a file."""
    if not os.path.exists(path):
        return
    shown = FILES / pathlib.Path(path).name
    shown.write_text(text)
    if not os.path.samefile(shown, path):
        subprocess.run(["mount", "--bind", shown, path], check=True)
