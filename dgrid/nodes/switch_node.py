"""The node's end of a carrier: what is opened there, and what outlives it. Sent to the node, after ``switch``."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

from dgrid.nodes.switch import Channel, Switch

_CONNECT_S = 5.0


def answer(what: bytes, lifeline: int) -> Channel:
    """A unix socket (``s/run/docker.sock``), or a shell's command (``r`` and ``l``, the latter without its stderr).

    An ``l`` may outlive the carrier: it holds the lifeline. Raises OSError.
    """
    kind, text = what[:1], what[1:].decode()
    if kind == b"s":
        end = socket.socket(socket.AF_UNIX)
        end.settimeout(_CONNECT_S)
        end.connect(text)
        end.setblocking(False)
        descriptor = end.detach()
        return Channel(descriptor, descriptor)
    process = subprocess.Popen(
        ["/bin/sh", "-c", text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if kind == b"r" else subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=(lifeline,) if kind == b"l" else (),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    source, sink = os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno())
    process.stdout.close()
    process.stdin.close()
    os.set_blocking(source, False)
    os.set_blocking(sink, False)
    return Channel(source, sink, process)


def serve() -> None:
    """On stdin and stdout, by two processes. One carries, and ends with its input, or when it is told to.

    The other waits until nobody holds the lifeline: batch systems end all of a step when its first process has ended.
    """
    lifeline_end, lifeline = os.pipe()
    if os.fork():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.close(lifeline)
        os.read(lifeline_end, 1)
        os._exit(0)
    os.close(lifeline_end)
    switch = Switch(0, 1, lambda what: answer(what, lifeline))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: setattr(switch, "is_over", True))
    signal.set_wakeup_fd(switch.wake_descriptor, warn_on_full_buffer=False)
    switch.run()
    os._exit(0)
