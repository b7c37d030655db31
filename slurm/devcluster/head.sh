#!/bin/bash
# Starts the head's daemons: MariaDB (its own data, loopback only), slurmdbd, slurmctld.
set -e
cd "$ROOT"
if [ ! -d state/mysql/mysql ]; then
    chown mysql: state/mysql
    mariadb-install-db --no-defaults --datadir="$ROOT/state/mysql" --user=mysql --skip-test-db \
        --auth-root-authentication-method=socket >log/mysql_install.log 2>&1
fi
touch log/mysql.err
chown mysql run log/mysql.err
setsid mariadbd --defaults-file="$ROOT/etc/my.cnf" </dev/null >/dev/null 2>&1 &
sql() { mariadb --no-defaults -S "$ROOT/run/mysql.sock" "$@"; }
for _ in $(seq 300); do sql -e 'select 1' >/dev/null 2>&1 && break; sleep .1; done
sql -e "create database if not exists slurm_acct;
        create user if not exists 'slurm'@'127.0.0.1' identified by 'slurm';
        grant all on slurm_acct.* to 'slurm'@'127.0.0.1'"
slurmdbd
for _ in $(seq 300); do sacctmgr -n show cluster >/dev/null 2>&1 && break; sleep .1; done
sacctmgr -n -i add cluster dual || true
slurmctld
