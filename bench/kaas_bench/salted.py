"""Salt jobs as the benchmarks need them: with the time they took and with every minion's return."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from kaas_lab import machines, saltrun, summary
from kaas_lab.cluster import Cluster
from kaas_lab.errors import LabError
from kaas_lab.run import tail


@dataclass(frozen=True)
class Job:
    """One call of the `salt` program. `seconds` is its wall time as the caller sees it."""

    seconds: float
    returns: dict[str, Any]


def call(cluster: Cluster, *words: str, target: str = "*", timeout: float = saltrun.HIGHSTATE_SECONDS) -> Job:
    """Run `salt TARGET WORDS...` on the master; LabError when a targeted minion is missing in the answer."""
    begin = time.monotonic()
    argv = ["salt", target, *words, "--out=json", "--static"]
    done = machines.execute(cluster, cluster.salt, argv, check=False, timeout=timeout)
    seconds = time.monotonic() - begin
    returns = summary.merged(done.stdout)
    expected = [machine.id for machine in cluster.machines] if target == "*" else [target]
    absent = summary.missing(returns, expected)
    if absent:
        raise LabError(f"salt {target} {' '.join(words)}: no return of {', '.join(absent)}\n{tail(done.stderr)}")
    return Job(seconds, returns)


def states(cluster: Cluster, *words: str) -> Job:
    """Like `call`, for a run of states on all minions; LabError with a report when a state failed."""
    job = call(cluster, *words)
    failed = summary.failures(job.returns)
    if failed:
        report = "\n".join(saltrun.explain(cluster, failure) for failure in failed[:6])
        raise LabError(f"salt '*' {' '.join(words)} failed\n{report}")
    return job


def counted(returns: dict[str, Any]) -> dict[str, int]:
    """{states, changed} over all minions."""
    counts = [summary.count(value) for value in returns.values()]
    return {"states": sum(count.total for count in counts), "changed": sum(count.changed for count in counts)}


def slowest(returns: dict[str, Any], least: float = 100) -> dict[str, list[dict[str, Any]]]:
    """Where each minion's run went: its states of at least `least` milliseconds, in the order in which they ran.

    {minion: [{state, start (s after that minion's first state), seconds}]}.
    """
    found = {}
    for minion, value in sorted(returns.items()):
        states = value.items() if isinstance(value, dict) else ()
        ran = [(key, state) for key, state in states if isinstance(state, dict) and "start_time" in state]
        ran.sort(key=lambda pair: pair[1].get("__run_num__", 0))
        # times of day, without a date
        first = _of_day(ran[0][1]["start_time"]) if ran else 0.0
        found[minion] = [
            {
                "state": f"{key.split('_|-')[0]}.{key.rsplit('_|-', 1)[-1]} {state.get('__id__', '')}",
                "start": round((_of_day(state["start_time"]) - first) % 86400, 2),
                "seconds": round(float(state["duration"]) / 1000, 2),
            }
            for key, state in ran
            if float(state.get("duration", 0)) >= least
        ]
    return found


def _of_day(text: str) -> float:
    hours, minutes, seconds = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
