#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The systemd unit under systemd: a kernel of Debian's boots in qemu with this machine's systemd as its first process,
which starts, reloads, restarts and stops the daemon by deploy/sojourn.service as `make install` installs it.

  tests/vm/unit.t [KERNEL...]    of 5.10, 6.1 and 6.12; without any the first, which asks for most
"""

import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import guest
import kernels

B = os.environ.get("B", "build")
SOJOURN = os.environ.get("SOJOURN", os.path.join(B, "sojourn"))
FOLDER = os.path.join(B, "vm")
ROOT = os.path.dirname(os.path.dirname(guest.HERE))
CAP_BPF = 39
SYSTEMD = "/usr/lib/systemd"
TIMEOUT = 600.0  # it takes 40 s where nothing else runs
# Targets that have to be there, and nothing that they would want to start.
TARGETS = ("basic", "sysinit", "local-fs", "sockets", "timers", "paths", "slices", "network", "shutdown", "umount",
           "swap", "multi-user", "emergency", "final", "poweroff", "reboot", "exit")
TEST_UNIT = """[Unit]
After=sojourn.service
Wants=sojourn.service
[Service]
Type=oneshot
ExecStart=/bin/sh /unit.sh
TimeoutStartSec=infinity
StandardOutput=null
"""
CONFIG = """listen: 127.0.0.1:10435
alerts:
  - name: busy
    match: {service: sjvm-client}
    when: requests > 100
    over: 600s
notify:
  - exec: {command: [/bin/sh, -c, "cat > /var/lib/sojourn/told"]}
