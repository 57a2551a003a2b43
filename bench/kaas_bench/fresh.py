"""Machines to measure on: made anew before each bring-up, and the names of their containers."""

from __future__ import annotations

import time
from pathlib import Path

from kaas_lab import cli as lab
from kaas_lab import engine, machines
from kaas_lab.cluster import Cluster
from kaas_lab.errors import LabError
from kaas_lab.ui import say

from .cgroups import host_busy

LOOK = 3  # seconds over which the host's own load is read before a run


def need_docker() -> None:
    """LabError unless the machines are containers here: times and cgroups of other providers can't be compared."""
    if machines.provider() != "docker":
        raise LabError("the benchmarks need the docker provider's machines (cgroups); unset VAGRANT_DEFAULT_PROVIDER")


def machines_anew(cluster: Cluster) -> None:
    """Remove the cluster's machines and their data, boot new ones: their minions answer, nothing is installed."""
    with lab.locked("lab"):
        # Without an engine there are no machines yet; `up` starts it.
        removed = machines.down(cluster) if engine.answers() else []
        say(f"    removed: {', '.join(removed) or 'nothing'}")
        if lab.up(cluster, artifacts=False, highstate=False):
            raise LabError("the machines did not come up")


def containers(cluster: Cluster) -> dict[str, str]:
    """{machine name: full container id} of the running machines; LabError when one is missing."""
    found = {}
    for item in machines.containers(cluster):
        if item.get("State", {}).get("Running"):
            found[str(item["Config"]["Labels"]["kaas.machine"])] = str(item["Id"])
    missing = [machine.name for machine in cluster.machines if machine.name not in found]
    if missing:
        raise LabError(f"not running: {', '.join(missing)}; `lab/lab up` first")
    return found


def busy(seconds: float = LOOK) -> float:
    """Cores that the host uses at the moment, everything on it counted."""
    stat = Path("/proc/stat")
    before = stat.read_text()
    time.sleep(seconds)
    return round(host_busy(before, stat.read_text()), 2)
