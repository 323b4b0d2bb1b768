#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What is measured on each kernel of the matrix:  measure.sh PROGRAMS RESULTS [SET]
# PROGRAMS holds sojourn, load, verifier and the BPF objects. Writes raw results into the folder RESULTS and judges
# nothing: matrix.t does. Runs on the host as well as in a guest, where sh, sed and the like are busybox's.
set -u

programs=$1
results=$2
set=${3:-}
work=$(mktemp -d)
started=
finish() {
    for pid in $started; do kill "$pid" 2>/dev/null; done
    wait
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 143' TERM INT HUP

sojourn() { "$programs/sojourn" "$@"; }
load() { "$programs/load" "$@"; }

step() { echo "step: $* ($(cut -d ' ' -f 1 /proc/uptime) s)"; }

# Runs a command; its output and its status are results.
keep() { # name, command...
    name=$1
    shift
    "$@" >"$results/$name" 2>"$results/$name.err"
    echo $? >"$results/$name.status"
}

# Waits for a line in a file, for as long as the process lives that is to write it.
await() { # pattern, file, process
    tries=0
    until grep -q "$1" "$2" 2>/dev/null; do
        if ! kill -0 "$3" 2>/dev/null; then return 1; fi
        tries=$((tries + 1))
        if [ $tries -gt 1200 ]; then return 1; fi
        sleep 0.1
    done
}

server() { # name, its options...: leaves the address in $address
    name=$1
    shift
    # not by the function above: what is killed would be its shell
    "$programs/load" server --idle-exit 0 --ready-file "$work/$name" "$@" \
        >"$results/server.$name" 2>"$results/server.$name.err" &
    server=$!
    started="$started $server"
    await : "$work/$name" $server
    address=$(cat "$work/$name")
}

client() { # name, its options...
    name=$1
    shift
    keep "client.$name" load client --name sjvm-client --path "/$name" "$@"
}

chosen=${set:+--probe-set $set}

step check
keep check.json sojourn check --json
if [ -z "$set" ]; then set=$(sed -n 's/.*"probe_set":"\([a-z]*\)".*/\1/p' "$results/check.json"); fi

step verifier
keep verifier "$programs/verifier" "$programs/$set.bpf.o"

step counts
server tcp --name sjvm-server --listen 127.0.0.1:0
tcp=$address
server unix --name sjvm-server --listen "unix:$work/socket"
unix=$address
server stairs --name sjvm-stairs --model single --cpu 5ms --sleep 20ms --listen 127.0.0.1:0
stairs=$address
# shellcheck disable=SC2086 # no option, or one and its value
"$programs/sojourn" record -o "$results/recording" $chosen >"$results/record" 2>"$results/record.err" &
recorder=$!
started="$started $recorder"
await '^measuring' "$results/record.err" $recorder
step measuring
client tcp-keep --connect "$tcp" --connections 3 --requests 401
client tcp-once --connect "$tcp" --one-shot --requests 199
client unix-keep --connect "$unix" --connections 2 --requests 251
client unix-once --connect "$unix" --one-shot --requests 146
step stairs
for round in a b c; do
    client "stairs-$round" --connect "$stairs" --connections 5 --one-shot --connect-first --requests 5
done
kill -INT $recorder
wait $recorder
echo $? >"$results/record.status"
keep report.json sojourn report --json --fit none --from "$results/recording"
keep trace.json sojourn trace --json --from "$results/recording"
gzip -f "$results/trace.json"
rm -f "$results/recording"

step rights
cat /proc/sys/kernel/unprivileged_bpf_disabled >"$results/unprivileged"
# what kernels before 5.11 count BPF memory against; raising it is a right of its own
# shellcheck disable=SC3045 # the shells at hand have it
ulimit -l unlimited 2>/dev/null
two='-all,+bpf,+perfmon'
# shellcheck disable=SC2086
"$programs/setpriv" --reuid 65534 --regid 65534 --clear-groups --inh-caps=$two --ambient-caps=$two --bounding-set=$two \
    "$programs/sojourn" report --json --fit none --port "${tcp##*:}" --role server $chosen \
    >"$results/rights.json" 2>"$results/rights.json.err" &
reporter=$!
started="$started $reporter"
await '^measuring' "$results/rights.json.err" $reporter
cat /proc/$reporter/task/*/status >"$results/rights.threads"
client rights --connect "$tcp" --requests 200
kill -INT $reporter
wait $reporter
echo $? >"$results/rights.json.status"
case $(uname -r) in 5.10.*)
    (
        # shellcheck disable=SC3045
        ulimit -l 64
        keep limited "$programs/setpriv" --reuid 65534 --regid 65534 --clear-groups --inh-caps=$two --ambient-caps=$two \
            --bounding-set=$two "$programs/sojourn" report -d 1s --json --fit none
    )
    ;;
esac

step daemon
mkdir "$work/state"
cat >"$work/sojourn.yaml" <<end
listen: 127.0.0.1:10436
state_dir: $work/state
probe_set: ${set:-auto}
alerts:
  - {name: busy, match: {service: sjvm-server, role: server, port: ${tcp##*:}}, when: requests > 100, over: 10s}
notify:
  - exec: {command: [/bin/busybox, sh, -c, "cat >>$results/daemon.told"]}
end
"$programs/sojourn" serve -c "$work/sojourn.yaml" >"$results/daemon" 2>"$results/daemon.err" &
daemon=$!
started="$started $daemon"
await '^measuring' "$results/daemon.err" $daemon
client daemon --connect "$tcp" --connections 2 --requests 300
await '"firing"' "$results/daemon.told" $daemon
keep daemon.json busybox wget -q -O - http://127.0.0.1:10436/api/v1/report
keep daemon.metrics busybox wget -q -O - http://127.0.0.1:10436/metrics
cat /proc/$daemon/task/*/status >"$results/daemon.threads"
kill -TERM $daemon
wait $daemon
echo $? >"$results/daemon.status"

step 'end'
uname -r >"$results/release"
dmesg >"$results/dmesg" 2>/dev/null
