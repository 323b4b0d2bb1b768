#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs what is missing to build and test, on Debian and its relatives:  tools/install-deps.sh [-n] GROUP...
# Groups: build, test. -n only says what is missing. Nothing happens when nothing is missing. The services among the
# packages (web server, databases) are neither started now nor enabled for the next boot: the tests start their own.
set -eu

build='gcc libc6-dev make pkg-config clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev libgsl-dev libjansson-dev
    libyaml-dev libcap-ng-dev libseccomp-dev libevent-dev libssl-dev libcrypt-dev python3'
test='libcmocka-dev perl nginx-light/nginx redis-server redis-tools postgresql wrk tcpdump bpftrace curl openssl
    r-base-core r-cran-fitdistrplus libclang-rt-14-dev clang-format clang-tidy cppcheck shellcheck mandoc git qemu-system-x86
    busybox-static cpio iproute2 strace libcap2-bin procps systemd
    prometheus prometheus-alertmanager protobuf-compiler python3-protobuf python3-prometheus-client'
services='nginx redis-server postgresql prometheus prometheus-alertmanager'

guard=/usr/sbin/policy-rc.d
guard_mark='# written by tools/install-deps.sh for as long as it runs'

say() { printf '%s\n' "$*"; }
die() {
    printf 'install-deps: %s\n' "$*" >&2
    exit 1
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Of alternatives written a/b, any one will do; the first is what gets installed.
list_missing() {
    for entry in "$@"; do
        found=no
        for package in $(printf '%s' "$entry" | tr / ' '); do
            if installed "$package"; then found=yes; fi
        done
        if [ $found = no ]; then say "${entry%%/*}"; fi
    done
}

# While the guard is in place, installing a package starts nothing. One that was there before comes back.
guard_up() {
    if [ -e "$guard" ] && grep -qF "$guard_mark" "$guard"; then rm -f "$guard"; fi
    if [ -e "$guard" ]; then mv "$guard" "$guard.sojourn-saved"; fi
    printf '#!/bin/sh\n%s\nexit 101\n' "$guard_mark" >"$guard"
    chmod 755 "$guard"
}
guard_down() {
    if [ -e "$guard" ] && grep -qF "$guard_mark" "$guard"; then rm -f "$guard"; fi
    if [ -e "$guard.sojourn-saved" ]; then mv "$guard.sojourn-saved" "$guard"; fi
    rm -f "${log:-}"
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1 </dev/null
}

lists_are_fresh() {
    [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mtime -1 2>/dev/null | head -n 1)" ]
}

install_all() {
    updated=no
    if ! lists_are_fresh; then
        apt update || say 'install-deps: the package lists could not be refreshed; trying with those at hand' >&2
        updated=yes
    fi
    if apt install --no-install-recommends "$@"; then return 0; fi
    if [ $updated = yes ]; then return 1; fi
    apt update && apt install --no-install-recommends "$@"
}

dry=no
if [ "${1:-}" = -n ]; then
    dry=yes
    shift
fi
[ $# -gt 0 ] || die 'usage: tools/install-deps.sh [-n] build|test ...'
wanted=
for group in "$@"; do
    case $group in
    build) wanted="$wanted $build" ;;
    test) wanted="$wanted $test" ;;
    *) die "no group '$group': build or test" ;;
    esac
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: make sure that there are the equivalents of:$wanted" >&2
    exit 0
fi

# shellcheck disable=SC2086 # lists of words
missing=$(list_missing $wanted | tr '\n' ' ')
[ -n "$missing" ] || exit 0
if [ $dry = yes ]; then
    say "missing: $missing"
    exit 0
fi
[ "$(id -u)" = 0 ] || die "packages are missing; as root: apt-get install --no-install-recommends $missing"

new_services=
for service in $services; do
    if ! command -v update-rc.d >/dev/null || [ -e "/etc/init.d/$service" ]; then continue; fi
    new_services="$new_services $service"
done

say "installing: $missing"
log=$(mktemp)
trap guard_down EXIT
trap 'exit 130' HUP INT TERM
guard_up
# shellcheck disable=SC2086
if ! install_all $missing; then
    tail -n 20 "$log" >&2
    die 'apt-get failed'
fi
for service in $new_services; do
    if [ -e "/etc/init.d/$service" ]; then update-rc.d "$service" disable >/dev/null 2>&1 || true; fi
done
