# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest: the program, its libraries and the load generator in a small initramfs, booted in qemu by software
emulation, and the results that it sends back."""

import base64
import io
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Failed(Exception):
    pass


def libraries(program):
    told = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          check=False).stdout
    return re.findall(r"(/\S+) \(0x", told)


def programs(build, sojourn):
    """What the measurement needs: name -> path."""
    objects = {name: os.path.join(build, "bpf", name) for name in os.listdir(os.path.join(build, "bpf"))
               if name.endswith(".bpf.o")}
    setpriv = shutil.which("setpriv")
    if not setpriv:
        raise Failed("setpriv is not installed (package util-linux)")
    return {"sojourn": sojourn, "setpriv": setpriv, "load": os.path.join(build, "tools/load"),
            "verifier": os.path.join(build, "tools/verifier"), **objects}


def initramfs(path, files):
    """files: name in /bin -> path."""
    root = path + ".root"
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("bin", "busybox", "proc", "sys", "dev", "tmp", "results", "etc"):
        os.makedirs(os.path.join(root, folder))
    os.chmod(os.path.join(root, "tmp"), 0o1777)
    busybox = shutil.which("busybox")
    if not busybox or libraries(busybox):
        raise Failed("there is no static busybox (package busybox-static)")
    for name, source in {**files, "busybox": busybox,
                         "measure.sh": os.path.join(HERE, "measure.sh")}.items():
        shutil.copy(source, os.path.join(root, "bin", name))
        for library in libraries(source):
            target = root + library
            if not os.path.exists(target):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy(os.path.realpath(library), target)
    shutil.copy(os.path.join(HERE, "init"), os.path.join(root, "init"))
    subprocess.run(f"cd '{root}' && find . | cpio -o -H newc --quiet | gzip -1", shell=True, check=True,
                   stdout=open(path, "wb"))
    shutil.rmtree(root)


def command(kernel, initrd, lockdown, words=(), cpus=2):
    # One thread for all of its CPUs: with one each, a CPU may run into a breakpoint that another one has just taken out
    # of the kernel's code (it patches itself at boot, and for tracepoints), and the guest panics.
    return ["qemu-system-x86_64", "-nodefaults", "-machine", "q35", "-cpu", "max", "-accel", "tcg,thread=single",
            "-m", "1024", "-smp", str(cpus), "-display", "none", "-no-reboot", "-kernel", kernel, "-initrd", initrd,
            "-append", " ".join(["console=ttyS0 quiet panic=1", f"lockdown={lockdown}", *words])]


def unpack(path, results):
    """The results that the guest has sent, as files of a folder."""
    with open(path, "rb") as file:
        text = file.read().replace(b"\r", b"")
    if not text.endswith(b"end\n"):
        raise Failed("it sent no results")
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(text[:-4])), mode="r:gz") as tar:
        for member in tar.getmembers():
            name = os.path.basename(member.name)
            if member.isfile() and name:
                with open(os.path.join(results, name), "wb") as out:
                    out.write(tar.extractfile(member).read())


def boot(kernel, initrd, lockdown, folder, words=(), timeout=400.0):
    """Boots, waits for the end, and leaves the results in the folder; `console` is what the guest said meanwhile."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    console, sent = os.path.join(folder, "console"), os.path.join(folder, "sent")
    process = subprocess.Popen([*command(kernel, initrd, lockdown, words), "-serial", "file:" + console,
                                "-serial", "file:" + sent], stdin=subprocess.DEVNULL)
    end = time.monotonic() + timeout
    try:
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.2)
        if process.poll() is None:
            raise Failed(f"the guest did not end within {timeout:g} s")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
    unpack(sent, folder)
    os.unlink(sent)
