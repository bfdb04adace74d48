"""The leash as the node runs it: a shell script for any POSIX shell, and the settings it begins with.

It needs one of: the engine's own command, curl, python3, perl. Three processes share the work, so that no single
killed one leaves containers behind: the main one waits and decides, the reader takes dgrid's words, the clock ticks.

dgrid's words, a line each: ``beat`` (answered ``ok``), ``pause`` (answered ``paused``), ``resume``, ``done``.
Whenever it begins to hold the containers, asked by dgrid or not, it says ``holding``.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from dgrid.plan.naming import LABEL_SESSION


@dataclass(frozen=True, slots=True)
class LeashSettings:
    """What a leash is told. ``engine`` is "docker" or "podman", ``lease_s`` the silence after which it acts.

    ``cuts`` says that its parent is the connection's process on the node, to be ended first. ``launcher`` is dgrid's
    process id where that is on the same machine, else None; ``hold`` the command by which the leashes of other
    machines are told that it was stopped, and ``scratch`` the directories there to be removed with the run.
    """

    session: str
    engine: str
    socket_path: str
    lease_s: float
    cuts: bool
    launcher: int | None = None
    hold: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()


def leash_script(settings: LeashSettings) -> str:
    """The script to start as a resident."""
    label = f"{LABEL_SESSION}={settings.session}"
    values = {
        "session": settings.session,
        "label": label,
        "filters": quote(json.dumps({"label": [label]})),
        "engine": settings.engine,
        "socket": settings.socket_path,
        "lease": str(max(1, round(settings.lease_s))),
        "cut": "yes" if settings.cuts else "",
        "launcher": "" if settings.launcher is None else str(settings.launcher),
        "hold_command": shlex.join(settings.hold),
        "scratch": shlex.join(settings.scratch),
    }
    return _assignments(values) + _ENGINE + _SWEEP + _WATCH


def _assignments(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


# Every call has a deadline: an engine that hangs must not hold the leash.
_ENGINE = r"""
exec 2>/dev/null
has() { command -v "$1" >/dev/null 2>&1; }
if [ $engine = podman ] && has podman; then tool=podman
elif [ $engine = docker ] && has docker; then tool=docker; export DOCKER_HOST="unix://$socket"
elif has curl; then tool=curl
elif has python3; then tool=python3
elif has perl; then tool=perl
else echo leash off there is neither docker, curl, python3 nor perl; exit; fi

say() { echo "log $*"; has logger && logger -t dgrid-leash "$session: $*"; }
within() {
  seconds=$1; shift
  if has timeout; then timeout -k 1 "$seconds" "$@"; return; fi
  "$@" & worker=$!
  (sleep "$seconds"; kill -KILL $worker) >/dev/null & killer=$!
  wait $worker; outcome=$?
  kill $killer
  return $outcome
}
call() {
  case $tool in
  curl) curl -sf -m 20 -X "$1" --unix-socket "$socket" "http://engine$2" ;;
  python3) within 20 python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(f"{sys.argv[2]} {sys.argv[3]} HTTP/1.0\r\nHost: engine\r\n\r\n".encode())
while d := s.recv(65536): sys.stdout.buffer.write(d)' "$socket" "$1" "$2" ;;
  perl) within 20 perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 1;
