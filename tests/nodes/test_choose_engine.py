"""Looking at a node and choosing among its engines: which is taken, and what is said when none can be."""

import json

import pytest
from unix_servers import unix_server

from dgrid.errors import EngineError, EngineTooOld, EngineUnreachable, LinkError
from dgrid.nodes.choose_engine import choose_engine
from dgrid.nodes.link import CommandResult
from dgrid.nodes.link_local import LocalLink, dial_unix
from dgrid.nodes.probe import Findings, FoundSocket, probe
from dgrid.plan.facts import EngineKind

DOCKER, PODMAN = "docker", "podman"


def serve_engine(kind, version="20.10.24", rootless=False):
    """A server that says what an engine says of itself."""
    about = {"Version": version, "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Arch": "amd64"}
    about["Components"] = [{"Name": "Podman Engine" if kind == PODMAN else "Engine"}]
    info = {"SecurityOptions": ["name=rootless"] if rootless else [], "InitBinary": "docker-init"}

    def serve(connection):
        while request := connection.recv(65536):
            body = json.dumps(about if b"/version " in request else info).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    return serve


class FakeResident:
    """Says its lines, then nothing more (None: it does not answer at all)."""

    def __init__(self, *lines):
        self.lines = list(lines)

    def read_line(self, timeout_s):
        if self.lines and self.lines[0] is None:
            raise TimeoutError
        return self.lines.pop(0) if self.lines else ""

    def close(self):
        pass


class FakeLink:
    """A node whose sockets are ours, whose scripts say what they are told to."""

    node = "node1"

    def __init__(self, output="", resident=()):
        self.output = output
        self.resident = resident
        self.stayed = 0

    def run(self, script, timeout_s):
        return CommandResult(0, self.output)

    def stay(self, script):
        self.stayed += 1
        return FakeResident(*self.resident)

    def dial(self, socket_path, timeout_s):
        return dial_unix(self.node, socket_path, timeout_s)

    def half_close(self, stream):
        raise NotImplementedError

    def addresses(self):
        return None, None

    def close(self):
        pass


@pytest.fixture
def engine_at(tmp_path):
    """``engine_at("name", serve)``: the path of a socket with an engine behind it."""
    servers = []

    def make(name, serve):
        server = unix_server(tmp_path / name, serve)
        servers.append(server)
        return str(server.__enter__())

    yield make
    for server in servers:
        server.__exit__(None, None, None)


def found(*sockets, has_podman=False):
    return Findings(2001, tuple(FoundSocket(*one) for one in sockets), has_podman, True, (), ())


def choose(findings, wanted="auto", socket_path=None, link=None):
    return choose_engine(link or FakeLink(), findings, wanted, socket_path, 2)[0]


class TestWhichIsTaken:
    """Docker where it answers, else the user's rootless Podman, unless one is asked for."""

    @pytest.fixture
    def both(self, engine_at):
        docker = engine_at("docker", serve_engine(DOCKER))
        podman = engine_at("podman", serve_engine(PODMAN, "5.4.2", rootless=True))
        return found((DOCKER, "usable", docker), (PODMAN, "usable", podman), has_podman=True)

    @pytest.mark.parametrize(("wanted", "kind"), [("auto", DOCKER), (DOCKER, DOCKER), (PODMAN, PODMAN)])
    def test_where_both_answer(self, both, wanted, kind):
        """Docker, unless configured."""
        assert choose(both, wanted).info.kind.value == kind

    def test_a_docker_that_is_forbidden_gives_way(self, engine_at):
        """To Podman."""
        podman = engine_at("podman", serve_engine(PODMAN, "4.3.1", rootless=True))
        engine = choose(found((DOCKER, "forbidden", "/run/docker.sock"), (PODMAN, "usable", podman)))
        assert (engine.info.kind, engine.info.rootless) == (EngineKind.PODMAN, True)

    def test_a_socket_that_nobody_serves_gives_way(self, engine_at, tmp_path):
        """A dockerd that was stopped leaves its socket behind."""
        podman = engine_at("podman", serve_engine(PODMAN, "5.0.0", rootless=True))
        engine = choose(found((DOCKER, "usable", str(tmp_path / "stale")), (PODMAN, "usable", podman)))
        assert engine.info.kind is EngineKind.PODMAN

    def test_podmans_service_is_started_where_it_has_no_socket(self, engine_at):
        """Whatever the login shell says before."""
        path = engine_at("podman", serve_engine(PODMAN, "5.4.2", rootless=True))
        link = FakeLink(resident=("Welcome to node1!", f"engine {path}"))
        assert choose(found(has_podman=True), link=link).socket_path == path

    def test_podmans_service_is_not_started_where_docker_is_asked_for(self):
        """Nor a socket."""
        link = FakeLink()
        with pytest.raises(EngineUnreachable, match="node1: found no docker"):
            choose(found(has_podman=True), DOCKER, link=link)
        assert link.stayed == 0

    def test_a_socket_in_an_unusual_place_is_the_only_one_tried(self, both, engine_at):
        """It is what the site said."""
        path = engine_at("unusual", serve_engine(DOCKER, "29.0.0"))
        assert choose(both, socket_path=path).info.version == "29.0.0"


