"""A highstate of a converged cluster, against runs that do nothing at all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kaas_lab.cluster import Cluster
from kaas_lab.ui import say

from . import cgroups, fresh, salted

IDLE = 10  # seconds over which the machines' CPU use without any job is read
# name -> words after salt '*'. The floor is a run of states that holds one state; the ping is Salt's own cost per job.
JOBS: dict[str, list[str]] = {
    "ping": ["test.ping"],
    "floor": ["state.apply", "formula.synced"],
    "highstate": ["state.highstate"],
}


def measure(cluster: Cluster, runs: int) -> dict[str, Any]:
    """Each job `runs` times in turn, after one of each that does not count.

    {idle: cores, machines: [...], jobs: {name: [{seconds, cpu, net, states, changed}]}}; cpu = CPU seconds of all
    machines while the call ran, net = without what they use when no job runs.
    """
    containers = fresh.containers(cluster)
    for words in JOBS.values():
        salted.call(cluster, *words)
    idle = cores(containers, IDLE)
    say(f"    idle: {idle:.2f} cores on {len(containers)} machines")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in JOBS}
    for number in range(1, runs + 1):
        for name, words in JOBS.items():
            one = _once(cluster, containers, words, idle)
            found[name].append(one)
            numbers = f"{one['seconds']:.2f} s wall, {one['cpu']:.2f} s CPU, {one['changed']:.0f} changed"
            say(f"    {name} {number}: {numbers}")
    return {"idle": round(idle, 3), "machines": sorted(containers), "jobs": found}


def cores(containers: Mapping[str, str], seconds: float) -> float:
    """Cores that the machines use over the next seconds."""
    before, begin = cgroups.total_cpu(containers), time.monotonic()
    time.sleep(seconds)
    return (cgroups.total_cpu(containers) - before) / (time.monotonic() - begin)


def _once(cluster: Cluster, containers: Mapping[str, str], words: list[str], idle: float) -> dict[str, float]:
    before = cgroups.total_cpu(containers)
    job = salted.states(cluster, *words) if words[0].startswith("state.") else salted.call(cluster, *words)
    cpu = cgroups.total_cpu(containers) - before
    counts = salted.counted(job.returns) if words[0].startswith("state.") else {"states": 0, "changed": 0}
    return {
        "seconds": round(job.seconds, 3),
        "cpu": round(cpu, 3),
        "net": round(cpu - idle * job.seconds, 3),
        **counts,
    }
