"""The leash as the node runs it: a shell script for any POSIX shell, and the settings it begins with.

It needs one of: the engine's own command, curl, python3, perl. Three processes share the work, so that no single
killed one leaves containers behind: the main one waits and decides, the reader takes dgrid's words, the clock ticks.

dgrid's words, a line each: ``beat`` (answered ``ok``), ``creating`` and ``created ID...`` (creates are under way
between them), ``pause`` (answered ``paused``), ``resume``, ``done`` (the run is over), ``leave`` (another leash
is there).
Whenever it begins to hold the containers, asked by dgrid or not, it says ``holding``.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from urllib.parse import quote

from dgrid.nodes.leash_calls import ENGINE_CALLS
from dgrid.plan.naming import LABEL_SESSION
from dgrid.record import record


@record
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
    return _assignments(values) + ENGINE_CALLS + _SWEEP + _WATCH


def _assignments(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


# An engine carries out a call whose caller has gone, up to seconds later: hence two looks that find nothing. One that
# does not answer has its containers ended through /proc meanwhile; they are the user's own processes. (A group that
# the leash is in, too, is that of a node which is a container itself.)
_SWEEP = r"""
end_processes() {
  own=$(grep -ls "DGRID_SESSION=$session" /proc/[0-9]*/environ | tr -dc '0-9\n')
  # Those of a container that was made and never came to its command have not its environment.
  ids=$({ for pid in $own; do sed -n 's/.*\([0-9a-f]\{64\}\).*/\1/p' /proc/$pid/cgroup; done; printf '%s\n' $made; } |
    grep -x '[0-9a-f]\{64\}' | sort -u)
  # Mostly there are none: one look for all of them, as each container's own takes its time at every end of a run.
  if [ -n "$ids" ] && grep -qs "$ids" /proc/[0-9]*/cgroup; then
    for id in $ids; do
      grep -q "$id" /proc/self/cgroup || kill -KILL $(grep -ls "$id" /proc/[0-9]*/cgroup | tr -dc '0-9\n')
    done
  fi
  [ -z "$own" ] || kill -KILL $own
}
remove_networks() {
  for id in $(networks); do remove_network "$id"; done
}
sweep() {
  clean=0 tries=0 looks=2
  # A create that was under way when dgrid died may take the engine long: its container is yet to come.
  [ -z "$creating" ] || looks=25
  while [ $clean -lt $looks ] && [ $tries -lt 300 ]; do
    if ! found=$(containers true); then
      clean=0
      [ $tries -gt 0 ] || say the engine does not answer, ending processes instead
      end_processes
    elif [ -n "$found" ]; then clean=0 made="$made $found"; remove $found
    else clean=$((clean + 1)); fi
    [ $clean -lt 2 ] || remove_networks
    tries=$((tries + 1))
    [ $clean -ge $looks ] || sleep 1
  done
  # An engine that was killed while it started a container may have forgotten it, but not its processes.
  end_processes
  # An overlay goes when the other nodes, too, have let go of it.
  tries=0
  while remove_networks; [ -n "$(networks)" ] && [ $tries -lt 60 ]; do
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

# The words of the reader and the clock come to the main process by a pipe, in their order, none lost; not as signals,
# of which bash forgets some where several come at once. Each is written in one piece, being shorter than 4096 bytes.
# The clock counts the leash's own running time: of a suspended machine or process two ticks at most are late.
_WATCH = r"""
unset TMOUT  # bash would take a suspended run's silence for the end of input
main=$$ parent=$PPID reader='' late=0 hold='' held='' ended='' seen=0 creating='' made=''
# Batch systems send some of these to all processes of a job.
trap '' PIPE HUP INT QUIT USR1 USR2 TERM
look_at() {
  state=''
  read -r line </proc/$1/stat || return 1
  comm=${line%%) *}
  line=${line##*) }
  state=${line%% *}
  [ "$state" != Z ]
}
# The reader and the clock take their sleep with them, as nothing of a run is to be there once dgrid is done. Both may
# be stopped; $! is the reader until the clock sleeps.
end_child() {
  kill -ALRM $1
  kill -CONT $1
}
nap_until_ended() {
  trap '[ "$!" = "$reader" ] || kill -KILL $!; exit' ALRM
  sleep 1 >/dev/null & wait $!
}
read_words() {
  exec 4<>/proc/self/fd/0 <&3 3<&-
  heard=''
  while read -r word more; do
    # The main process has the pipe by now. With no end to read from, writing fails once that process is gone.
    [ -n "$heard" ] || { heard=yes; exec 4>/proc/self/fd/4; }
    case $word in
    beat) look_at $main || exit; echo beat >&4; echo ok ;;
    creating) creating=yes; echo creating >&4 ;;
    created)
      creating='' made=$more
      said=created
      for id in $made; do
        said="$said $id"
        [ ${#said} -lt 4000 ] || { echo "$said" >&4; said=created; }
      done
      echo "$said" >&4
      ;;
    pause|resume) echo $word >&4 ;;
    done) end_processes; echo leave >&4; exit ;;
    leave) echo leave >&4; exit ;;
    esac
  done
  echo end >&4
  # Should the main process be killed before it is done (it ends this one then), this one does its work.
  while look_at $main; do nap_until_ended; done
  trap - ALRM
  is_followed "${cut:+$parent}" || end_all 'end of input'
  exit
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
  while nap_until_ended || [ $? -gt 128 ]; do
    look_at $main || exit
    [ "$state" = T ] || echo tick || exit
  done
}
watch_launcher() {
  look_at $launcher || return 0
  if [ "$state" != T ]; then seen=0; return; fi
  late=0 seen=$((seen + 1))
  [ $seen -eq 2 ] || return 0
  hold=yes
  [ -z "$hold_command" ] || eval "$hold_command" >/dev/null </dev/null &
}
exec 3<&0 4<&- </dev/null
: | read_words & reader=$!
# A shell has no other way to a pipe without a name than from one that has it open. The reader has once its 3 is closed.
tries=0
until [ -p /proc/$reader/fd/4 ] && [ ! -e /proc/$reader/fd/3 ]; do
  tries=$((tries + 1))
  [ $tries -lt 1000 ] || sleep 1
  look_at $reader && [ $tries -lt 1004 ] && continue
  kill -KILL $reader
  echo leash off its processes cannot be reached in /proc
  exit
done
exec 3<&- 4</proc/$reader/fd/4
{ exec >/proc/$reader/fd/4 4<&-; tick; } & clock=$!
trap 'ended=TERM' TERM
trap 'hold=yes' USR2
echo leash on
while [ -z "$ended" ]; do
  read -r word more <&4 || {
    word=''
    [ -n "$ended$hold" ] || look_at $reader || ended='end of input'
  }
  case $word in
  tick)
    late=$((late + 1))
    [ -z "$launcher" ] || watch_launcher
    look_at $reader || end_child $clock  # and the pipe has an end, behind the last words
    ;;
  beat) late=0 ;;
  creating) creating=yes ;;
  created) creating='' made="$made $more" ;;
  pause) hold=yes ;;
  resume) [ -z "$held" ] || let_all_go ;;
  leave) end_child $clock; exit 0 ;;
  end) ended='end of input' ;;
  esac
  if [ -n "$hold" ]; then
    hold=''
    [ -n "$held" ] || hold_all
  fi
  [ -z "$held" ] || late=0
  [ $late -lt $lease ] || ended="nothing heard for $lease s"
done
trap '' TERM USR2
end_child $clock
[ "$ended" != 'end of input' ] || ! is_followed || exit
end_all "$ended"
end_child $reader
sleep 0.1
kill -KILL $reader  # where ALRM was ignored from the beginning
"""