class TestRefusals:
    """Node, cause, next step."""

    @pytest.mark.parametrize(
        ("findings", "wanted", "text"),
        [
            (found(), "auto", "found no container engine; podman is not installed there either"),
            (found(), DOCKER, "found no docker"),
            (found(), PODMAN, "found no podman; podman is not installed there"),
            (
                found((DOCKER, "forbidden", "/run/docker.sock")),
                DOCKER,
                "cannot reach Docker at /run/docker.sock (permission denied). Are you in the group docker there?",
            ),
            (
                found((PODMAN, "forbidden", "/run/podman.sock")),
                PODMAN,
                "cannot reach Podman at /run/podman.sock (permission denied); podman is not installed there",
            ),
            (
                found((DOCKER, "forbidden", "/run/docker.sock")),
                "auto",
                "cannot reach Docker at /run/docker.sock (permission denied). Are you in the group docker there?; "
                "podman is not installed there either",
            ),
        ],
    )
    def test_nothing_to_choose_from(self, findings, wanted, text):
        """Each engine's own reason."""
        with pytest.raises(EngineUnreachable) as caught:
            choose(findings, wanted)
        assert str(caught.value) == f"node1: {text}"

    def test_an_unusual_place_without_an_engine(self, tmp_path):
        """Its path is named; no other engine is tried silently."""
        link = FakeLink()
        with pytest.raises(EngineUnreachable, match=rf"node1: cannot reach the engine at {tmp_path}/x \(No such file"):
            choose(found(has_podman=True), socket_path=str(tmp_path / "x"), link=link)
        assert link.stayed == 0

    @pytest.mark.parametrize(("version", "fits"), [("4.2.9", False), ("3.4.4", False), ("4.3.1", True), ("10.0", True)])
    def test_a_podman_that_is_too_old(self, engine_at, version, fits):
        """Below 4.3."""
        findings = found((PODMAN, "usable", engine_at("podman", serve_engine(PODMAN, version, rootless=True))))
        if fits:
            assert choose(findings).info.version == version
            return
        with pytest.raises(EngineTooOld) as caught:
            choose(findings)
        assert str(caught.value) == f"node1: its podman is version {version}; dgrid needs 4.3 or newer"

    def test_a_rootless_docker(self, engine_at):
        """It cannot run containers as the user; what can is named."""
        findings = found((DOCKER, "usable", engine_at("docker", serve_engine(DOCKER, rootless=True))))
        with pytest.raises(EngineError, match=r"node1: its Docker is rootless and .*: --engine podman"):
            choose(findings)

    @pytest.mark.parametrize(
        ("lines", "reason"),
        [
            (
                ("failed cannot set up namespace: operation not permitted",),
                "cannot set up namespace: operation not perm",
            ),
            (("Welcome", "failed no subuids"), "no subuids"),
            ((), "it ended without a message"),
        ],
    )
    def test_a_podman_whose_service_does_not_start(self, lines, reason):
        """Its own last word."""
        with pytest.raises(EngineUnreachable, match=f"node1: podman's service does not start: {reason}"):
            choose(found(has_podman=True), link=FakeLink(resident=lines))

    def test_a_podman_whose_service_hangs(self):
        """The time it was given."""
        with pytest.raises(EngineUnreachable, match="node1: podman's service did not start within 2 s"):
            choose(found(has_podman=True), link=FakeLink(resident=(None,)))


class TestProbe:
    """The look at a node: its output read, and its script run for real."""

    def test_its_output_is_read(self):
        """Among lines that a login shell adds."""
        output = (
            "Welcome to node1, socket docker fans!\nuid 2001\nsocket docker usable /run/docker.sock\n"
            "socket podman missing /run/user/2001/podman/podman.sock\nsocket docker forbidden /with a space\n"
            "command podman\ncommand catatonit\nmissing 1\nread-only 0\ndone\nbye\n"
        )
        findings = probe(FakeLink(output), ("/a", "/b"), ("/c",), 5)
        assert findings == Findings(
            uid=2001,
            sockets=(
                FoundSocket(DOCKER, "usable", "/run/docker.sock"),
                FoundSocket(PODMAN, "missing", "/run/user/2001/podman/podman.sock"),
                FoundSocket(DOCKER, "forbidden", "/with a space"),
            ),
            has_podman=True,
            has_catatonit=True,
            missing=("/b",),
            read_only=("/c",),
        )

    @pytest.mark.parametrize("output", ["This account is not available.\n", "", "sh: 2: id: not found\nuid\ndone"])
    def test_a_shell_that_runs_nothing_is_told(self, output):
        """With what it said."""
        said = output.strip() or "no output"
        with pytest.raises(LinkError, match=f"node1: the login shell there does not run commands: {said}"):
            probe(FakeLink(output), (), (), 5)

    def test_paths_are_looked_at_one_by_one(self, tmp_path):
        """Whatever characters are in them."""
        odd = tmp_path / "it's $HOME; `id`\n\\ é"
        odd.mkdir()
        gone = f"{odd}/gone"
        findings = probe(LocalLink("here"), (str(odd), gone), (str(odd), gone), 10)
        assert findings.missing == findings.read_only == (gone,)

    def test_sockets_are_told_apart(self):
        """This machine's Docker can be used by whom the tests run as."""
        findings = probe(LocalLink("here"), (), (), 10)
        assert FoundSocket(DOCKER, "usable", "/run/docker.sock") in findings.sockets
        assert {one.engine for one in findings.sockets} == {DOCKER, PODMAN}
