"""What `dgrid reap` may touch: by marks, user, job and session, and by which runs still live."""

from __future__ import annotations

import pytest

from dgrid.plan.naming import labels
from dgrid.plan.reaping import (
    Found,
    Kind,
    Process,
    Wish,
    is_scratch,
    is_used,
    leash_of,
    leashes_of,
    live_sessions,
    of_named,
    of_others,
    read_marks,
)

ALICE, BOB = frozenset({"alice"}), frozenset({"bob"})


def container(session: str, job: str = "", user: str = "alice") -> Found:
    return Found(Kind.CONTAINER, f"id-{session}", f"w-{session}", session, job, user, "node1")


def network(session: str, node: str, swarm: bool) -> Found:
    return Found(Kind.NETWORK, f"id-{session}", f"dgrid-{session}", session, "", "alice", node, swarm=swarm)


def leash(session: str, uid: int = 2001, pid: int = 10) -> Process:
    return Process(pid, uid, ("sh", "-c", "eval ...", "dgrid-leash", session))


RUNS = (
    container("aaa", "12.head"),
    container("bbb", "38[2].head"),
    container("ccc"),
    container("ddd", "12.head", "bob"),
)


def sessions(found: tuple[Found, ...]) -> list[str]:
    return [one.session for one in found]


def test_what_a_run_creates_is_known_by_its_labels() -> None:
    """The labels that a run puts on everything are those that are read."""
    made = dict(labels("k3x9", "12.head", "alice", "w", "1", "node1"))
    assert read_marks(Kind.CONTAINER, "id", "w-k3x9", made) == Found(
        Kind.CONTAINER, "id", "w-k3x9", "k3x9", "12.head", "alice", "node1"
    )


@pytest.mark.parametrize(
    "foreign",
    [
        {},
        {"io.dgrid.lab": "dev", "io.dgrid.lab.host": "node1"},
        {"io.dgrid.session": "", "io.dgrid.job": "12.head", "io.dgrid.user": "alice"},
        {"io.dgrid.job": "12.head", "io.dgrid.user": "alice"},
        {"io.dgrid.session": "k3x9", "io.dgrid.job": "12.head", "io.dgrid.user": ""},
        {"io.dgrid.session": "k3x9", "io.dgrid.user": "alice"},
    ],
)
def test_what_lacks_a_label_is_nobodys(foreign: dict[str, str]) -> None:
    """Unlabelled containers, a lab's own hosts, and half-labelled things are not dgrid's runs."""
    assert read_marks(Kind.CONTAINER, "id", "name", foreign) is None


def test_a_job_is_named_by_its_whole_id() -> None:
    """12.head is not 12, nor any other job; brackets are letters like others."""
    assert sessions(of_named(RUNS, Wish(jobs=frozenset({"12.head"})))) == ["aaa", "ddd"]
    assert sessions(of_named(RUNS, Wish(jobs=frozenset({"38[2].head"})))) == ["bbb"]
    assert of_named(RUNS, Wish(jobs=frozenset({"12", "38"}))) == ()


def test_the_empty_job_names_nothing() -> None:
    """Runs outside of any job have an empty job id; none of them is meant by an unset variable."""
    assert of_named(RUNS, Wish(jobs=frozenset({""}))) == ()


def test_another_users_runs_are_never_chosen() -> None:
    """With users given, the same job id does not reach to other users; nor does a session's, nor --ended."""
    wish = Wish(frozenset({"12.head"}), frozenset({"ddd"}), users=ALICE, ended=True)
    assert sessions(of_named(RUNS, wish)) == ["aaa"]
    assert sessions(of_others(RUNS, wish, "node1")) == ["bbb", "ccc"]
    assert sessions(of_others(RUNS, Wish(users=BOB, ended=True), "node1")) == ["ddd"]


def test_others_are_looked_at_only_when_wanted() -> None:
    """A named job alone touches no other run, ended or not."""
    assert of_others(RUNS, Wish(jobs=frozenset({"12.head"})), "node1") == ()
    assert sessions(of_others(RUNS, Wish(ended=True), "node1")) == ["aaa", "bbb", "ccc", "ddd"]


def test_a_swarms_network_is_judged_where_it_was_made() -> None:
    """Every manager of a swarm sees it, but its run's process is on the nodes of the run alone."""
    wish = Wish(ended=True)
    assert of_others([network("aaa", "node2", swarm=True)], wish, "node1") == ()
    assert sessions(of_others([network("aaa", "node1.site.org", swarm=True)], wish, "node1")) == ["aaa"]
    assert sessions(of_others([network("aaa", "node2", swarm=False)], wish, "node1")) == ["aaa"]


def test_a_batch_systems_word_is_enough_for_a_swarms_network() -> None:
    """A job that has ended has ended everywhere."""
    assert sessions(of_named([network("aaa", "node2", swarm=True)], Wish(sessions=frozenset({"aaa"})))) == ["aaa"]


@pytest.mark.parametrize(
    ("argv", "session"),
    [
        (("sh", "-c", "eval ...", "dgrid-leash", "k3x9"), "k3x9"),
        (("/bin/sh", "-c", "eval", "dgrid-leash", "k3x9", "more"), "k3x9"),
        (("ssh", "node2", "exec sh -c 'eval ...' dgrid-leash k3x9"), None),
        (("sh", "-c", "dgrid-leash"), None),
        (("vi", "dgrid-leash.txt", "k3x9"), None),
        (("dgrid-leash",), None),
    ],
)
def test_a_leash_is_known_by_its_arguments(argv: tuple[str, ...], session: str | None) -> None:
    """Its word and the session stand as arguments of their own; the ssh client that started one elsewhere is none."""
    assert leash_of(Process(1, 2001, argv)) == session


def test_a_run_lives_whoever_its_leash_belongs_to() -> None:
    """Keeping one too many is the safe mistake."""
    assert live_sessions([leash("aaa"), leash("bbb", uid=0), Process(3, 0, ("sleep", "9"))]) == {"aaa", "bbb"}


def test_only_the_users_own_leash_is_ended() -> None:
    """Another user's process that gives itself this name gets no signal from root."""
    own, foreign, other = leash("aaa"), leash("aaa", uid=2002, pid=11), leash("bbb", pid=12)
    assert leashes_of({"aaa": 2001}, [own, foreign, other]) == (own,)


def test_scratch_directories_are_known_by_name_and_content() -> None:
    """A directory with anything else in it is not dgrid's, whatever it is called."""
    assert is_scratch("dgrid-a1_Bc9xY", ["m", "m.Kd93jFkLs0", "errors", "1", "2"])
    assert is_scratch("dgrid-XyZ12345", ["engine", "log"])
    assert is_scratch("dgrid-XyZ12345", [])
    assert not is_scratch("dgrid-XyZ12345", ["engine", "results.csv"])
    assert not is_scratch("dgrid-backup-2026", [])
    assert not is_scratch("dgrid-short", [])


def test_scratch_in_use_is_told_by_arguments_and_sockets() -> None:
    """ssh has its control path among its arguments, Podman's service its socket; a socket in it is enough, too."""
    path = "/tmp/dgrid-XyZ12345"
    assert is_used(path, [Process(1, 2001, ("ssh", f"-oControlPath={path}/m", "node2"))], [])
    assert is_used(path, [Process(1, 2001, ("podman", "system", "service", f"unix://{path}/engine"))], [])
    assert is_used(path, [], [f"{path}/engine"])
    assert not is_used(path, [Process(1, 2001, ("sleep", "9"))], ["/tmp/dgrid-XyZ123456/engine", "/run/docker.sock"])
