"""Channels that nobody holds any more are closed by Python's garbage collector, at any moment and in any thread."""

import gc


class Cycle:
    """Only the garbage collector finds that nobody holds it."""

    def __init__(self, held):
        self.held = held
        self.itself = self


class CollectsWhenSent(str):
    """A path at whose sending the garbage collector happens to run."""

    __slots__ = ()

    def encode(self, *arguments):
        gc.collect()
        return super().encode(*arguments)


def test_collecting_a_channel_while_another_is_opened_disturbs_neither(shared_sshd, echo_socket):
    """Its closing is a message of its own; the connection stays whole."""
    link = shared_sshd.paramiko()
    gc.disable()
    try:
        for number in range(5):
            Cycle(link.dial(echo_socket, 5))
            stream = link.dial(CollectsWhenSent(echo_socket), 5)
            stream.sendall(b"%d" % number)
            assert stream.recv(10) == b"%d" % number
            stream.close()
    finally:
        gc.enable()
    link.close()


def test_ending_a_channel_of_a_connection_that_just_broke_is_no_error(shared_sshd, echo_socket):
    """paramiko has not noticed yet, and would raise EOFError in whoever lets go of a stream."""
    for _ in range(20):
        link = shared_sshd.paramiko()
        stream = link.dial(echo_socket, 5)
        resident = link.stay("cat", outlives_link=True)
        link._transport.packetizer.close()
        link.half_close(stream)
        stream.close()
        resident.release()
        link.close()


def test_a_connection_that_is_cut_ends_its_thread(shared_sshd):
    """At once, and not when paramiko looks again."""
    link = shared_sshd.paramiko()
    link.cut()
    link._transport.join(2)
    assert not link._transport.is_alive()
