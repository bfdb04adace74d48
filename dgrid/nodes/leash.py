"""The leash: a process on each node whose life is the connection it came by.

When its input ends without a word, dgrid or the connection has gone: it cuts the connection, so that no late call can
arrive, and removes everything that carries the run's label, until nothing is found twice, a second apart. (A call
whose caller has gone is carried out all the same, up to seconds later.)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

from dgrid.errors import NodeError
from dgrid.nodes.cluster import Cluster
from dgrid.nodes.fanout import fan_out, values_of
from dgrid.nodes.link import Resident
from dgrid.nodes.machine import Machine
from dgrid.nodes.signals import StopSignals
from dgrid.plan.facts import EngineKind
from dgrid.plan.naming import LABEL_SESSION

_START_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Leash:
    """A started leash; ``resident`` None where the node has no tool for it, which ``reason`` then tells."""

    machine: Machine
    resident: Resident | None
    reason: str = ""

    def let_go(self, clean: bool) -> None:
        """The run is over. ``clean``: all was removed; else the leash tries what the teardown could not."""
        if self.resident is None:
            return
        if clean:
            self.resident.send(b"done\n")
            self.resident.close()
        else:
            self.resident.release()


def put_on_leash(cluster: Cluster, session: str, stop: StopSignals) -> tuple[Leash, ...]:
    """A leash on every machine, before anything is created there. Raises ManyNodesError."""
    scratch = " ".join(machine.link.scratch for machine in cluster.machines if machine.link.scratch)
    return values_of(
        fan_out(cluster.machines, lambda machine: _start(machine, session, scratch), cluster.settings.parallel, stop)
    )


def _start(machine: Machine, session: str, scratch: str) -> Leash:
    resident = machine.link.stay(_script(machine, session, scratch), outlives_link=True)
    try:
        # Start-up files of the login shell may have something to say before.
        while line := resident.read_line(_START_TIMEOUT_S):
            if line == "leash on":
                return Leash(machine, resident)
            if line.startswith("leash off"):
                return Leash(machine, None, line.removeprefix("leash off").strip())
    except TimeoutError as error:
        raise NodeError(machine.name, f"the clean-up process did not start within {_START_TIMEOUT_S:g} s") from error
    raise NodeError(machine.name, "the clean-up process does not start there")


def _script(machine: Machine, session: str, scratch: str) -> str:
    label = f"{LABEL_SESSION}={session}"
    local = any(node.is_local for node in machine.nodes)
    settings = {
        "label": label,
        "filters": quote(json.dumps({"label": [label]})),
        "engine": "podman" if machine.engine.info.kind is EngineKind.PODMAN else "docker",
        "socket": machine.engine.socket_path,
        "cut": "" if local else "yes",
        "scratch": scratch if local else "",
    }
    return "".join(f"{name}='{value}'\n" for name, value in settings.items()) + _SCRIPT


# Any POSIX shell, and one of: podman's command, docker's, curl, python3, perl.
_SCRIPT = r"""
trap '' HUP INT QUIT PIPE
has() { command -v "$1" >/dev/null 2>&1; }
if [ $engine = podman ] && has podman; then tool=podman
elif [ $engine = docker ] && has docker; then tool=docker; export DOCKER_HOST="unix://$socket"
elif has curl; then tool=curl
elif has python3; then tool=python3
elif has perl; then tool=perl
else echo leash off there is neither docker, curl, python3 nor perl; exit; fi

call() {
  case $tool in
  curl) curl -s -X "$1" --unix-socket "$socket" "http://engine$2" ;;
  python3) python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(f"{sys.argv[2]} {sys.argv[3]} HTTP/1.0\r\nHost: engine\r\n\r\n".encode())
while d := s.recv(65536): sys.stdout.buffer.write(d)' "$socket" "$1" "$2" ;;
  perl) perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 1;
print $s "$ARGV[1] $ARGV[2] HTTP/1.0\r\nHost: engine\r\n\r\n"; $s->flush; print while <$s>' "$socket" "$1" "$2" ;;
  esac 2>/dev/null
}
ids() { call GET "$1" | tr '{,' '\n\n' | sed -n 's/.*"Id": *"\([0-9a-f]*\)".*/\1/p' | sort -u; }
containers() {
  case $tool in
  docker|podman) $tool ps --all --quiet --no-trunc --filter "label=$label" 2>/dev/null ;;
  *) ids "/containers/json?all=1&filters=$filters" ;;
  esac
}
networks() {
  case $tool in
  docker|podman) $tool network ls --quiet --filter "label=$label" 2>/dev/null ;;
  *) ids "/networks?filters=$filters" ;;
  esac
}
remove() {
  case $tool in
  docker) docker rm --force --volumes "$@" ;;
  podman) podman rm --force --volumes --time 0 "$@" ;;
  *) for id; do call DELETE "/containers/$id?force=1&v=1" & done; wait ;;
  esac >/dev/null 2>&1
}
sweep() {
  clean=0 tries=0
  while [ $clean -lt 2 ] && [ $tries -lt 120 ]; do
    found=$(containers)
    if [ -n "$found" ]; then clean=0; remove $found; else clean=$((clean + 1)); fi
    tries=$((tries + 1))
    [ $clean -ge 2 ] || sleep 1
  done
  # An overlay goes when the other nodes, too, have let go of it.
  tries=0
  while found=$(networks); [ -n "$found" ] && [ $tries -lt 60 ]; do
    for id in $found; do
      case $tool in
      docker|podman) $tool network rm "$id" ;;
      *) call DELETE "/networks/$id" ;;
      esac >/dev/null 2>&1
    done
    tries=$((tries + 1))
    sleep 1
  done
  [ -z "$scratch" ] || rm -rf $scratch
}

echo leash on
read -r word
[ "$word" = done ] && exit
# sshd's process for this connection is the parent; with it go all its channels.
[ -z "$cut" ] || kill $PPID 2>/dev/null
sweep
"""
