#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The rules of the house that a machine can check, as TAP. B is the build folder (build).
# Each check_* prints what it found and fails if that is anything.
# shellcheck disable=SC2317 # they are called by name, at the end
set -u
cd "$(dirname "$0")/.." || exit 1

B=${B:-build}
logs=$B/lint
mkdir -p "$logs" || exit 1
unset MAKEFLAGS MFLAGS MAKELEVEL
export PATH="$PATH:/usr/sbin:/sbin"

# What belongs to the project: the files that git knows or would add, or everything outside build folders.
files() {
    {
        git ls-files -co --exclude-standard 2>/dev/null ||
            find . -name .git -prune -o -name 'build*' -prune -o -type f -print | sed 's,^\./,,'
    } | sort | while IFS= read -r file; do
        if [ -f "$file" ]; then printf '%s\n' "$file"; fi
    done
}
files >"$logs/files"
own_c() { grep -E '^(user|bpf|include|tools|tests)/.*\.[ch]$' "$logs/files"; }
# Scripts need no suffix: the first line tells.
with_first_line() {
    while IFS= read -r file; do
        if head -n 1 "$file" | grep -aqE "$1"; then printf '%s\n' "$file"; fi
    done <"$logs/files"
}
# grep in the listed files, as a check: a match is a finding.
forbid() { # pattern, comment; the files come on standard input
    found=$(xargs -r grep -nIE "$1" /dev/null)
    if [ -n "$found" ]; then printf '%s\n%s\n' "$2" "$found"; fi
    [ -z "$found" ]
}

check_format() {
    own_c | {
        bad=
        while IFS= read -r file; do
            clang-format --dry-run -Werror "$file" >/dev/null 2>&1 || bad="$bad $file"
        done
        if [ -n "$bad" ]; then echo "not formatted; the remedy: make format F='${bad# }'"; fi
        [ -z "$bad" ]
    }
}

check_tidy() { make -s -k -j"$(nproc)" B="$B" tidy 2>&1; }

check_cppcheck() {
    # It trips over statement expressions (uninitvar) and does not know cleanup attributes (leaks); gcc, clang-tidy and
    # the sanitizers do. It does not read the system's headers, so macros that declare or loop are told.
    mkdir -p "$logs/cppcheck"
    own_c | grep -E '^(user|tools)/.*\.c$' | xargs -r cppcheck --std=c11 --enable=warning,performance --inline-suppr \
        --suppress=uninitvar --suppress=legacyUninitvar --suppress=memleak --suppress=resourceLeak \
        --error-exitcode=1 --quiet --cppcheck-build-dir="$logs/cppcheck" \
        '-DLIBBPF_OPTS(type, name, ...)=struct type name' \
        '-DTAILQ_HEAD(name, type)=struct type' '-DTAILQ_ENTRY(type)=struct type *' \
        '-DTAILQ_FOREACH(each, head, field)=while (each)' -D_GNU_SOURCE -Iinclude -Iuser 2>&1
}

# The kernel side must compile for the architectures that vmlinux/ describes, whichever this one is.
check_other_architectures() {
    for arch in x86 arm64; do
        make -s -j"$(nproc)" B="$logs/$arch" BPF_ARCH="$arch" bpf 2>&1 || return 1
    done
}

check_shell() { with_first_line '^#!.*[/ ](sh|bash)$' | xargs -r shellcheck; }

check_python() {
    with_first_line '^#!.*python3' | xargs -r python3 -c '
import sys
for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as source:
        compile(source.read(), name, "exec")' 2>&1
}

check_man() { grep -E '^docs/.*\.[0-9]$' "$logs/files" | xargs -r mandoc -T lint -W warning; }

check_licence() {
    bad=0
    {
        with_first_line '^#!'
        grep -E '(^|/)(Makefile|\.clang-[a-z]+|[^/]*\.([ch]|list|R|bt|[0-9]))$' "$logs/files"
    } | sort -u | {
        while IFS= read -r file; do
            case $file in
            bpf/* | include/* | vmlinux/* | tests/bpf/*) wanted=GPL-2.0-or-later ;;
            *) wanted=GPL-3.0-or-later ;;
            esac
            if ! head -n 3 "$file" | grep -qE "SPDX-License-Identifier: $wanted( |\$)"; then
                echo "$file: no line 'SPDX-License-Identifier: $wanted' at the top"
                bad=1
            fi
        done
        return "$bad"
    }
}

# The patterns are put together here so that they do not find themselves.
check_places() {
    forbid "$(printf '%s|' "$(pwd)/" '/ho''me/[a-z]' '/ro''ot/' '/tm''p/w/')/wo""rk/(main|shared)" \
        'the path of one machine:' <"$logs/files"
}

check_unfinished() { forbid '\b(TO''DO|FIX''ME|XX''X|HA''CK)\b' 'unfinished:' <"$logs/files"; }

check_banned() {
    own_c | forbid '\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|atof|alloca)[[:space:]]*\(' \
        'no bounds, or no errors: use snprintf, strtoul and their like'
}

check_length() {
    own_c | xargs -r wc -l | awk '$2 != "total" && $1 > 500 { print $2 ": " $1 " lines; 500 are the limit"; n++ }
        END { exit n > 0 }'
}

# Data moves one way: the rooms to the right know nothing of the kernel, and three of them do no I/O at all.
check_rooms() {
    bad=0
    own_c | grep '^user/' | grep -vE '^user/(probe|collect)/' |
        forbid '^#[[:space:]]*include.*(<bpf/|\.skel\.h)' 'only user/probe and user/collect know libbpf:' || bad=1
    own_c | grep -E '^user/(model|decode|watch)/' |
        forbid '\b(time|clock_gettime|sj_(clock|mono|real)_ns|gettimeofday|fopen|open|socket|f?printf|f?puts|getenv)[[:space:]]*\(' \
            'model, decode and watch are pure; time is an argument:' || bad=1
    own_c | grep -E '^user/(net|web|notify)/' |
        forbid '^#[[:space:]]*include "(courier|serve|collect|probe|series|command)' \
            'net, web and notify know neither of the two processes:' || bad=1
    own_c | grep -E '^user/net/' |
        forbid '^#[[:space:]]*include "(web|notify|config)/' 'net is below web and notify:' || bad=1
    own_c | grep -E '^user/(model|decode|watch|series|collect|probe|export|net|web|notify)/' |
        forbid '\b(stderr|perror|exit|abort)\b' 'a library neither prints nor exits:' || bad=1
    return "$bad"
}

# Only the stop flag and the log level may change behind everyone's back.
check_globals() {
    make -s B="$B" "$B/libsojourn.a" 2>&1 || return 1
    objdump -t "$B/libsojourn.a" | awk '
        / O (\.bss|\.data|\.data\.rel|\.data\.rel\.local|\.tbss|\.tdata|\*COM\*)[[:space:]]/ &&
            $NF !~ /^sj_(stop|log)/ { print "a variable that lives for ever: " $NF; n++ }
        END { exit n > 0 }'
}

set -- format tidy cppcheck other_architectures shell python man licence places unfinished banned length rooms globals
echo "1..$#"
number=0
status=0
for check; do
    number=$((number + 1))
    if "check_$check" >"$logs/$check.log" 2>&1; then
        echo "ok $number - $check"
    else
        status=1
        echo "not ok $number - $check"
        sed 's/^/# /' "$logs/$check.log" | head -n 200
    fi
done
exit $status
