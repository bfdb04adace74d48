"""Many streams over one: both ends of a carrier, dgrid's own and the node's, which runs this very file.

Only of Python's standard library, from 3.7 on. A frame is a header (kind, channel, length) and its bytes. Each channel
has a window, so that one whose reader is slow never keeps the others waiting.
"""

from __future__ import annotations

import collections
import contextlib
import os
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Callable

_HEADER = struct.Struct(">BII")
OPEN, OPENED, REFUSED, DATA, SEEN, END, EXIT, GONE, BYE = range(1, 10)
_WINDOW = 1 << 20
_CHUNK = 1 << 16
_OUT_MOST = 1 << 21
_CUT_MS = 100
_HUNG_UP = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Channel:
    """One stream: bytes read from ``source`` go over the carrier, those from there are written to ``sink``.

    Each is a file descriptor, -1 once it has ended; of a socket both are the same. ``process`` is the one behind them.
    """

    def __init__(self, source: int, sink: int, process: subprocess.Popen[bytes] | None = None) -> None:
        self.source, self.sink, self.process = source, sink, process
        self.is_socket = source == sink
        self.credit = _WINDOW
        self.waiting = bytearray()
        self.is_ended = False  # no more bytes will come from the carrier
        self.answered = threading.Event()
        self.refusal: str | None = None
        self.exit_code: int | None = None


