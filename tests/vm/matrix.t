#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel matrix: every kernel and lockdown mode in turn, one line of TAP each.

Kernels come from Debian's packages (kernels.py) and are kept in build/vm, as are the results of the last run, in a
folder for each guest: `console` is what it said. Guests run in qemu without hardware support; the host's own kernel is
measured with each probe set that it has.

  tests/vm/matrix.t                      all of it
  tests/vm/matrix.t 6.12                 guests whose name begins so: 5.10, 6.1, 6.12, 6.12-integrity,
                                         6.12-confidentiality, host, host-socket, host-syscall
  tests/vm/matrix.t --list               the names
  tests/vm/matrix.t --shell 6.1          a shell in that guest, on this terminal; `poweroff -f` ends it
  tests/vm/matrix.t --set syscall 6.12   with this probe set instead of the one that sojourn chooses
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import guest
import judge
import kernels

B = os.environ.get("B", "build")
SOJOURN = os.environ.get("SOJOURN", os.path.join(B, "sojourn"))
FOLDER = os.path.join(B, "vm")
GUESTS = [("5.10", "5.10", "none"), ("6.1", "6.1", "none"), ("6.12", "6.12", "none"),
          ("6.12-integrity", "6.12", "integrity"), ("6.12-confidentiality", "6.12", "confidentiality")]
TIMEOUT = 400.0


def sets_of_host():
    """The probe sets that this machine's kernel has, as `check` tells."""
    told = subprocess.run([SOJOURN, "check", "--json"], stdout=subprocess.PIPE, check=False).stdout
    try:
        check = json.loads(told)
    except ValueError:
        return ["socket"]
    return [s["name"] for s in check.get("probe_sets", []) if s["possible"]] or ["socket"]


def run_host(folder, probe_set):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    where = folder + ".bin"
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    for name, source in guest.programs(B, SOJOURN).items():
        shutil.copy(source, os.path.join(where, name))
    os.chmod(where, 0o755)
    with open(os.path.join(folder, "console"), "wb") as console:
        done = subprocess.run(["sh", os.path.join(guest.HERE, "measure.sh"), os.path.abspath(where),
                               os.path.abspath(folder), probe_set], stdin=subprocess.DEVNULL, stdout=console,
                              stderr=console, timeout=TIMEOUT, check=False)
    if done.returncode:
        raise guest.Failed(f"measure.sh ended with {done.returncode}")


class Matrix:
    def __init__(self, arguments):
        self.arguments = arguments
        self.initrd = os.path.join(FOLDER, "initramfs.gz")
        self.number = self.failed = 0

    def tell(self, words, wrong, notes):
        self.number += 1
        print(f"{'not ok' if wrong else 'ok'} {self.number} - {words}")
        for line in [*wrong, *notes]:
            for part in str(line).splitlines():
                print("# " + part.replace("#", "no."))
        sys.stdout.flush()
        self.failed += bool(wrong)

    def one(self, name, run):
        begin = time.monotonic()
        folder = os.path.join(FOLDER, "results", name)
        try:
            run(folder)
            words, wrong, notes = judge.judge(folder, guest=not name.startswith("host"))
        except (guest.Failed, kernels.Unavailable, subprocess.SubprocessError) as trouble:
            words, wrong, notes = f"{name} runs", [trouble], []
        if wrong:
            wrong += [f"the end of {folder}/console:", *console_end(folder)]
        self.tell(words, wrong, [f"{name}: {time.monotonic() - begin:.0f} s", *notes])

    def guest(self, name, series, lockdown):
        words = [f"sj.set={self.arguments.set}"] if self.arguments.set else []
        self.one(name, lambda folder: guest.boot(kernels.kernel(FOLDER, series), self.initrd, lockdown, folder, words,
                                                 TIMEOUT))


def console_end(folder):
    try:
        with open(os.path.join(folder, "console"), encoding="utf-8", errors="replace") as file:
            text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1bc|\r", "", file.read())
    except FileNotFoundError:
        return []
    return text.splitlines()[-12:]


def shell(name, initrd):
    series, lockdown = next((s, l) for n, s, l in GUESTS if n == name)
    command = guest.command(kernels.kernel(FOLDER, series), initrd, lockdown, ["sj.shell"])
    os.execvp(command[0], [*command, "-serial", "mon:stdio", "-serial", "null"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="GUEST")
    parser.add_argument("--list", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--shell", metavar="GUEST", help=argparse.SUPPRESS)
    parser.add_argument("--set", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    hosts = ["host-" + name for name in ([arguments.set] if arguments.set else sets_of_host())]
    if arguments.list:
        print("\n".join([*(name for name, _, _ in GUESTS), *hosts]))
        return 0
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        return 0
    os.makedirs(FOLDER, exist_ok=True)
    matrix = Matrix(arguments)
    guest.initramfs(matrix.initrd, guest.programs(B, SOJOURN))
    if arguments.shell:
        shell(arguments.shell, matrix.initrd)

    def wanted(name):
        return not arguments.names or any(name == w or name.startswith(w + "-") for w in arguments.names)

    for name, series, lockdown in GUESTS:
        if wanted(name):
            matrix.guest(name, series, lockdown)
    for name in hosts:
        if wanted(name):
            matrix.one(name, lambda folder, name=name: run_host(folder, name[len("host-"):]))
    print(f"1..{matrix.number}")
    return 1 if matrix.failed or not matrix.number else 0


sys.exit(main())
