# shellcheck shell=bash
# Read by demo and test: what they begin they end, whatever happens.
#
#   at_end COMMAND...    runs it when the script ends, however it ends; the last one given runs first
#   run COMMAND...       runs a program so that a signal ends it in order, and at once (bash alone would wait)
#   alone_here NAME      refuses to run beside another one in this checkout: each would end what the other started
#   $scratch             a directory that goes with the script
exec < /dev/null
scratch=$(mktemp -d)
endings=()
child=

at_end() { endings+=("$(printf '%q ' "$@")"); }

run() {
    # A process group of its own, to which end_child passes the signal as INT: that is what Python programs clean
    # up after. A script in the background has INT ignored, one under nohup HUP, hence env.
    set -m
    env --default-signal=INT,HUP "$@" 9>&- &
    child=$!
    set +m
    local code=0
    wait "$child" || code=$?
    child=
    return "$code"
}

alone_here() {
    exec 9> .lock
    flock --nonblock 9 || { echo "$1: make demo or make test is under way in this checkout; wait for its end" >&2; exit 75; }
}

end_child() {
    [ -n "$child" ] || return 0
    # Whoever asks twice does not want to wait.
    trap 'kill -KILL -- "-$child" 2> /dev/null' INT TERM
    kill -INT -- "-$child" 2> /dev/null || return 0
    while kill -0 "$child" 2> /dev/null; do wait "$child" || :; done
}

end_all() {
    local code=$? number
    trap - EXIT
    end_child
    trap '' INT TERM HUP
    for ((number = ${#endings[@]} - 1; number >= 0; number--)); do
        eval "${endings[number]}" || echo "this failed: ${endings[number]}" >&2
    done
    rm -rf "$scratch"
    exit "$code"
}

trap end_all EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
