"""Where and with what was measured: without it a number says nothing."""

from __future__ import annotations

import datetime
import os
import re
from pathlib import Path
from typing import Any

from kaas_lab import host
from kaas_lab.cluster import Cluster
from kaas_lab.paths import ROOT
from kaas_lab.run import run

SHOWN = ("kubernetes", "etcd", "containerd", "runc", "flannel", "coredns")


def read(cluster: Cluster, versions: dict[str, str]) -> dict[str, Any]:
    """Date, machine, commit, cluster and versions."""
    masters = len(cluster.masters)
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": processor(Path("/proc/cpuinfo").read_text()),
        "cores": len(os.sched_getaffinity(0)),
        "memory": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": host.kernel_release(),
        "cgroups": 2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1,
        "commit": commit(),
        "cluster": f"{cluster.name}: {masters} masters, {len(cluster.nodes) - masters} others",
        "versions": {name: versions[name] for name in SHOWN},
    }


def processor(text: str) -> str:
    """The processor's name in the text of /proc/cpuinfo."""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match.group(1).strip() if match else "unknown"


def commit() -> str:
    """Short id of the commit; with a `+` when tracked files differ from it, "unknown" outside a git checkout."""
    found = run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], check=False)
    if found.returncode:
        return "unknown"
    dirty = run(["git", "-C", ROOT, "status", "--porcelain", "--untracked-files=no"], check=False).stdout.strip()
    return found.stdout.strip() + ("+" if dirty else "")
