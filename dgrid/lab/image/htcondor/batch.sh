# HTCondor: central manager and submit host on the frontend, an executor on each node. Sourced by start, ready and the
# other scripts.

write_role() {
    # Not docker0, which has the same address on every node: a daemon may take it if dockerd was there first.
    echo "NETWORK_INTERFACE = $(getent ahostsv4 "$host" | awk 'NR == 1 {print $1}')" > /etc/condor/config.d/55-address
    if [ "$ROLE" = front ]; then
        echo 'DAEMON_LIST = MASTER COLLECTOR NEGOTIATOR SCHEDD'
    else
        # One slot of all processors: in the parallel universe that is one process on each node. (With a partitionable
        # slot its scheduler gave one node twice, and left claims that nobody used.)
        echo 'DAEMON_LIST = MASTER STARTD'
        echo "NUM_CPUS = $SLOTS"
        echo 'NUM_SLOTS_TYPE_1 = 1'
        echo 'SLOT_TYPE_1 = 100%'
        echo 'SLOT_TYPE_1_PARTITIONABLE = False'
    fi > /etc/condor/config.d/60-role
}

share_pool_key() {
    if [ "$ROLE" = front ] && [ ! -e /lab/condor-pool-key ]; then
        head -c 64 /dev/urandom | base64 -w 0 | (umask 077; publish /lab/condor-pool-key)
    fi
    wait_for /lab/condor-pool-key
    install -d -m 700 /etc/condor/passwords.d /etc/condor/tokens.d
    install -m 600 /lab/condor-pool-key /etc/condor/passwords.d/POOL
    (umask 077; condor_token_create -identity condor@lab -key POOL > /etc/condor/tokens.d/lab)
}

start_batch() {
    write_role
    share_pool_key
    install -d -m 755 -o condor -g condor /run/condor /var/lock/condor
    # Daemons of a master that was killed hold its port for a minute.
    supervise condor_master bash -c \
        'pkill -KILL -x "condor_(shared_p|procd|startd|schedd|collecto|negotiat)"; exec condor_master -f'
}

batch_changed() {  # new nodes join by themselves; the collector would know one that has gone for another minute
    [ "$ROLE" = front ] || return 0
    local node
    for node in $(condor_status -af Machine | sort -u); do
        [[ " $NODES " == *" $node "* ]] || condor_advertise INVALIDATE_STARTD_ADS - > /dev/null << EOF
MyType = "Query"
TargetType = "Machine"
Requirements = Machine == "$node"
EOF
    done
}

batch_ready() {
    [ "$ROLE" = front ] || return 0
    local pool node
    pool=$(timeout 5 condor_status -af Machine 2> /dev/null) || return 1
    for node in $NODES; do grep -qx "$node" <<< "$pool" || return 1; done
    timeout 5 condor_q > /dev/null 2>&1
}

batch_missing() {
    [ "$ROLE" = front ] || return 0
    echo "not all nodes are in condor_status, or condor_q does not answer: $(condor_status -af Machine 2>&1 | tr '\n' ' ')"
}

batch_states() { timeout 5 condor_status -af Machine State Activity | tr '[:upper:]' '[:lower:]'; }

batch_logs() {
    echo /var/log/condor_master.log
    if [ "$ROLE" = front ]; then
        echo /var/log/condor/CollectorLog
        echo /var/log/condor/NegotiatorLog
        echo /var/log/condor/SchedLog
        echo /var/log/condor/ShadowLog
    else
        echo /var/log/condor/StartLog
        echo /var/log/condor/StarterLog.slot1
    fi
    echo /var/log/condor/MasterLog
}
