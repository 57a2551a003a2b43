"""The host: packages that the lab needs, and the machine-wide sysctls that its nodes change."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .errors import LabError
from .run import environment, output, run
from .ui import say

# program (or file) whose presence shows that the Debian package is there
PACKAGES = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "runc": "runc",
    "containerd": "containerd",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "vagrant": "vagrant",
    "openssl": "openssl",
    "ssh-keygen": "openssh-client",
    "ip": "iproute2",
    "sysctl": "procps",
    "curl": "curl",
    "make": "make",
    "shellcheck": "shellcheck",
    # the artifact build: the programs that need C, and one of Salt's dependencies that has no wheel
    "gcc": "gcc",
    "pkg-config": "pkg-config",
    "/usr/include/stdio.h": "libc6-dev",
    "/usr/include/seccomp.h": "libseccomp-dev",
    "/usr/include/python3.11/Python.h": "python3-dev",
    "/usr/lib/python3/dist-packages/yaml/__init__.py": "python3-yaml",
    "/usr/lib/python3.11/ensurepip/__init__.py": "python3-venv",
}

# The engine, kubelet and kube-proxy write these; they are not namespaced, so a node changes the host.
SYSCTLS = (
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
    "net.ipv4.ip_forward",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
)

# systemd and kubelets of all nodes share root's inotify budget; the default of 128 is used up by two of them
WANTED = {"fs.inotify.max_user_instances": 8192, "net.ipv4.ip_forward": 1}


def need_root(what: str) -> None:
    """LabError unless the command runs as root."""
    if os.geteuid() != 0:
        raise LabError(f"{what} needs root (container engine, node image, sysctls): run it with sudo")


def missing_packages() -> list[str]:
    """Debian packages that have to be installed first."""
    path = environment()["PATH"]
    absent = {
        package
        for probe, package in PACKAGES.items()
        if not (Path(probe).exists() if probe.startswith("/") else shutil.which(probe, path=path))
    }
    return sorted(absent)


def install_packages() -> None:
    """Install what is missing with apt-get; nothing happens (and no index is fetched) when nothing is."""
    packages = missing_packages()
    indexed = any(Path("/var/lib/apt/lists").glob("*Packages*"))
    if not packages and indexed:
        return
    if not shutil.which("apt-get"):
        raise LabError(f"not a Debian system: install these by hand: {', '.join(packages)}")
    say(f"    installing: {' '.join(packages) or 'nothing, but package indexes are missing'}")
    # also when nothing is missing: the artifact build takes files out of packages that it does not install
    run(["apt-get", "update", "-qq"], timeout=300)
    if packages:
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], timeout=900)


def read_sysctls() -> dict[str, str]:
    """The present values of the sysctls in SYSCTLS that this kernel has."""
    values = {}
    for name in SYSCTLS:
        path = _path(name)
        if path.exists():
            values[name] = path.read_text().strip()
    return values


def raise_sysctls() -> None:
    """Set what the nodes need before they start; a larger value stays."""
    for name, wanted in WANTED.items():
        if int(_path(name).read_text()) < wanted:
            _path(name).write_text(str(wanted))


def restore_sysctls(values: dict[str, str]) -> list[str]:
    """Write the values back that differ now; returns the names restored."""
    restored = []
    for name, value in values.items():
        path = _path(name)
        if path.exists() and path.read_text().strip() != value:
            path.write_text(value)
            restored.append(name)
    return restored


def name_servers() -> str:
    """Text of a resolv.conf for the nodes: the host's name servers that a node can reach (not those on loopback
    addresses).
    """
    for source in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        if not source.is_file():
            continue
        lines = [
            line
            for line in source.read_text().splitlines()
            if line.split()[:1] in (["nameserver"], ["search"], ["options"])
        ]
        kept = [line for line in lines if not line.startswith("nameserver 127.")]
        if any(line.startswith("nameserver") for line in kept):
            return "\n".join(kept) + "\n"
    return ""


def boot_id() -> str:
    """Identifies this boot of the host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def kernel_release() -> str:
    """The kernel's release, for reports."""
    return output(["uname", "-r"])


def _path(name: str) -> Path:
    return Path("/proc/sys") / name.replace(".", "/")
