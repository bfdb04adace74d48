# OAR 2.6: server with PostgreSQL, REST API, Monika and Drawgantt on the frontend; an sshd of OAR's own on each host.
# Sourced by start, ready and the other scripts; see common.sh.

oar_lib=/usr/local/lib/dgrid-lab/oar
oar_home=/var/lib/oar/.ssh

# One key pair of the user oar for the whole lab: the server starts jobs, and oarsh reaches nodes, by it.
share_oar_key() {
    if [ "$ROLE" = front ]; then
        ssh-keygen -q -t rsa -b 2048 -N '' -C oar@lab -f "$oar_home/id_rsa"
        (umask 077; publish /lab/oar_key < "$oar_home/id_rsa")
    fi
    wait_for /lab/oar_key
    install -m 600 -o oar -g oar /lab/oar_key "$oar_home/id_rsa"
    # By the variable OAR's login shell knows that it is OAR itself that comes.
    echo "environment=\"OAR_KEY=1\" $(ssh-keygen -y -f "$oar_home/id_rsa")" > "$oar_home/authorized_keys"
    chown oar:oar "$oar_home/authorized_keys"
}

# OAR's scripts take the first, or all, of the cgroup2 mounts of /proc/mounts: there must be exactly one, and it must
# be this host's own, not the machine's. On a machine with cgroup v1 (hybrid) that is the v2 cgroup in which docker put
# this host, alone; it has no cpusets, so these are made in v1 beside it.
prepare_oar_cgroups() {
    local own
    if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
        echo 'trees=(/sys/fs/cgroup) cpus=/sys/fs/cgroup' > /run/oar-cgroups
        return
    fi
    own=$(awk -F: '$1 == 0 {print $3}' /proc/self/cgroup)
    [ "$own" != / ] || { say "this machine's engine gives its containers no cgroup of their own in v2: OAR needs one"; exit 1; }
    mkdir -p /run/cgroup2
    mount --bind "/sys/fs/cgroup/unified$own" /run/cgroup2
    umount /sys/fs/cgroup/unified
    own=/sys/fs/cgroup/cpuset$(awk -F: '$2 == "cpuset" {print $3}' /proc/self/cgroup)
    echo "trees=(/run/cgroup2 $own) cpus=$own" > /run/oar-cgroups
}

# The server sends this script to the nodes. Of the v2 files it reads, those of cpusets are not there on a hybrid
# machine; what it reads in them it uses for limits of block devices alone, which are off.
adapt_resource_manager() {
    [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] || return 0
    sed -i 's|= "$Cgroup_[a-z]*_path/cpuset.cpus.effective"|= "/sys/devices/system/cpu/online"|' \
        /etc/oar/job_resource_manager.pl
}

secret() { head -c 18 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

start_database() {
    local password
    password=$(secret)
    supervise postgresql runuser -u postgres -- /usr/lib/postgresql/17/bin/postgres -D /var/lib/postgresql/17/main \
        -c config_file=/etc/postgresql/17/main/postgresql.conf
    until_answers 'runuser -u postgres -- psql -qc "ALTER ROLE oar PASSWORD '"'$password'"'"'
    sed -i "s|^DB_BASE_PASSWD=.*|DB_BASE_PASSWD=\"$password\"|" /etc/oar/oar.conf
}

port_answers() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

until_answers() { # until_answers COMMAND: 30 s at most
    local left=300
    until eval "$1" > /dev/null 2>&1; do
        [ $((left -= 1)) -gt 0 ] || { say "this failed for 30 s: $1"; exit 1; }
        sleep 0.1
    done
}

start_server() {
    # It is root's directory; each program of OAR writes to this file as oar.
    install -m 644 -o oar -g oar /dev/null /var/log/oar.log
    supervise oar-server /usr/sbin/Almighty
    until_answers 'port_answers 6666'
    batch_changed
}

make_api_users() {
    local entry name uid gid password
    for entry in $USERS; do
        IFS=: read -r name uid gid <<< "$entry"
        password=$(secret)
        htpasswd -i /etc/oar/api-users "$name" <<< "$password" 2> /dev/null
        install -m 600 -o "$uid" -g "$gid" /dev/null "/home/$name/.netrc"
        echo "machine front login $name password $password" > "/home/$name/.netrc"
    done
}

start_web() {
    make_api_users
    supervise apache2 bash -c '. /etc/apache2/envvars && mkdir -p "$APACHE_RUN_DIR" "$APACHE_LOCK_DIR" && exec apache2 -DFOREGROUND'
}

batch_changed() {
    [ "$ROLE" = front ] || return 0
    # shellcheck disable=SC2086  # words on purpose
    (cd / && runuser -u oar -- env OARCONFFILE=/etc/oar/oar.conf "$oar_lib/add-nodes" "$SLOTS" $NODES)
}

start_batch() {
    share_oar_key
    supervise oar-sshd /usr/sbin/sshd -D -E /var/log/oar-sshd.log -f /etc/oar/sshd_config
    if [ "$ROLE" = front ]; then
        adapt_resource_manager
        start_database
        start_server
        start_web
    else
        prepare_oar_cgroups
    fi
}

# A node's resources have a state each, mostly the same one.
batch_states() {
    timeout 10 oarnodes -J 2> /dev/null | python3 -c '
import json, sys
states = {}
for resource in json.load(sys.stdin).values():
    states.setdefault(resource["network_address"], set()).add(resource["state"])
for node, found in states.items():
    print(node, "+".join(sorted(found)))'
}

batch_ready() {
    [ "$ROLE" = front ] || return 0
    [ "$(batch_states 2> /dev/null | grep -c ' Alive$')" = "$(wc -w <<< "$NODES")" ] && port_answers 80 && port_answers 6668
}

batch_missing() { echo "not all nodes are Alive in oarnodes: $(batch_states 2>&1 | tr '\n' ',')"; }

batch_urls() {
    echo 'Monika http://front/monika'
    echo 'Drawgantt http://front/drawgantt-svg/'
    echo 'API http://front:6668/oarapi/'
}

batch_logs() {
    if [ "$ROLE" = front ]; then echo /var/log/oar.log /var/log/apache2/error.log /var/log/postgresql.log; fi
    echo /var/log/oar-sshd.log
}
