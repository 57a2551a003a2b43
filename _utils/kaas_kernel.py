"""Kernel modules, where a feature that is built in counts as present."""

import os
import re
import subprocess

# A built-in module without parameters leaves no trace in /sys/module: what it provides does.
EVIDENCE = {"br_netfilter": "/proc/sys/net/bridge", "ip_vs": "/proc/sys/net/ipv4/vs"}


def present(module):
    """Return whether the kernel has the module, loaded or built in."""
    if os.path.isdir(f"/sys/module/{module}") or os.path.exists(EVIDENCE.get(module, "/nonexistent")):
        return True
    with open("/proc/filesystems", encoding="ascii") as handle:
        return module in handle.read().split()


def load(module):
    """Load the module; return None or the problem."""
    done = subprocess.run(["modprobe", module], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode == 0 or present(module):
        return None
    return f"modprobe {module}: {done.stderr.strip()}"


def release():
    """Return the release of the running kernel (``6.1.0-18-amd64``)."""
    return os.uname().release


def older(found, version):
    """Return whether the release ``found`` is older than ``version``, by the numbers that ``version`` has."""
    wanted = [int(number) for number in version.split(".")]
    have = [int(number) for number in re.findall(r"[0-9]+", found)[: len(wanted)]]
    return have < wanted