print $s "$ARGV[1] $ARGV[2] HTTP/1.0\r\nHost: engine\r\n\r\n"; $s->flush; print while <$s>' "$socket" "$1" "$2" ;;
  esac
}
ids() {
  answer=$(call GET "$1") || return 1
  printf '%s' "$answer" | tr '{,' '\n\n' | sed -n 's/.*"Id": *"\([0-9a-f]*\)".*/\1/p' | sort -u
}
containers() {
  case $tool in
  docker|podman) within 20 $tool ps "--all=$1" --quiet --no-trunc --filter "label=$label" ;;
  *) ids "/containers/json?all=$1&filters=$filters" ;;
  esac
}
networks() {
  case $tool in
  docker|podman) within 20 $tool network ls --quiet --filter "label=$label" ;;
  *) ids "/networks?filters=$filters" ;;
  esac
}
for_each() {
  method=$1 path=$2; shift 2
  for id; do call "$method" "$(printf "$path" "$id")" & done
  wait
}
remove() {
  case $tool in
  docker) within 40 docker rm --force --volumes "$@" ;;
  podman) within 40 podman rm --force --volumes --time 0 "$@" ;;
  *) for_each DELETE '/containers/%s?force=1&v=1' "$@" ;;
  esac >/dev/null
}
remove_network() {
  case $tool in
  docker|podman) within 20 $tool network rm "$1" ;;
  *) call DELETE "/networks/$1" ;;
  esac >/dev/null
}
freeze() {
  found=$(containers false)
  [ -n "$found" ] || return 0
  case $tool in
  docker|podman) within 20 $tool "$1" $found ;;
  *) for_each POST "/containers/%s/$1" $found ;;
  esac >/dev/null
}
# Rootless Podman cannot pause where cgroups are version 1. The user's own processes can be stopped all the same:
# those that share a container's process namespace, which no other process does.
signal_all() {
  own=$(readlink /proc/$$/ns/pid)
  spaces=$(for file in $(grep -ls "DGRID_SESSION=$session" /proc/[0-9]*/environ); do
    readlink "${file%environ}ns/pid"
  done | grep -vxF "$own")
  [ -n "$spaces" ] || return 1
  kill -$1 $(ls -l /proc/[0-9]*/ns/pid | grep -F "$spaces" | sed 's|.*/proc/\([0-9]*\)/.*|\1|')
  return 0
}
hold_all() {
  held=paused
  echo holding
  if ! freeze pause; then
    held=stopped
    signal_all STOP || { say its containers cannot be paused, they go on meanwhile; return; }
  fi
  echo paused
}
let_all_go() {
  freeze unpause
  [ $held = paused ] || signal_all CONT
  held='' late=0
}
"""

# An engine carries out a call whose caller has gone, up to seconds later: hence two looks that find nothing. One that
# does not answer has its containers ended through /proc meanwhile; they are the user's own processes.
_SWEEP = r"""
end_processes() {
  own=$(grep -ls "DGRID_SESSION=$session" /proc/[0-9]*/environ | tr -dc '0-9\n')
  for pid in $own; do sed -n 's/.*\([0-9a-f]\{64\}\).*/\1/p' /proc/$pid/cgroup; done | sort -u | while read -r id; do
    grep -ls "$id" /proc/[0-9]*/cgroup | tr -dc '0-9\n' | while read -r pid; do kill -KILL "$pid"; done
  done
  [ -z "$own" ] || kill -KILL $own
}
sweep() {
  clean=0 tries=0
  while [ $clean -lt 2 ] && [ $tries -lt 300 ]; do
    if ! found=$(containers true); then
      clean=0
      [ $tries -gt 0 ] || say the engine does not answer, ending processes instead
      end_processes
    elif [ -n "$found" ]; then clean=0; remove $found
    else clean=$((clean + 1)); fi
    tries=$((tries + 1))
    [ $clean -ge 2 ] || sleep 1
  done
  # An overlay goes when the other nodes, too, have let go of it.
  tries=0
  while found=$(networks); [ -n "$found" ] && [ $tries -lt 60 ]; do
    for id in $found; do remove_network "$id"; done
    tries=$((tries + 1))
    sleep 1
  done
  [ -z "$scratch" ] || eval "rm -rf $scratch"
  say the sweep is over
}
end_all() {
  say "$1: removing the run's containers"
  # sshd's process for this connection is the parent; with it go all its channels, so no late call can arrive.
  [ -z "$cut" ] || kill $parent
  # dgrid itself on this machine: after the end of input it is gone, or leaves the rest to us.
  [ -z "$launcher" ] || [ "$1" = 'end of input' ] || kill -KILL $launcher
  sweep
}
"""

# The clock counts the leash's own running time: of a suspended machine or process one tick at most is late.
_WATCH = r"""
main=$$ parent=$PPID late=0 hold='' held='' go='' ended='' seen=0
trap '' INT QUIT PIPE
trap 'ended="end of input"' HUP
trap 'late=0' USR1
trap 'late=$((late + 1))' ALRM
trap 'hold=yes' USR2
trap 'go=yes' CONT
trap 'ended=TERM' TERM
look_at() {
  state=''
  read -r line </proc/$1/stat || return 1
  comm=${line%%) *}
  line=${line##*) }
  state=${line%% *}
  [ "$state" != Z ]
}
read_words() {
  trap '' HUP USR1 USR2 ALRM TERM
  while read -r word; do
    case $word in
    beat) kill -USR1 $main || exit 1; echo ok ;;
    pause) kill -USR2 $main ;;
    resume) kill -CONT $main ;;
    done) exit 0 ;;
    esac
  done
  kill -HUP $main
  # Should the main process be killed before it is done (it ends this one then), this one does its work.
  while look_at $main; do sleep 1; done
  is_followed "${cut:+$parent}" || end_all 'end of input'
  exit 1
}
# The input ends, too, when sshd ends that of a killed main process, or when the connection to dgrid's own machine
# breaks: then dgrid starts another leash, as long as it is there, or the connection (the argument).
is_followed() {
  exec >/dev/null  # only now is its output at an end, too, which is what dgrid sees
  tries=0
  while [ $tries -lt $lease ] && look_at ${launcher:-${1:-none}}; do
    for pid in $(grep -ls "$session" /proc/[0-9]*/cmdline | tr -dc '0-9\n'); do
      [ $pid != $main ] && look_at $pid || continue
      line=${line#* }
      case "$comm ${line%% *}" in
      *'(ssh '*) ;;  # to another node
      *" $parent" | *" ${launcher:-none}") return 0 ;;
      esac
    done
    tries=$((tries + 1))
    sleep 1
  done
  return 1
}
tick() {
  trap '' HUP USR1 USR2 TERM
  trap - ALRM
  while sleep 1; do kill -ALRM $main || exit; done
}
watch_launcher() {
  look_at $launcher || return 0
  if [ "$state" != T ]; then seen=0; return; fi
  late=0 seen=$((seen + 1))
  [ $seen -eq 2 ] || return 0
  hold=yes
  [ -z "$hold_command" ] || eval "$hold_command" >/dev/null </dev/null &
}
exec 3<&0 </dev/null
read_words <&3 & reader=$!
tick & clock=$!
exec 3<&-
echo leash on
while :; do
  wait $reader; outcome=$?
  [ -z "$launcher" ] || watch_launcher
  if [ -n "$hold" ]; then
    hold=''
    [ -n "$held" ] || hold_all
  fi
  if [ -n "$go" ]; then
    go=''
    [ -z "$held" ] || let_all_go
  fi
  [ -z "$held" ] || late=0
  if [ -n "$ended" ]; then break
  elif [ $outcome -eq 0 ]; then kill -KILL $clock; exit
  elif [ $outcome -lt 128 ] || ! kill -0 $reader; then ended='end of input'; break
  elif [ $late -ge $lease ]; then ended="nothing heard for $lease s"; break
  fi
done
kill -KILL $clock
trap '' HUP USR1 USR2 ALRM TERM CONT
[ "$ended" != 'end of input' ] || ! is_followed || exit
end_all "$ended"
kill -KILL $reader
"""
