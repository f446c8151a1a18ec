"""What /proc says of a process."""

import contextlib
import os
import pathlib

# How a file of a process's says that there is no process any more: the first when it is opened, the second when it is read.
GONE = (FileNotFoundError, ProcessLookupError)


def is_gone(pid):
    """Ended, also when nobody has collected it yet; but its first thread may end before the others, which keep everything open."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state == "Z" and len(os.listdir(f"/proc/{pid}/task")) <= 1
    except GONE:
        return True


def status(pid):
    """Text by key."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, value in (line.split(":", 1) for line in lines)}


def own_bytes(pid, *also):
    """Of memory that is no file's; `also`: other rows of smaps_rollup, as Swap."""
    rows = [line.split() for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    return sum(int(row[1]) * 1024 for row in rows if row[0].rstrip(":") in ("Anonymous", *also))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def processor_waits(pid):
    """For how many seconds each of its threads was ready to run and had no processor, by thread."""
    waits = {}
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(*GONE):
            waits[thread.name] = int((thread / "schedstat").read_text().split()[1]) / 1e9
    return waits


def links(pid):
    """What each of its descriptors is, by its path in /proc; one may go while it is looked at."""
    found = {}
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(*GONE):
            found[fd] = os.readlink(fd)
    return found


def pipe_ends(pid):
    """Its descriptors that are pipes."""
    return sum(link.startswith("pipe:") for link in links(pid).values())
