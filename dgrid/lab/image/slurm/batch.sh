# Slurm (BATCH=slurm), and Slurm behind Torque's commands (BATCH=torque). Sourced by start, ready and the other scripts.

slurm_lib=/usr/local/lib/dgrid-lab/slurm

write_slurm_conf() {
    # The machine's own memory, so that jobs may ask for memory (it is not divided among them); slots are as many as asked for.
    local memory_mb=$(($(awk '/^MemTotal/ {print $2}' /proc/meminfo) / 1024))
    sed -e "s/@MEMORY@/$memory_mb/" -e "s/@NODES@/${NODES// /,}/g" -e "s/@SLOTS@/$SLOTS/g" "$slurm_lib/slurm.conf.in" > /etc/slurm/slurm.conf
    [ "$BATCH" != torque ] || echo "TaskProlog=$slurm_lib/task-prolog" >> /etc/slurm/slurm.conf
    echo 'CgroupPlugin=disabled' > /etc/slurm/cgroup.conf
}

start_munge() {
    if [ "$ROLE" = front ]; then
        head -c 1024 /dev/urandom | (umask 077; publish /lab/munge.key)
    fi
    wait_for /lab/munge.key
    install -m 400 -o munge -g munge /lab/munge.key /etc/munge/munge.key
    install -d -m 755 -o munge -g munge /run/munge
    supervise munged setpriv --reuid munge --regid munge --clear-groups /usr/sbin/munged --foreground
    wait_for /run/munge/munge.socket.2
}

start_batch() {
    if [ "$BATCH" = torque ]; then
        ln -sf "$slurm_lib/qsub" /usr/local/bin/qsub
        install -d -m 1777 /var/spool/pbs
    else
        # Plain Slurm has no such commands, and none of their variables.
        rm -f /usr/bin/qsub /usr/bin/qstat /usr/bin/qdel /usr/bin/qalter /usr/bin/qhold /usr/bin/qrls /usr/bin/qrerun \
            /usr/bin/pbsnodes /usr/bin/generate_pbs_nodefile
    fi
    write_slurm_conf
    start_munge
    if [ "$ROLE" = front ]; then
        supervise slurmctld slurmctld -D
    else
        supervise slurmd slurmd -D
    fi
}

# Running jobs survive the daemons; `scontrol reconfigure` would have them leave runit's hands.
batch_changed() {
    write_slurm_conf
    if [ "$ROLE" = front ]; then sv -w 20 restart slurmctld; else sv -w 20 restart slurmd; fi
}

batch_ready() {
    [ "$ROLE" = front ] || return 0
    [ "$(timeout 5 sinfo -h -N -t idle,alloc,mix -o %N 2> /dev/null | wc -l)" = "$(wc -w <<< "$NODES")" ]
}

batch_missing() { echo "not all nodes are idle in sinfo: $(sinfo -h -N -o '%N %t' 2>&1 | tr '\n' ',')"; }

batch_states() { timeout 5 sinfo -h -N -o '%N %T'; }

batch_logs() {
    if [ "$ROLE" = front ]; then echo /var/log/slurm/slurmctld.log; else echo /var/log/slurm/slurmd.log; fi
    echo /var/log/munge/munged.log
}
