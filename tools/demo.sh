#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The demonstration: one single-threaded server that computes for 5 ms and sleeps for 20 ms per request, and five
# clients that ask at the same instant, once a second. The server believes that every request took 25 ms. What the
# clients wait for is another matter, and sojourn shows where the rest of it went. Ends by itself after about 10 s.
set -eu
cd "$(dirname "$0")/.."

B=${B:-build}
sojourn=${SOJOURN:-$B/sojourn}
load=$B/tools/load
rounds=6
clients=5

die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}
for program in "$sojourn" "$load"; do
    [ -x "$program" ] || die "$program is missing: run 'make run', or 'make && make tools'"
done

dir=$(mktemp -d)
server=''
trace=''
report=''
askers=''
finish() {
    trap '' INT TERM HUP PIPE
    trap - EXIT
    for pid in $askers $trace $report $server; do kill "$pid" 2>/dev/null || :; done
    wait
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'exit 141' PIPE

# Waits up to 15 s for a line in a file while the process that is to write it lives.
await() { # pattern, file, process
    tries=0
    until grep -q "$1" "$2" 2>/dev/null; do
        kill -0 "$3" 2>/dev/null || return 1
        tries=$((tries + 1))
        [ $tries -lt 300 ] || return 1
        sleep 0.05
    done
}

# Waits until a measuring process has everything attached; when it does not, shows what it said and ends as it did.
await_measuring() { # process, its standard error
    if await '^measuring' "$2" "$1"; then return 0; fi
    cat "$2" >&2
    kill "$1" 2>/dev/null || :
    status=0
    wait "$1" || status=$?
    if [ $status -eq 0 ]; then status=1; fi
    printf 'demo: sojourn could not start measuring (exit status %d)\n' $status >&2
    exit $status
}

# A number out of one of load's results, in milliseconds: milliseconds FILE SECTION KEY
milliseconds() {
    seconds=$(sed -n "s/.*\"$2\":{[^}]*\"$3\":\\([0-9.e-]*\\).*/\\1/p" "$1")
    awk -v s="${seconds:-0}" 'BEGIN { printf "%.1f", s * 1000 }'
}

"$load" server --model single --cpu 5ms --sleep 20ms --idle-exit 60s --ready-file "$dir/address" \
    >"$dir/server" 2>"$dir/server.err" &
server=$!
await : "$dir/address" $server || die "the server did not start: $(cat "$dir/server.err")"
address=$(cat "$dir/address")
port=${address##*:}

cat <<END
A single-threaded server on $address: 5 ms of CPU and 20 ms of sleep per request.
$clients clients, connected beforehand, ask at the same instant, once a second, $rounds times.

\$ sojourn trace --port $port --role server
END
"$sojourn" trace --port "$port" --role server 2>"$dir/trace.err" &
trace=$!
"$sojourn" report -d "$((rounds + 2))s" --port "$port" --role server >"$dir/report" 2>"$dir/report.err" &
report=$!
await_measuring $trace "$dir/trace.err"
await_measuring $report "$dir/report.err"

i=1
while [ $i -le $clients ]; do
    "$load" client --connect "$address" --one-shot --open 1 --align 1s --requests $rounds --path "/client/$i" \
        >"$dir/client.$i" 2>>"$dir/client.err" &
    askers="$askers $!"
    i=$((i + 1))
done
for pid in $askers; do wait "$pid" || die "a client failed: $(cat "$dir/client.err")"; done
askers=''
status=0
wait $report || status=$?
report=''
kill -TERM $trace 2>/dev/null || :
wait $trace || :
trace=''

printf '\n$ sojourn report -d %ds --port %s --role server\n' $((rounds + 2)) "$port"
cat "$dir/report"
if [ $status -ne 0 ]; then
    cat "$dir/report.err" >&2
    exit $status
fi

kill -TERM $server
wait $server || die "the server failed: $(cat "$dir/server.err")"
server=''
fastest=$(for f in "$dir"/client.[0-9]*; do milliseconds "$f" latency min && echo; done | sort -n | head -n 1)
slowest=$(for f in "$dir"/client.[0-9]*; do milliseconds "$f" latency max && echo; done | sort -n | tail -n 1)
cat <<END

What the two ends know themselves:
  the server's own log   every request took $(milliseconds "$dir/server" service p50) ms (median; at most $(milliseconds "$dir/server" service max) ms)
  the clients            waited between $fastest and $slowest ms
END
