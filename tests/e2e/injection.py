"""System calls made in the name of a process that runs, by whoever may trace it: what its sandbox answers to them."""

import contextlib
import ctypes
import ctypes.util
import os
import platform
import signal
import struct
import time

PTRACE_CONT, PTRACE_ATTACH, PTRACE_DETACH, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_SINGLESTEP = 7, 16, 17, 12, 13, 9

# Of x86-64, whose registers this knows.
CALLS = {"getpid": 39, "listen": 50, "execve": 59, "kill": 62, "rename": 82, "unlink": 87, "setuid": 105, "mount": 165, "openat": 257}
AT_FDCWD = (1 << 64) - 100
SYSCALL = b"\x0f\x05"
REGISTERS = struct.Struct("27Q")  # struct user_regs_struct
RAX, RDX, RSI, RDI, ORIG_RAX, RIP, RSP = 10, 12, 13, 14, 15, 16, 19
NO_CALL = (1 << 64) - 1
BELOW_STACK = 4096
PATIENCE_S = 20

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def why_not():
    """Why it cannot be done here; None: it can."""
    if os.geteuid() != 0:
        return "SKIPPED: only root traces a process that hides its memory"
    if platform.machine() != "x86_64":
        return "SKIPPED: it knows the registers of x86-64 only"
    return None


class Died(Exception):
    """Of the call: the signal is its argument."""


def ptrace(what, pid, data=None):
    if libc.ptrace(what, pid, None, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {what}")


def wait_stop(pid):
    status = os.waitpid(pid, 0x40000000)[1]  # __WALL
    if os.WIFSIGNALED(status):
        raise Died(signal.Signals(os.WTERMSIG(status)))
    return os.WSTOPSIG(status)


def registers(pid):
    buffer = ctypes.create_string_buffer(REGISTERS.size)
    ptrace(PTRACE_GETREGS, pid, ctypes.addressof(buffer))
    return list(REGISTERS.unpack(buffer.raw))


def set_registers(pid, values):
    buffer = ctypes.create_string_buffer(REGISTERS.pack(*values), REGISTERS.size)
    ptrace(PTRACE_SETREGS, pid, ctypes.addressof(buffer))


def memory(pid, at, data=None, count=0):
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as file:
        file.seek(at)
        return file.read(count) if data is None else file.write(data)


@contextlib.contextmanager
def stopped(pid):
    """The process's first thread."""
    ptrace(PTRACE_ATTACH, pid)
    try:
        wait_stop(pid)
        yield registers(pid)
    except Died:
        raise
    except BaseException:
        ptrace(PTRACE_DETACH, pid)
        raise
    ptrace(PTRACE_DETACH, pid)


def inject(pid, name, *arguments):
    """The result of the call, or minus its errno; Died when it was the last. Texts among the arguments are put below the stack."""
    end = time.monotonic() + PATIENCE_S
    while (result := try_inject(pid, name, *arguments)) is None:
        assert time.monotonic() < end, f"{pid} never waits in a system call"
    return result


def try_inject(pid, name, *arguments):
    """None: it was doing something just then."""
    with stopped(pid) as before:
        values = list(before)
        values[RIP] = before[RIP] - len(SYSCALL)  # it waits behind that instruction
        if memory(pid, values[RIP], count=len(SYSCALL)) != SYSCALL:
            return None
        values[RAX], values[ORIG_RAX] = CALLS[name], NO_CALL
        at = before[RSP] - BELOW_STACK
        for register, argument in zip((RDI, RSI, RDX), arguments, strict=False):
            if isinstance(argument, (str, os.PathLike)):
                text = os.fsencode(argument) + b"\0"
                at -= len(text)
                memory(pid, at, text)
                values[register] = at
            else:
                values[register] = argument
        set_registers(pid, values)
        ptrace(PTRACE_SINGLESTEP, pid)
        wait_stop(pid)
        result = registers(pid)[RAX]
        set_registers(pid, before)
    return result - (1 << 64) if result >> 63 else result
