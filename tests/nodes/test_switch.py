"""Many streams over one: what ends a switch, and what it leaves alone."""

import fcntl
import os
import socket
import struct
import sys
import termios
import threading

import pytest
from loopback import until

from dgrid.nodes.switch import BYE, DATA, OPEN, Channel, Switch


class Carrier:
    """A switch that runs on two pipes; the far ends are ``says`` and ``hears``."""

    def __init__(self):
        source, self.says = os.pipe()
        self.hears, sink = os.pipe()
        self._ends = [source, sink, self.says, self.hears]
        self.switch = Switch(source, sink)
        self.thread = threading.Thread(target=self.switch.run, daemon=True)
        self.thread.start()

    def open(self):
        """A channel that waits for the far end's answer, and the near end of its stream."""
        far, near = socket.socketpair()
        far.setblocking(False)
        descriptor = far.detach()
        channel = Channel(descriptor, descriptor)
        self.switch.open(channel, b"s/socket")
        return channel, near

    def close(self):
        self.switch.cut()
        self.thread.join(5)
        for descriptor in self._ends:
            os.close(descriptor)


@pytest.fixture
def carrier():
    made = Carrier()
    yield made
    made.close()


def header(kind, length):
    return struct.pack(">BII", kind, 1, length)


def waiting(descriptor):
    """How many bytes of a pipe nobody has read."""
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.parametrize(
    "stray",
    [
        header(OPEN, 3) + b"s/a",
        header(DATA, (1 << 16) + 1),
        b"slurmstepd: warning: low on memory\n",
        b"\n\n\nWelcome\n",
    ],
)
def test_what_is_no_frame_ends_the_carrier(carrier, stray):
    """Whoever waits for an answer learns of it, and what came is kept."""
    channel, near = carrier.open()
    os.write(carrier.says, stray)
    assert channel.answered.wait(5)
    carrier.thread.join(5)
    assert (carrier.switch.has_ended, channel.refusal) == (True, "the carrier has ended")
    assert carrier.switch.stray == stray
    assert near.recv(10) == b""
    near.close()


def test_the_largest_chunk_is_a_frame(carrier):
    """It comes whole."""
    _, near = carrier.open()
    near.settimeout(5)
    data = bytes(1 << 16)
    os.write(carrier.says, header(DATA, len(data))[:-1])
    os.write(carrier.says, header(DATA, len(data))[-1:])
    threading.Thread(target=os.write, args=(carrier.says, data), daemon=True).start()
    assert near.recv(len(data), socket.MSG_WAITALL) == data
    near.close()


def test_a_carrier_that_takes_nothing_can_be_cut(carrier):
    """Also when it is to end with all that is still to be written."""
    _, near = carrier.open()
    near.sendall(bytes(1 << 17))
    room = fcntl.fcntl(carrier.hears, fcntl.F_GETPIPE_SZ)
    assert until(lambda: waiting(carrier.hears) > room - 4096)
    carrier.switch.stop()
    carrier.thread.join(0.5)
    assert carrier.thread.is_alive()
    carrier.switch.cut()
    carrier.thread.join(5)
    assert not carrier.thread.is_alive()
    near.close()


@pytest.mark.parametrize("call", ["open", "stop"])
def test_a_switch_that_ends_meanwhile_wakes_nobody_else(carrier, monkeypatch, call):
    """Its descriptor may be another's by then: here the end comes just before the byte is written."""
    write, caller, foreign = os.write, threading.current_thread(), []

    def late_write(descriptor, data):
        if threading.current_thread() is caller and data == b"w":
            write(carrier.says, header(BYE, 0))
            carrier.thread.join(0.5)
            foreign.extend(os.pipe() for _ in range(8))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", late_write)
    if call == "open":
        carrier.open()[1].close()
    else:
        carrier.switch.stop()
    monkeypatch.undo()
    assert len(foreign) == 8
    for reader, writer in foreign:
        os.close(writer)
        assert os.read(reader, 1) == b""
        os.close(reader)