"""


def put(root, path, text):
    os.makedirs(os.path.dirname(root + path), exist_ok=True)
    with open(root + path, "w", encoding="utf-8") as file:
        file.write(text)


def put_program(root, source, target):
    os.makedirs(os.path.dirname(root + target), exist_ok=True)
    shutil.copy(source, root + target)
    for library in guest.libraries(source):
        place = root + "/usr" + library if not library.startswith("/usr") else root + library
        if not os.path.exists(place):
            os.makedirs(os.path.dirname(place), exist_ok=True)
            shutil.copy(os.path.realpath(library), place)


def bpftool():
    found = shutil.which("bpftool", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise guest.Failed("bpftool is not installed")
    return found


def build_root(root):
    """A Debian that has systemd, the program as it is installed, the load generator, and busybox for the rest."""
    for folder in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "busybox", "new", "results", "proc", "sys", "dev",
                   "run", "tmp", "etc", "var/lib", "var/tmp", "home", "root"):
        os.makedirs(f"{root}/{folder}")
    for name in ("bin", "sbin", "lib", "lib64"):
        os.symlink("usr/" + name, f"{root}/{name}")
    for name in ("systemd", "systemd-shutdown"):
        put_program(root, f"{SYSTEMD}/{name}", f"{SYSTEMD}/{name}")
    put_program(root, shutil.which("systemctl"), "/usr/bin/systemctl")
    put_program(root, os.path.join(B, "tools/load"), "/usr/bin/load")
    put_program(root, bpftool(), "/usr/bin/bpftool")
    busybox = shutil.which("busybox")
    shutil.copy(busybox, root + "/busybox/busybox")
    for name in subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split():
        if name != "busybox":
            os.symlink("busybox", f"{root}/busybox/{name}")
        if not os.path.exists(f"{root}/usr/bin/{name}"):
            os.symlink("/busybox/busybox", f"{root}/usr/bin/{name}")
    subprocess.run(["make", "-s", "-C", ROOT, "install", f"DESTDIR={os.path.abspath(root)}", "PREFIX=/usr/local",
                    f"B={os.path.abspath(B)}", "-o", f"{os.path.abspath(B)}/sojourn"], stdout=subprocess.DEVNULL,
                   check=True)
    put_program(root, SOJOURN, "/usr/local/bin/sojourn")
    for target in TARGETS:
        shutil.copy(f"{SYSTEMD}/system/{target}.target", put_folder(root, SYSTEMD + "/system"))
    put(root, "/etc/systemd/system/test.service", TEST_UNIT)
    # there is no journal: what it says is kept, for whoever has to find out what was wrong
    put(root, "/etc/systemd/system/sojourn.service.d/log.conf", "[Service]\nStandardError=append:/results/log\n")
    put(root, "/etc/systemd/system/default.target",
        "[Unit]\nRequires=basic.target\nAfter=basic.target\nWants=test.service\n")
    put(root, "/etc/sojourn/sojourn.yaml", CONFIG)
    put(root, "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
    put(root, "/etc/group", "root:x:0:\nnogroup:x:65534:\n")
    put(root, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
    put(root, "/etc/hosts", "127.0.0.1 localhost\n")
    put(root, "/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    put(root, "/etc/os-release", "ID=debian\nVERSION_ID=12\n")
    shutil.copy(os.path.join(guest.HERE, "unit.sh"), root + "/unit.sh")
    shutil.copy(os.path.join(guest.HERE, "unit-init"), root + "/init")


def put_folder(root, path):
    os.makedirs(root + path, exist_ok=True)
    return root + path


def make_initrd(path):
    root = path + ".root"
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(root)
    build_root(root)
    with open(path, "wb") as file:
        subprocess.run(f"cd '{root}' && find . | cpio -o -H newc --quiet | gzip -1", shell=True, check=True, stdout=file)
    shutil.rmtree(root)


class Results:
    """The files that the guest has sent, and the checks of them."""

    def __init__(self, folder, series, number):
        self.folder = folder
        self.series = series
        self.number = number
        self.failed = 0

    def read(self, name):
        try:
            with open(f"{self.folder}/{name}", encoding="utf-8", errors="replace") as file:
                return file.read().strip()
        except FileNotFoundError:
            return ""

    def fields(self, name, separator="="):
        return dict(line.split(separator, 1) for line in self.read(name).splitlines() if separator in line)

    def equal(self, got, expected, name):
        self.number += 1
        good = got == expected
        print(f"{'ok' if good else 'not ok'} {self.number} - {self.series}: {name}")
        if not good:
            print(f"# expected: {expected!r}\n# got: {got!r}")
            self.failed += 1
        sys.stdout.flush()

    def tell_ends(self):
        for name in ("console", "log"):
            print(f"# the end of {self.folder}/{name}:")
            for line in self.read(name).splitlines()[-25:]:
                print("# " + line.replace("#", "no."))


def judge(r):
    started = r.fields("started")
    r.equal((started.get("ActiveState"), started.get("SubState"), started.get("NRestarts")), ("active", "running", "0"),
            "systemd has heard that it is ready")
    r.equal(r.read("ready"), "0", "and so it is")
    rights = [line.split() for line in r.read("rights").splitlines()]
    users = [int(line[1]) for line in rights if line[0] == "Uid"]
    r.equal([61184 <= user <= 65519 for user in users] + [len(set(users))], [True, True, 1],
            "both processes are of a user made for them")
    kept = {0, 1 << CAP_BPF} if r.series == "5.10" else {0}  # there reading a map is a right too
    r.equal({int(line[1], 16) for line in rights if line[0] in ("CapEff", "CapPrm", "CapInh", "CapAmb")}, kept,
            "neither has rights left that can be given up")
    mounts = {line.split()[4]: line.split()[5].split(",")[0] for line in r.read("mountinfo").splitlines()}
    own = mounts.get("/var/lib/private/sojourn") or mounts.get("/var/lib/sojourn")
    r.equal((mounts.get("/"), mounts.get("/tmp"), own), ("ro", "rw", "rw"),
            "it can write to its state and nothing else")
    r.equal(r.read("state")[:10], "drwx------", "which is its own")
    r.equal((json.loads(r.read("client") or "{}").get("answered"), r.read("counted")), (1009, "1009"),
            "each request is counted, under the name of who made it")
    r.equal(json.loads(r.read("told") or "{}").get("status"), "firing", "a command is told of the alert")
    r.equal(r.read("reload"), "0", "systemctl reload")
    r.equal(r.read("bad-reload"), "0", "a bad configuration leaves the unit as it was, and is told of")
    killed = r.fields("killed")
    r.equal((killed.get("ActiveState"), killed.get("NRestarts")), ("active", "1"),
            "one of its processes killed: it begins anew")
    r.equal((json.loads(r.read("client-again") or "{}").get("answered"), r.read("counted-again")), (503, "503"),
            "and measures again, from 0 on")
    stopped = r.fields("stopped")
    r.equal((stopped.get("ActiveState"), stopped.get("Result"), stopped.get("ExecMainStatus"), stopped.get("MainPID")),
            ("inactive", "success", "0", "0"), "systemctl stop")
    r.equal((r.read("gone"), r.read("left")), ("1", ""), "nobody listens any more, and no process is left")
    r.equal((len(json.loads(r.read("links") or "[]")) > 5, r.read("links-left")), (True, "[]"),
            "what was attached is not any more")


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        return 0
    os.makedirs(FOLDER, exist_ok=True)
    initrd = os.path.join(FOLDER, "unit.gz")
    number = failed = 0
    for series in sys.argv[1:] or ["5.10"]:
        r = Results(os.path.join(FOLDER, "results", "unit-" + series), series, number)
        try:
            if not number:
                make_initrd(initrd)
            guest.boot(kernels.kernel(FOLDER, series), initrd, "none", r.folder, ["systemd.show_status=0"], TIMEOUT)
            judge(r)
        except (guest.Failed, kernels.Unavailable, subprocess.SubprocessError) as trouble:
            r.equal(str(trouble), "", "the guest runs")
        if r.failed:
            r.tell_ends()
        number = r.number
        failed += r.failed
    print(f"1..{number}")
    return 1 if failed else 0


sys.exit(main())
