# What the lab's scripts share: the batch system's part, and services under runit's supervision.
#
# A batch system's part, /usr/local/lib/dgrid-lab/<its directory>/batch.sh, is sourced with the settings of this host
# (ROLE NODES SLOTS USERS ENGINE BATCH host) and defines
#
#   start_batch     the last step of start, on the frontend and on each node
#   batch_ready     0 when, asked on the frontend, all nodes can be used; on nodes: 0
#   batch_missing   prints what is missing
#   batch_logs      prints the paths of its log files
#
# and, if it has them:
#
#   batch_states    on the frontend: a line "NODE STATE" for each node
#   batch_urls      on the frontend: a line "NAME URL" for each page; the host in it is front
#   batch_changed   on the frontend, then on the nodes there were, after NODES was changed while the lab runs; without
#                   it, nodes can be neither added nor removed

lab=/usr/local/lib/dgrid-lab
host=$(hostname)

say() { echo "lab: $*"; }

wait_for() {  # wait_for FILE: until it is there, 30 s at most
    local left=600
    until [ -e "$1" ]; do
        [ $((left -= 1)) -gt 0 ] || { say "no $1 after 30 s"; exit 1; }
        sleep 0.05
    done
}

publish() {  # publish FILE: stdin to FILE, at once and whole
    cat > "$1.$host" && mv "$1.$host" "$1"
}

# supervise NAME COMMAND...: runs it as a service that is started again when it ends; what it writes is in
# /var/log/NAME.log. It must stay in the foreground. `sv restart NAME` and the like work on it.
supervise() {
    local name=$1
    shift
    mkdir -p "/etc/service/$name"
    printf '#!/bin/bash\nexec >> %q 2>&1 < /dev/null\nexec%s\n' "/var/log/$name.log" "$(printf ' %q' "$@")" > "/etc/service/$name/run"
    chmod 755 "/etc/service/$name/run"
    # A shell's background processes ignore INT and QUIT; services and users' jobs are not to inherit that.
    setsid env --default-signal=INT,QUIT runsv "/etc/service/$name" > /dev/null 2>&1 < /dev/null &
}

share_known_hosts() {  # on the frontend: addresses and host keys of all hosts, for everybody
    local each entry name uid gid
    for each in front $NODES; do
        wait_for "/lab/hostkeys/$each"
        echo "$each,$(getent ahostsv4 "$each" | awk 'NR == 1 {print $1}') $(cat "/lab/hostkeys/$each")"
    done | publish /lab/known_hosts
    for entry in $USERS; do
        IFS=: read -r name uid gid <<< "$entry"
        install -m 600 -o "$uid" -g "$gid" /lab/known_hosts "/home/$name/.ssh/known_hosts"
    done
}

load_batch() {  # defines the batch system's functions; those of no batch system do nothing
    local directory=$BATCH
    start_batch() { :; }
    batch_ready() { :; }
    batch_missing() { :; }
    batch_logs() { :; }
    batch_states() { :; }
    batch_urls() { :; }
    [ "$BATCH" != torque ] || directory=slurm
    if [ "$BATCH" = none ]; then
        batch_changed() { :; }
    else
        . "$lab/$directory/batch.sh"
    fi
}
