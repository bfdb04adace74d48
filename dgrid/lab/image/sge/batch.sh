# Grid Engine: its master on the frontend, an execution daemon on each node. Sourced by start, ready and the others.

sge_lib=/usr/local/lib/dgrid-lab/sge
sge_cell=/var/lib/gridengine/default/common
sge_spool=/var/spool/gridengine

# Addresses must lead to the very names that the hosts are registered by; the engine's DNS gives them longer ones.
sge_hosts() {
    sed '/ # lab$/d' /etc/hosts > /etc/hosts.lab
    sed -nE 's/^([^,]*),([^ ]*) .*/\2 \1 # lab/p' /lab/known_hosts >> /etc/hosts.lab
    cat /etc/hosts.lab > /etc/hosts  # a mount: it cannot be replaced
}

sge_add() {  # sge_add OPTION TEXT: qconf reads it from a file
    local file
    file=$(mktemp)
    echo "$2" > "$file"
    qconf "$1" "$file"
    rm -f "$file"
}

sge_pe() {  # sge_pe NAME ALLOCATION_RULE: a parallel environment whose tasks are started by qrsh -inherit
    sge_add -Ap "pe_name $1
slots 9999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $2
control_slaves TRUE
job_is_first_task FALSE
urgency_slots min
accounting_summary FALSE
qsort_args NONE"
}

sge_nodes() {  # sge_nodes NODE...: makes them known; their execution daemons do the rest
    local IFS=,
    qconf -ah "$*"
    qconf -as "$*"
}

batch_changed() {
    local node new=()
    sge_hosts
    [ "$ROLE" = front ] || return 0
    for node in $NODES; do
        qconf -sh | grep -qx "$node" || new+=("$node")
    done
    [ ${#new[@]} = 0 ] || sge_nodes "${new[@]}"
    sge_add -Mhgrp "group_name @allhosts
hostlist $NODES"
    for node in $(qconf -sel); do
        [[ " $NODES " = *" $node "* ]] || sge_forget "$node"
    done
}

sge_forget() {  # sge_forget NODE: it is gone, and its jobs with it
    local job
    for job in $(qstat -u '*' -s r -q "all.q@$1" 2> /dev/null | awk 'NR > 2 {print $1}'); do qdel -f "$job"; done
    qconf -de "$1" || :
    qconf -ds "$1"
    qconf -dh "$1"
}

sge_configure() {
    local global
    global=$(mktemp -d)
    # shellcheck disable=SC2086  # words on purpose
    sge_nodes front $NODES
    sge_add -Ahgrp "group_name @allhosts
hostlist $NODES"
    sge_pe nodes 1              # one slot on each host
    sge_pe mpi '$round_robin'   # any number of slots, spread over the hosts
    sge_pe smp '$pe_slots'      # all slots on one host
    sge_add -Aq "$(sed "s/@SLOTS@/$SLOTS/" "$sge_lib/queue.in")"
    # A lab is small and short-lived: it is looked at every 2 s, and what ended is in the accounting file at once.
    sge_add -Msconf "$(qconf -ssconf | sed 's/^schedule_interval.*/schedule_interval 0:0:2/; s/^flush_submit_sec.*/flush_submit_sec 1/; s/^flush_finish_sec.*/flush_finish_sec 1/')"
    qconf -sconf | sed 's/flush_time=00:00:15/flush_time=00:00:01/; s/^load_report_time.*/load_report_time 00:00:10/; s/^max_unheard.*/max_unheard 00:01:00/' > "$global/global"
    qconf -Mconf "$global/global"
    rm -rf "$global"
}

start_batch() {
    local left=300
    sge_hosts
    sed -i 's/^ignore_fqdn .*/ignore_fqdn true/' "$sge_cell/bootstrap"
    echo front > "$sge_cell/act_qmaster"
    install -d -o sgeadmin -g sgeadmin /run/gridengine
    # SGE_ND: they stay in the foreground.
    if [ "$ROLE" = front ]; then
        supervise sge_qmaster env SGE_ND=1 sge_qmaster
        until qping -info front 6444 qmaster 1 > /dev/null 2>&1; do
            [ $((left -= 1)) -gt 0 ] || { say "sge_qmaster does not answer after 30 s"; exit 1; }
            sleep 0.1
        done
        sge_configure
        : | publish /lab/sge-configured
    else
        wait_for /lab/sge-configured
        supervise sge_execd env SGE_ND=1 sge_execd
    fi
}

# A line "NODE STATE" for each node: Grid Engine's letters for what is wrong (au: not heard of), ok, or busy.
batch_states() {
    qstat -f 2> /dev/null | awk '
        $1 ~ /^all\.q@/ {
            split($1, name, "@"); split($3, slots, "/")
            print name[2], ($6 != "" ? $6 : slots[2] + 0 == 0 ? "ok" : "busy")
        }'
}

batch_ready() {
    [ "$ROLE" = front ] || return 0
    [ "$(timeout 5 bash -c "$(declare -f batch_states); batch_states" | grep -cE ' (ok|busy)$')" = "$(wc -w <<< "$NODES")" ]
}

batch_missing() { echo "not all nodes are ok in qstat -f: $(batch_states | tr '\n' ',')"; }

batch_logs() {
    if [ "$ROLE" = front ]; then
        echo "$sge_spool/qmaster/messages /var/log/sge_qmaster.log"
    else
        echo "$sge_spool/execd/$host/messages /var/log/sge_execd.log"
    fi
}
