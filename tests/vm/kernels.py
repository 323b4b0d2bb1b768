# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels of Debian releases, fetched by apt: a private configuration is made of the machine's own package sources, with
the release's name replaced, so that mirrors and keys are those that the machine trusts already. Nothing is installed;
of each package only the kernel image is kept."""

import glob
import os
import re
import subprocess

# series of the kernel: the release that has it
RELEASES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "bookworm"}


class Unavailable(Exception):
    """A kernel that cannot be had, and why."""


def run(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode:
        raise Unavailable(f"{command[0]}: {done.stdout.strip()[-800:] or done.returncode}")
    return done.stdout


def own_release():
    with open("/etc/os-release", encoding="utf-8") as file:
        found = re.search(r"^VERSION_CODENAME=\"?(\w+)", file.read(), re.M)
    if not found:
        raise Unavailable("/etc/os-release names no release of Debian")
    return found[1]


def stanzas_for(release):
    """The machine's sources that belong to its own release, as those of another one."""
    own = own_release()
    suite = re.compile(rf"^{own}(-updates|-security)?$")
    kept = []
    for path in sorted(glob.glob("/etc/apt/sources.list.d/*.sources")):
        with open(path, encoding="utf-8") as file:
            for stanza in re.split(r"\n\s*\n", file.read()):
                lines = [line for line in stanza.splitlines() if not line.startswith("#")]
                suites = [word for line in lines if line.startswith("Suites:") for word in line.split()[1:]]
                if suites and all(suite.match(word) for word in suites):
                    kept.append("\n".join(re.sub(rf"\b{own}\b", release, line) if line.startswith("Suites:") else line
                                          for line in lines))
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*.list"))]:
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            for line in file:
                found = re.match(r"deb\s+(\[.*?\]\s+)?(\S+)\s+(\S+)\s+(.+)", line)
                if found and suite.match(found[3]):
                    signed = re.search(r"signed-by=([^\s\]]+)", found[1] or "")
                    kept.append(f"Types: deb\nURIs: {found[2]}\nSuites: {found[3].replace(own, release)}\n"
                                f"Components: {found[4].strip()}" + (f"\nSigned-By: {signed[1]}" if signed else ""))
    if not kept:
        raise Unavailable(f"no package source of {own} is configured, from which one of {release} could be made")
    return "\n\n".join(kept) + "\n"


def apt_options(folder, release):
    """apt's options for a state of its own below the folder."""
    base = os.path.abspath(os.path.join(folder, "apt-" + release))  # apt takes others as below its own
    for name in ("lists/partial", "cache/archives/partial", "sources"):
        os.makedirs(os.path.join(base, name), exist_ok=True)
    with open(os.path.join(base, "sources/debian.sources"), "w", encoding="utf-8") as file:
        file.write(stanzas_for(release))
    settings = {"Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": base + "/sources",
                "Dir::State::lists": base + "/lists", "Dir::Cache": base + "/cache", "APT::Sandbox::User": "root",
                "Acquire::Languages": "none", "Acquire::Check-Valid-Until": "false"}
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def versions(package, options):
    """Versions of a package that can be downloaded, as numbers to compare."""
    shown = run(["apt-cache", *options, "show", package])
    return [[int(n) for n in re.findall(r"\d+", version)] for version in re.findall(r"^Version: (.*)$", shown, re.M)]


def fetch(folder, series):
    release = RELEASES[series]
    options = apt_options(folder, release)
    run(["apt-get", *options, "-qq", "update"])
    names = run(["apt-cache", *options, "pkgnames", f"linux-image-{series}"]).split()
    named = re.compile(rf"linux-image-{re.escape(series)}\.\d+\S*-cloud-amd64(-unsigned)?")
    found = []
    for name in names:
        if named.fullmatch(name):
            found += [(version, name) for version in versions(name, options)]
    if not found:
        raise Unavailable(f"no cloud kernel {series} in {release}")
    last = None
    for _, name in sorted(found, reverse=True)[:4]:
        try:
            return unpack(folder, series, name, options)
        except Unavailable as trouble:
            last = trouble
    raise last


def unpack(folder, series, name, options):
    place = os.path.join(folder, "package")
    os.makedirs(place, exist_ok=True)
    for old in glob.glob(place + "/*"):
        os.unlink(old)
    run(["apt-get", *options, "-qq", "download", name], cwd=place)
    package = glob.glob(place + "/*.deb")[0]
    listed = run(["dpkg-deb", "-c", package])
    image = re.search(r"\./boot/vmlinuz-\S+", listed)
    if not image:
        raise Unavailable(f"{name} has no kernel image")
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, check=True).stdout
    data = subprocess.run(["tar", "-xO", image[0]], input=tar, stdout=subprocess.PIPE, check=True).stdout
    path = os.path.join(folder, f"vmlinuz-{series}")
    with open(path + ".part", "wb") as file:
        file.write(data)
    os.replace(path + ".part", path)
    os.unlink(package)
    return path


def kernel(folder, series):
    """The path of a kernel of this series: from the folder, or fetched into it."""
    path = os.path.join(folder, f"vmlinuz-{series}")
    return path if os.path.exists(path) else fetch(folder, series)
