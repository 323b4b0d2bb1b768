#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the ExecStart of a systemd unit under the unit's own restrictions, where no systemd is at hand:

  sjsandbox.py UNIT STAGE

STAGE holds usr/local and etc/sojourn, what is to be found there, state/ for StateDirectory= and notify/ with the socket
that NOTIFY_SOCKET names as /run/notify/NAME. Every line of [Service] is either applied or known to be beside the point;
any other is an error. It needs root, and its own process becomes that of the unit.
"""

import ctypes
import os
import re
import resource
import stat
import subprocess
import sys

USER = 61184  # the first of those that DynamicUser= takes
libc = ctypes.CDLL(None, use_errno=True)
seccomp = ctypes.CDLL("libseccomp.so.2")

# For the service manager, not for the process; or for kernels before 5.11, where tests/vm/unit.t has a real manager.
MANAGER = {"Type", "ExecStart", "ExecReload", "Restart", "RestartSec", "RestartPreventExitStatus", "WatchdogSec",
           "TimeoutStartSec", "StateDirectoryMode", "TasksMax", "KeyringMode", "RemoveIPC", "LimitMEMLOCK"}
# What is a file system of its own, or is missing, in root() below.
MOUNTS = {"ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes", "ProcSubset": "pid",
          "ProtectKernelTunables": "yes", "ProtectControlGroups": "yes", "PrivateMounts": "yes",
          "StateDirectory": "sojourn"}
# What limit_calls() has a filter for.
CALLS = {"SystemCallFilter", "SystemCallErrorNumber", "SystemCallArchitectures", "RestrictAddressFamilies",
         "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality", "MemoryDenyWriteExecute",
         "ProtectKernelModules", "ProtectKernelLogs", "ProtectClock", "ProtectHostname"}
RIGHTS = {"DynamicUser", "AmbientCapabilities", "CapabilityBoundingSet", "NoNewPrivileges", "UMask", "LimitNOFILE",
          "PrivateIPC"}
CAPABILITIES = {"CAP_BPF": 39, "CAP_PERFMON": 38}


def check(result, what):
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def read_unit(path):
    service, inside = {}, False
    with open(path, encoding="utf-8") as file:
        for line in map(str.strip, file):
            if line.startswith("["):
                inside = line == "[Service]"
            elif inside and line and line[0] not in "#;":
                key, _, value = line.partition("=")
                service.setdefault(key, []).append(value)
    unknown = set(service) - MANAGER - set(MOUNTS) - CALLS - RIGHTS
    unknown |= {key for key, value in MOUNTS.items() if key in service and service[key] != [value]}
    if unknown:
        sys.exit(f"{path}: not applied here: {', '.join(sorted(unknown))}")
    return service


# ---- what it sees ---------------------------------------------------------------------------------------------------

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_SLAVE = 1, 2, 4, 8, 4096, 16384, 1 << 19
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000


def mount(source, target, kind="", flags=0, options=""):
    check(libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()),
          f"mount {target}")


def set_read_only(path, on, recursive):
    attributes = (ctypes.c_uint64 * 4)(MS_RDONLY if on else 0, 0 if on else MS_RDONLY, 0, 0)
    check(libc.syscall(MOUNT_SETATTR, AT_FDCWD, path.encode(), AT_RECURSIVE if recursive else 0, attributes, 32),
          f"mount_setattr {path}")


def bind(source, target):
    """A folder, a file or a symbolic link as it is, under another name."""
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        with open(target, "wb"):
            pass
    mount(source, target, flags=MS_BIND | MS_REC)


def root(stage, service):
    """The root that the unit describes: everything can only be read but the state and temporary files."""
    check(libc.unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC), "unshare")
    mount("", "/", flags=MS_REC | MS_SLAVE)
    new = os.path.join(stage, "root")
    os.makedirs(new, exist_ok=True)
    mount("tmpfs", new, "tmpfs", MS_NOSUID, "mode=755")
    for name in os.listdir("/"):
        if name.startswith(("bin", "sbin", "lib", "usr")):
            bind("/" + name, f"{new}/{name}")
    mount(stage + "/usr/local", new + "/usr/local", flags=MS_BIND)
    os.mkdir(new + "/etc")
    for name in os.listdir("/etc"):
        if name != "sojourn":
            bind("/etc/" + name, f"{new}/etc/{name}")
    bind(stage + "/etc/sojourn", new + "/etc/sojourn")
    os.mkdir(new + "/proc")
    mount("proc", new + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "subset=pid" if "ProcSubset" in service else "")
    bind("/sys", new + "/sys")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        os.makedirs(new + "/dev", exist_ok=True)
        bind("/dev/" + name, f"{new}/dev/{name}")
    bind(stage + "/notify", new + "/run/notify")
    bind(stage + "/state", new + "/var/lib/sojourn")
    for name in ("tmp", "var/tmp"):
        os.makedirs(f"{new}/{name}")
        mount("tmpfs", f"{new}/{name}", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for name in ("home", "root"):
        os.mkdir(f"{new}/{name}", 0)
    set_read_only(new, True, True)
    for name in ("tmp", "var/tmp", "var/lib/sojourn"):
        set_read_only(f"{new}/{name}", False, False)
    os.chown(new + "/var/lib/sojourn", USER, USER)
    os.chroot(new)
    os.chdir("/")


# ---- what it may ----------------------------------------------------------------------------------------------------

PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 8, 24, 38, 47, 2
CAPABILITY_VERSION = 0x20080522


def give_rights_up(service):
    kept = {CAPABILITIES[name] for name in service["AmbientCapabilities"][0].split()}
    bounds = {CAPABILITIES[name] for name in service["CapabilityBoundingSet"][0].split()}
    with open("/proc/self/status", encoding="utf-8") as file:
        highest = int(re.search(r"CapBnd:\t(\w+)", file.read())[1], 16).bit_length()
    for capability in set(range(highest)) - bounds:
        check(libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "bounding set")
    files = int(service["LimitNOFILE"][0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    os.umask(int(service["UMask"][0], 8))
    check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keepcaps")
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    mask = sum(1 << capability for capability in kept)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    check(libc.capset(header, (ctypes.c_uint32 * 6)(low, low, low, high, high, high)), "capset")
    for capability in kept:
        check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0), "ambient")
    if service.get("NoNewPrivileges") == ["yes"]:
        check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


class Argument(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


ALLOW, EPERM, ENOSYS, EAFNOSUPPORT = 0x7FFF0000, 0x50001, 0x50000 | 38, 0x50000 | 97
NE, EQ, GT, MASKED_EQ = 1, 4, 6, 7  # enum scmp_compare


def new_filter(action):
    seccomp.seccomp_init.restype = ctypes.c_void_p
    return ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(action)))


def rule(context, action, name, *arguments):
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    if number == -1:
        return
    array = (Argument * max(1, len(arguments)))(*arguments)
    result = seccomp.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(arguments), array)
    if result not in (0, -33):  # EDOM: not a call of this architecture
        raise OSError(-result, f"{name}: {os.strerror(-result)}")


def load(context):
    result = seccomp.seccomp_load(context)
    seccomp.seccomp_release(context)
    if result:
        raise OSError(-result, "seccomp_load")


def groups():
    """The sets of calls that have a name, as this systemd has them."""
    told = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=True).stdout
    found, now = {}, None
    for line in told.splitlines():
        word = line.strip()
        if line.startswith("@"):
            now = found.setdefault(word, [])
        elif now is not None and line.startswith(" ") and word and not word.startswith("#"):
            now.append(word)
    return found


def members(name, sets):
    return {name} if name[0] != "@" else {call for part in sets[name] for call in members(part, sets)}


def allowed_calls(lines, sets):
    """The first line begins a list of what is allowed; those with ~ take away, others add."""
    calls = members("@default", sets)
    for line in lines:
        named = set().union(*(members(word, sets) for word in line.lstrip("~").split()))
        calls = calls - named if line[0] == "~" else calls | named
    return calls


def limit_calls(service, sets):
    never = new_filter(ALLOW)
    families = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
    kept = sorted(families[name] for name in service["RestrictAddressFamilies"][0].split())
    for family in set(range(kept[-1])) - set(kept):
        rule(never, EAFNOSUPPORT, "socket", Argument(0, EQ, family, 0))
    rule(never, EAFNOSUPPORT, "socket", Argument(0, GT, kept[-1], 0))
    if "RestrictNamespaces" in service:
        for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
            rule(never, EPERM, "clone", Argument(0, MASKED_EQ, flag, flag))
        rule(never, ENOSYS, "clone3")
        rule(never, EPERM, "unshare")
        rule(never, EPERM, "setns")
    if "MemoryDenyWriteExecute" in service:
        rule(never, EPERM, "mmap", Argument(2, MASKED_EQ, 6, 6))
        for name in ("mprotect", "pkey_mprotect"):
            rule(never, EPERM, name, Argument(2, MASKED_EQ, 4, 4))
    if "RestrictRealtime" in service:
        rule(never, EPERM, "sched_setscheduler", Argument(1, NE, 0, 0))
    if "RestrictSUIDSGID" in service:
        for name, at in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("open", 2), ("openat", 3), ("mkdir", 1), ("mkdirat", 2)):
            for bit in (stat.S_ISUID, stat.S_ISGID):
                rule(never, EPERM, name, Argument(at, MASKED_EQ, bit, bit))
    if "LockPersonality" in service:
        rule(never, EPERM, "personality", Argument(0, NE, 0, 0))
    for key, group in (("ProtectKernelModules", "@module"), ("ProtectClock", "@clock")):
        for name in members(group, sets) if key in service else ():
            rule(never, EPERM, name)
    for name in ("syslog", "sethostname", "setdomainname"):
        rule(never, EPERM, name)
    load(never)
    if service["SystemCallErrorNumber"] != ["EPERM"]:
        sys.exit("another SystemCallErrorNumber")
    only = new_filter(EPERM)
    for name in sorted(allowed_calls(service["SystemCallFilter"], sets)):
        rule(only, ALLOW, name)
    load(only)


def main():
    service = read_unit(sys.argv[1])
    sets = groups()
    root(os.path.abspath(sys.argv[2]), service)
    give_rights_up(service)
    limit_calls(service, sets)
    words = service["ExecStart"][0].split()
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "WATCHDOG_USEC": "30000000"}
    if "NOTIFY_SOCKET" in os.environ:
        environment["NOTIFY_SOCKET"] = os.environ["NOTIFY_SOCKET"]
    os.execve(words[0], words, environment)


main()
