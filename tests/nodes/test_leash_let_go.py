"""A leash that is let go of while a beat for it is under way, from another thread."""

from types import SimpleNamespace

from dgrid.nodes.leash import Leash
from dgrid.nodes.leash_script import LeashSettings
from dgrid.nodes.link_local import LocalLink


def test_what_is_said_to_a_closed_resident_is_no_error():
    resident = LocalLink("here").stay("while read -r line; do echo $line; done")
    resident.send(b"one\n")
    assert resident.read_line(5) == "one"
    resident.close()
    resident.send(b"two\n")


def test_once_let_go_of_it_is_left_alone():
    """A beat that comes late neither fails, nor takes the end of the leash for a reason to start another."""
    link = LocalLink("here")
    leash = Leash(
        SimpleNamespace(name="here", link=link, guard=None),
        LeashSettings("feedc0ffee02", "docker", "/nowhere/docker.sock", lease_s=3, cuts=False),
    )
    started = []
    stay = link.stay
    link.stay = lambda *arguments, **options: started.append(1) or stay(*arguments, **options)
    leash.start()
    leash.let_go(clean=True)
    leash.beat(1.0, 1.0)
    assert (started, leash.is_paused()) == ([1], True)
