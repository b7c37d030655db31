# What the development cluster is made of; every value can be set in the environment of `up`. Sourced by the others.
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=${DEVCLUSTER:-${TMPDIR:-/tmp}/devcluster}   # configuration, state and logs
NODES=${NODES:-4} CPUS=${CPUS:-4} MEM=${MEM:-4000} GPUS=${GPUS:-4}   # of each node, as declared to Slurm; MEM in MB
PROCTRACK=${PROCTRACK:-auto}      # cgroup: signals reach a task's first process; linuxproc: all of its processes
SEND_USR=${SEND_USR:-0}           # 1: preempt_send_user_signal, USR2 also on preemption
KILL_WAIT=${KILL_WAIT:-5} CRED_EXPIRE=${CRED_EXPIRE:-5} SLURMD_TIMEOUT=${SLURMD_TIMEOUT:-20} GRACE=${GRACE:-120}
NET=10.77.0 BRIDGE=br-slurm
# netns: the controller and each node have their own network, host name, processes and /dev/shm.
# ports: no namespaces, all daemons on the loopback, each slurmd on a port of its own; nobody resolves the nodes' names,
# and no power can be cut.
if [ -e "$ROOT/run/mode" ]; then MODE=$(cat "$ROOT/run/mode"); else MODE=${MODE:-auto}; fi
if [ "$MODE" = auto ]; then
    if [ "$(id -u)" = 0 ] && unshare --net --mount --uts --pid --fork true 2>/dev/null; then MODE=netns; else MODE=ports; fi
fi
if [ "$PROCTRACK" = auto ]; then
    PROCTRACK=linuxproc
    grep -q ' /sys/fs/cgroup/freezer cgroup ' /proc/mounts && grep -q ' /sys/fs/cgroup/memory cgroup ' /proc/mounts && PROCTRACK=cgroup
fi
if [ "$MODE" = netns ]; then HEAD=head HEAD_ADDRESS=$NET.2; else HEAD=$(hostname -s) HEAD_ADDRESS=127.0.0.1; fi
export HERE ROOT MODE HEAD HEAD_ADDRESS SLURM_CONF=$ROOT/etc/slurm.conf

# Daemons must not hold what their caller holds open: a lock, a pipe that somebody reads to its end.
for descriptor in /proc/$$/fd/*; do
    case ${descriptor##*/} in 0 | 1 | 2 | 255) ;; *) eval "exec ${descriptor##*/}>&-" ;; esac
done

answers() { [ -e "$ROOT/run/slurmctld.pid" ] && [[ $(scontrol ping 2>/dev/null) == *" is UP"* ]]; }

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
    local turns=$(($1 * 5)) what=$2
    shift 2
    for _ in $(seq "$turns"); do
        "$@" >/dev/null 2>&1 && return 0
        sleep .2
    done
    echo "devcluster: $what; see $ROOT/log" >&2
    return 1
}

# stop PIDFILE: end the process that wrote it, and wait until it is gone.
stop() {
    local pid
    pid=$(cat "$1" 2>/dev/null) && rm -f "$1" && kill "$pid" 2>/dev/null || return 0
    wait_for 10 "process $pid does not end" eval "! kill -0 $pid" || kill -9 "$pid" 2>/dev/null
}