class Switch:
    """The loop of one end. ``answer`` makes a Channel of what is to be opened, or raises OSError; None on dgrid's end.

    A byte written to ``wake_descriptor`` has it look whether processes have ended, and whether it is to end itself.
    """

    def __init__(self, source: int, sink: int, answer: Callable[[bytes], Channel] | None = None) -> None:
        self._source, self._sink, self._answer = source, sink, answer
        self._in, self._out = bytearray(), bytearray()
        self._channels: dict[int, Channel] = {}
        self._fresh: collections.deque[tuple[Channel | None, bytes]] = collections.deque()
        self._wake_read, self.wake_descriptor = os.pipe()
        self._changing = threading.Lock()
        self._number = 0
        self.has_ended = self.is_over = False
        self.stray = b""  # what came over the carrier and is no frame
        for descriptor in (source, sink, self._wake_read, self.wake_descriptor):
            os.set_blocking(descriptor, False)

    def open(self, channel: Channel, what: bytes) -> None:
        """From any thread: have the far end open ``what`` for the channel, whose ``answered`` is set then."""
        with self._changing:
            if self.has_ended:
                raise OSError("the carrier has ended")
            self._fresh.append((channel, what))
            self._wake()

    def stop(self) -> None:
        """From any thread: end the carrier, when what is to be written was."""
        with self._changing:
            self._fresh.append((None, b""))
            self._wake()

    def cut(self) -> None:
        """From any thread: end the carrier at once, whatever is to be written."""
        with self._changing:
            self.is_over = True
            self._wake()

    def run(self) -> None:
        """Until the carrier ends, or brings what is no frame."""
        try:
            while not self.is_over and self._turn():
                pass
        except OSError:
            pass  # the carrier broke
        finally:
            self._end()

    def _end(self) -> None:
        with self._changing:
            self.has_ended = True
            os.close(self._wake_read)
            os.close(self.wake_descriptor)
        left = [*self._channels.values(), *(channel for channel, _ in self._fresh if channel)]
        for channel in left:
            channel.refusal = channel.refusal or "the carrier has ended"
            channel.answered.set()
            self._close(channel)
        with contextlib.suppress(OSError):
            self._send(BYE, 0)  # a carrier may stay when its far end has gone
            os.write(self._sink, self._out)

    def _wake(self) -> None:
        """While ``_changing`` is held: once it has ended, the descriptor may be somebody else's."""
        if not self.has_ended:
            with contextlib.suppress(BlockingIOError):  # it is awake
                os.write(self.wake_descriptor, b"w")

    def _turn(self) -> bool:
        ready = dict(self._interests().poll())
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
            if not self._take_fresh():
                return False
        if self._sink in ready:
            del self._out[: _written(self._sink, self._out)]
        if self._source in ready:
            data = os.read(self._source, _CHUNK)
            if not data:
                return False
            self._in += data
            if not self._take_frames():
                return False
        for number, channel in list(self._channels.items()):
            if ready.get(channel.source, 0) & (select.POLLIN | _HUNG_UP):
                self._read(number, channel)
            elif channel.source < 0 and ready.get(channel.sink, 0) & _HUNG_UP and channel.is_socket:
                self._drop(number, channel)  # the reader has gone, too
            elif channel.process and ready.get(channel.sink, 0) & _HUNG_UP:
                channel.sink = self._end_sink(channel)
            if ready.get(channel.sink, 0) & select.POLLOUT:
                self._write(number, channel)
            self._reap(number, channel)
        return True

    def _interests(self) -> select.poll:
        wanted = {self._source: select.POLLIN, self._wake_read: select.POLLIN}
        if self._out:
            wanted[self._sink] = select.POLLOUT
        for channel in self._channels.values():
            if channel.source >= 0 and channel.credit > 0 and len(self._out) < _OUT_MOST:
                wanted[channel.source] = wanted.get(channel.source, 0) | select.POLLIN
            if channel.sink >= 0 and (channel.waiting or channel.source < 0 or channel.process):
                # Without an event that its peer has hung up is told all the same (poll(2)).
                wanted[channel.sink] = wanted.get(channel.sink, 0) | (select.POLLOUT if channel.waiting else 0)
        poll = select.poll()
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        return poll

    def _take_fresh(self) -> bool:
        while True:
            with self._changing:
                if not self._fresh:
                    return True
                channel, what = self._fresh.popleft()
            if channel is None:
                self._flush()
                return False
            self._number += 1
            self._channels[self._number] = channel
            self._send(OPEN, self._number, what)

    def _flush(self) -> None:
        poll = select.poll()
        poll.register(self._sink, select.POLLOUT)
        while self._out and not self.is_over:
            if poll.poll(_CUT_MS):
                del self._out[: _written(self._sink, self._out)]

    def _send(self, kind: int, number: int, data: bytes = b"") -> None:
        self._out += _HEADER.pack(kind, number, len(data)) + data

    def _take_frames(self) -> bool:
        while len(self._in) >= _HEADER.size:
            kind, number, length = _HEADER.unpack_from(self._in)
            if not (OPENED if self._answer is None else OPEN) <= kind <= BYE or length > _CHUNK:
                self.stray = bytes(self._in)
                return False
            if len(self._in) < _HEADER.size + length:
                return True
            data = bytes(self._in[_HEADER.size : _HEADER.size + length])
            del self._in[: _HEADER.size + length]
            if kind == BYE:
                return False
            if kind == OPEN:
                self._answer_to(number, data)
            elif number in self._channels:
                self._take(kind, number, self._channels[number], data)
        return True

    def _answer_to(self, number: int, what: bytes) -> None:
        assert self._answer is not None
        try:
            self._channels[number] = self._answer(what)
        except OSError as error:
            self._send(REFUSED, number, (error.strerror or str(error)).encode())
        else:
            self._send(OPENED, number)

    def _take(self, kind: int, number: int, channel: Channel, data: bytes) -> None:
        if kind == DATA:
            channel.waiting += data
            self._write(number, channel)
        elif kind == SEEN:
            channel.credit += int(data)
        elif kind == END:
            channel.is_ended = True
            self._write(number, channel)
        elif kind == EXIT:
            channel.exit_code = int(data)
        elif kind == GONE:
            channel.source = self._end_source(channel)
            channel.is_ended = True
            self._write(number, channel)
        else:
            channel.refusal = data.decode("utf-8", "replace") if kind == REFUSED else None
            channel.answered.set()
            if kind == REFUSED:
                self._close(self._channels.pop(number))

    def _write(self, number: int, channel: Channel) -> None:
        if channel.waiting:
            try:
                count = _written(channel.sink, channel.waiting) if channel.sink >= 0 else len(channel.waiting)
            except OSError:  # nobody takes it any more
                count, channel.sink = len(channel.waiting), self._end_sink(channel)
            del channel.waiting[:count]
            if count:
                self._send(SEEN, number, b"%d" % count)
        if channel.is_ended and not channel.waiting:
            channel.sink = self._end_sink(channel)
            self._forget_ended(number, channel)

    def _read(self, number: int, channel: Channel) -> None:
        try:
            data = os.read(channel.source, min(_CHUNK, max(channel.credit, 1)))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            channel.credit -= len(data)
            self._send(DATA, number, data)
            return
        channel.source = self._end_source(channel)
        if channel.process is None:
            self._send(END, number)
            self._forget_ended(number, channel)

    def _reap(self, number: int, channel: Channel) -> None:
        """A process is over when its output has ended, and it has; then that is told."""
        if channel.process is None or channel.source >= 0 or channel.process.poll() is None:
            return
        code = channel.process.returncode
        self._send(EXIT, number, b"%d" % (code if code >= 0 else 128 - code))
        self._send(END, number)
        channel.process = None
        self._drop(number, channel)

    def _drop(self, number: int, channel: Channel) -> None:
        """Both directions are over, whatever is still to be written."""
        self._close(channel)
        channel.waiting.clear()
        self._forget_ended(number, channel)

    def _forget_ended(self, number: int, channel: Channel) -> None:
        if channel.source < 0 and channel.sink < 0 and channel.process is None:
            self._channels.pop(number, None)
            self._send(GONE, number)

    def _end_source(self, channel: Channel) -> int:
        if channel.source >= 0 and channel.source != channel.sink:
            os.close(channel.source)
        return -1

    def _end_sink(self, channel: Channel) -> int:
        if channel.sink >= 0 and channel.sink == channel.source:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(channel.sink)) as end:
                end.shutdown(socket.SHUT_WR)
        elif channel.sink >= 0:
            os.close(channel.sink)
        return -1

    def _close(self, channel: Channel) -> None:
        for descriptor in {channel.source, channel.sink} - {-1}:
            os.close(descriptor)
        channel.source = channel.sink = -1


def _written(descriptor: int, data: bytearray) -> int:
    try:
        return os.write(descriptor, bytes(data[:_CHUNK]))
    except BlockingIOError:
        return 0
