#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=dash disable=SC2317 # functions are called by name, by await
#
# What is done with deploy/sojourn.service where systemd is the first process: results go into files of /results, and
# then over the second serial line. Judges nothing: unit.t does. sh, sed and the like are busybox's.
results=/results
url=http://127.0.0.1:10435
mkdir -p $results

step() { echo "step: $* ($(cut -d ' ' -f 1 /proc/uptime) s)" >/dev/console; }
unit() { systemctl show sojourn -p ActiveState,SubState,NRestarts,MainPID,Result,ExecMainStatus; }
main_pid() { systemctl show sojourn -p MainPID --value; }
courier() { cut -d ' ' -f 1 "/proc/$1/task/$1/children"; }

# Waits until a command succeeds, for a while.
await() {
    tries=0
    until "$@" >/dev/null 2>&1 || [ $tries -gt 300 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
}
is_active() { [ "$(systemctl is-active sojourn)" = active ]; }
is_new() {
    now=$(main_pid)
    [ "$now" != 0 ] && [ "$now" != "$old" ] && is_active
}
is_reloaded() { wget -qO- $url/metrics | grep -q "^sojourn_config_last_reload_successful $1\$" && is_active; }
is_counted() { [ "$(counted)" = "$1" ]; }
counted() { wget -qO- $url/metrics | sed -n 's/^sojourn_requests_total{service_name="sjvm-client".* //p'; }
ask() { load client --name sjvm-client --connect "$(cat $results/address)" --requests "$1" --connections 3; }
attached() { bpftool -j link >"$results/$1"; }

finish() {
    step end
    stty -F /dev/ttyS1 raw 2>/dev/null
    tar -c -C $results . | gzip -1 | base64 >/dev/ttyS1
    echo end >/dev/ttyS1
    sync
    poweroff -f
    exit
}

step started
unit >$results/started
is_active || finish
wget -qO- $url/-/ready >/dev/null 2>&1
echo $? >$results/ready
pid=$(main_pid)
for one in $pid $(courier "$pid"); do
    sed -n 's/^\(Uid\|Cap...\|NoNewPrivs\|Seccomp\):[[:space:]]*/\1 /p' "/proc/$one/status"
done >$results/rights
cp "/proc/$pid/mountinfo" $results/mountinfo
ls -ldn /var/lib/private/sojourn >$results/state
attached links

step load
load server --name sjvm-server --listen 127.0.0.1:0 --idle-exit 0 --ready-file /results/address >/dev/null 2>&1 &
await test -s $results/address
ask 1009 >$results/client
await is_counted 1009
counted >$results/counted
await test -s /var/lib/private/sojourn/told
cp /var/lib/private/sojourn/told $results/told

step reload
systemctl reload sojourn
await is_reloaded 1
is_reloaded 1
echo $? >$results/reload
echo nonsense: 1 >>/etc/sojourn/sojourn.yaml
systemctl reload sojourn
await is_reloaded 0
is_reloaded 0
echo $? >$results/bad-reload
sed -i '$d' /etc/sojourn/sojourn.yaml

step kill
old=$pid
kill -9 "$(courier "$old")"
await is_new
unit >$results/killed
ask 503 >$results/client-again
await is_counted 503
counted >$results/counted-again

step stop
systemctl stop sojourn
unit >$results/stopped
wget -qO- $url/-/healthy >/dev/null 2>&1
echo $? >$results/gone
pidof sojourn >$results/left
attached links-left
finish
