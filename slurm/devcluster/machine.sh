#!/bin/bash
# Process 1 of a machine of the cluster: gives it a name, its own /etc/hosts, /dev/shm and local disk, starts its daemons.
name=$1
hostname "$name"
mount --bind "$ROOT/etc/hosts" /etc/hosts
mount -t tmpfs -o size=2g tmpfs /dev/shm
mount --bind "$ROOT/nodes/$name" "$ROOT/local"
trap 'exit 0' TERM
if [ "$name" = head ]; then "$HERE/head.sh"; else slurmd -N "$name"; fi
while :; do
    sleep 86400 &   # bash reaps what is orphaned in this namespace while it waits
    wait $!
done
