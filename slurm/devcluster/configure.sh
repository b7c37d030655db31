# Writes the configuration files of all daemons to $ROOT/etc. Sourced by `up`.
cat > "$ROOT/etc/my.cnf" <<CONF
[mysqld]
datadir=$ROOT/state/mysql
socket=$ROOT/run/mysql.sock
pid-file=$ROOT/run/mysql.pid
user=mysql
bind-address=127.0.0.1
port=13306
innodb_buffer_pool_size=64M
innodb_log_file_size=32M
innodb_lock_wait_timeout=900
innodb_flush_log_at_trx_commit=0
performance_schema=OFF
skip-name-resolve
skip-log-bin
log-error=$ROOT/log/mysql.err
CONF

# slurmdbd reads this one only where nobody else can.
install -m 600 /dev/null "$ROOT/etc/slurmdbd.conf"
cat > "$ROOT/etc/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$ROOT/munge/socket
DbdHost=$HEAD
DbdAddr=$HEAD_ADDRESS
DbdPort=16819
SlurmUser=root
DebugLevel=info
LogFile=$ROOT/log/slurmdbd.log
PidFile=$ROOT/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=13306
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
$([ "$MODE" = ports ] && echo CommunicationParameters=NoInAddrAny)
CONF

# FirstJobId from the clock: submitit keeps results per job id and would take an old one for a new job's.
# A requeued job waits cred_expire and KillWait. AccountingStoragePass names our own munge socket.
cat > "$ROOT/etc/slurm.conf" <<CONF
ClusterName=dual
SlurmctldHost=$HEAD($HEAD_ADDRESS)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$ROOT/munge/socket,cred_expire=$CRED_EXPIRE
StateSaveLocation=$ROOT/state/ctld
SlurmdSpoolDir=$ROOT/spool/%n
SlurmctldPidFile=$ROOT/run/slurmctld.pid
SlurmdPidFile=$ROOT/run/slurmd-%n.pid
SlurmctldLogFile=$ROOT/log/slurmctld.log
SlurmdLogFile=$ROOT/log/slurmd-%n.log
SlurmctldDebug=verbose
SlurmdDebug=verbose
ProctrackType=proctrack/$PROCTRACK
TaskPlugin=$([ "$PROCTRACK" = cgroup ] && echo task/cgroup || echo task/none)
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=$HEAD_ADDRESS
AccountingStoragePort=16819
AccountingStoragePass=$ROOT/munge/socket
AccountingStorageTRES=gres/gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
GresTypes=gpu
SlurmdParameters=config_overrides
$([ "$SEND_USR" = 1 ] && echo SlurmctldParameters=preempt_send_user_signal)
$([ "$MODE" = ports ] && echo CommunicationParameters=NoCtldInAddrAny,NoInAddrAny)
MpiDefault=none
MailProg=/bin/true
FirstJobId=$(($(date +%s) % 67000000))
JobRequeue=1
ReturnToService=2
SlurmdTimeout=$SLURMD_TIMEOUT
KillWait=$KILL_WAIT
MinJobAge=600
SchedulerParameters=sched_interval=3,bf_interval=3
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=5 PreemptMode=OFF State=UP
PartitionName=high Nodes=ALL MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF State=UP
PartitionName=low  Nodes=ALL MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=$GRACE State=UP
PartitionName=low0 Nodes=ALL MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=0 State=UP
PartitionName=lowc Nodes=ALL MaxTime=INFINITE PriorityTier=1 PreemptMode=CANCEL GraceTime=$GRACE State=UP
PartitionName=lowc0 Nodes=ALL MaxTime=INFINITE PriorityTier=1 PreemptMode=CANCEL GraceTime=0 State=UP
CONF
for i in $(seq "$NODES"); do
    if [ "$MODE" = netns ]; then address="NodeAddr=$NET.1$i Port=16818"; else address="NodeHostname=$HEAD NodeAddr=127.0.0.1 Port=1690$i"; fi
    echo "NodeName=n$i $address Sockets=1 CoresPerSocket=$CPUS ThreadsPerCore=1 RealMemory=$MEM Gres=gpu:$GPUS State=UNKNOWN"
done >> "$ROOT/etc/slurm.conf"

cat > "$ROOT/etc/cgroup.conf" <<CONF
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
ConstrainRAMSpace=yes
AllowedSwapSpace=0
ConstrainCores=no
ConstrainDevices=no
CONF

# Pretended GPUs are links to /dev/null whose last digit is the index: plain files leave CUDA_VISIBLE_DEVICES empty,
# a count without files makes the node invalid.
echo AutoDetect=off > "$ROOT/etc/gres.conf"
for g in $(seq 0 $((GPUS - 1))); do ln -sfn /dev/null "$ROOT/dev/nvidia$g"; done
[ "$GPUS" = 0 ] || echo "NodeName=n[1-$NODES] Name=gpu File=$ROOT/dev/nvidia[0-$((GPUS - 1))]" >> "$ROOT/etc/gres.conf"

echo "127.0.0.1 localhost" > "$ROOT/etc/hosts"
if [ "$MODE" = netns ]; then
    echo "$NET.1 $(hostname -s)"
    echo "$HEAD_ADDRESS head"
    for i in $(seq "$NODES"); do echo "$NET.1$i n$i"; done
fi >> "$ROOT/etc/hosts"
