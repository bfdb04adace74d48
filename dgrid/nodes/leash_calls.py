"""The part of the leash's script that talks to the engine, by whatever tool the node has."""

# Every call has a deadline: an engine that hangs must not hold the leash.
ENGINE_CALLS = r"""
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
# In a shell of its own, which waits for these calls alone: the reader and the clock are children of the main one.
for_each() (
  method=$1 path=$2; shift 2
  for id; do call "$method" "$(printf "$path" "$id")" & done
  wait
)
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
"""Shell functions; they read the variables ``engine``, ``socket``, ``label``, ``filters`` and ``session``."""
