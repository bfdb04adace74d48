"""Runs a command and kills it at the entry of its Nth system call: ``kill_at.py N effects -- dgrid ...``.

All threads count together, which strace's injection cannot do (it counts each thread for itself); processes that the
command starts are left alone. ``effects`` counts only calls that can be noticed outside, ``all`` every one. At the end
it says on stderr how many there were.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_TRACEME, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
_OPTIONS = 0x1 | 0x8  # TRACESYSGOOD, TRACECLONE: threads, and not what is forked
_ALL_KINDS = 0x40000000  # __WALL in waitpid(2): threads, too
_ENTRY = 1
_STOP = signal.SIGTRAP | 0x80

# x86-64 and aarch64 (asm/unistd.h): write, writev, sendto, sendmsg, sendmmsg, socket, connect, bind, listen, accept4,
# shutdown, clone, clone3, fork, vfork, execve, unlink, unlinkat, rename*, rmdir, kill, tgkill, exit, exit_group, wait4.
_EFFECTS = {
    "x86_64": frozenset((1, 20, 44, 46, 307, 41, 42, 49, 50, 288, 48, 56, 435, 57, 58, 59, 87, 263, 82, 264, 316, 84,
                         62, 234, 60, 231, 61)),
    "aarch64": frozenset((64, 66, 206, 211, 269, 198, 203, 200, 201, 242, 210, 220, 435, 221, 35, 38, 276, 129, 131,
                          93, 94, 260)),
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class _Call(ctypes.Structure):
    """The beginning of struct ptrace_syscall_info, ptrace(2)."""

    _fields_ = (
        ("op", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 3), ("arch", ctypes.c_uint32), ("ip", ctypes.c_uint64),
        ("sp", ctypes.c_uint64), ("nr", ctypes.c_uint64), ("rest", ctypes.c_uint64 * 8),
    )  # fmt: skip


def run_until(number: int, counted: frozenset[int] | None, argv: list[str]) -> tuple[int, int]:
    """The command's exit code (128+n for a signal), and how many calls were counted. ``counted`` None: all."""
    leader = os.fork()
    if leader == 0:
        _libc.ptrace(_TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        os.execvp(argv[0], argv)
    os.waitpid(leader, 0)
    _libc.ptrace(_SETOPTIONS, leader, None, _OPTIONS)
    _libc.ptrace(_SYSCALL, leader, None, None)
    calls, call = 0, _Call()
    while True:
        pid, status = os.waitpid(-1, _ALL_KINDS)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if pid == leader:
                return os.waitstatus_to_exitcode(status), calls
            continue
        stop = os.WSTOPSIG(status)
        if stop == _STOP:
            _libc.ptrace(_GET_SYSCALL_INFO, pid, ctypes.sizeof(call), ctypes.byref(call))
            if call.op == _ENTRY and (counted is None or call.nr in counted):
                calls += 1
                if calls == number:
                    os.kill(leader, signal.SIGKILL)
        passed_on = 0 if stop in (_STOP, signal.SIGTRAP, signal.SIGSTOP) else stop
        _libc.ptrace(_SYSCALL, pid, None, passed_on)


def main() -> int:
    number, which, _, *argv = sys.argv[1:]
    code, calls = run_until(int(number), _EFFECTS[os.uname().machine] if which == "effects" else None, argv)
    print(f"calls: {calls}", file=sys.stderr)
    return code if code >= 0 else 128 - code


sys.exit(main())
