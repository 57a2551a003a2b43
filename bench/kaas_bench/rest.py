"""What a settled cluster costs: memory and CPU of each machine while nothing is asked of it."""

from __future__ import annotations

import time
from typing import Any

from kaas_lab.cluster import Cluster
from kaas_lab.ui import say

from . import cgroups, fresh

# systemd units whose memory is shown apart; every machine of both sides runs a Salt minion
MINION = "system.slice/salt-minion.service"


def measure(cluster: Cluster, age: float, settle: float, window: float) -> dict[str, Any]:
    """Wait until the cluster is `settle` seconds old (it is `age` now), read CPU over `window` seconds, then memory.

    {age: s, window: s, machines: {name: {cores, working, anonymous, minion}}}; memory in MiB.
    """
    time.sleep(max(0.0, settle - age))
    containers = fresh.containers(cluster)
    begin = time.monotonic()
    before = {name: cgroups.cpu_seconds(container) for name, container in containers.items()}
    time.sleep(window)
    elapsed = time.monotonic() - begin
    found = {}
    for name, container in containers.items():
        memory = cgroups.memory(container)
        minion = cgroups.memory(container, below=MINION)
        assert memory is not None
        found[name] = {
            "cores": round((cgroups.cpu_seconds(container) - before[name]) / elapsed, 3),
            "working": round(memory.working / cgroups.MIB),
            "anonymous": round(memory.anonymous / cgroups.MIB),
            "minion": round(minion.anonymous / cgroups.MIB) if minion else 0,
        }
        one = found[name]
        say(f"    {name:<5} {one['cores']:.3f} cores  {one['working']} MiB working set, {one['anonymous']} anonymous")
    return {"age": round(max(age, settle)), "window": round(elapsed), "machines": found}
