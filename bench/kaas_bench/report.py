"""Results as a Markdown section for docs/benchmarks.md."""

from __future__ import annotations

from typing import Any

from . import finish
from .spread import Spread, ratio, spread

KINDS = {"kaas": "KaaS", "kubeadm": "kubeadm"}


def markdown(results: dict[str, Any]) -> str:
    """One section: conditions, then what was measured of bring-up, no-op and rest."""
    lines = _conditions(results["conditions"])
    if results.get("bringup"):
        lines += ["", *_bringup(results["bringup"])]
    if results.get("noop"):
        lines += ["", *_noop(results["noop"])]
    if results.get("network"):
        lines += ["", *_network(results["network"])]
    if results.get("rest"):
        lines += ["", *_rest(results["rest"])]
    return "\n".join(lines) + "\n"


def times(runs: list[dict[str, Any]], kind: str, lap: str = "finish") -> list[float]:
    """Seconds to a lap of all runs of one kind that did not fail."""
    return [run["laps"][lap] for run in runs if run["kind"] == kind and "error" not in run and lap in run["laps"]]


def compared(runs: list[dict[str, Any]]) -> Spread | None:
    """KaaS / kubeadm at the finish line; None unless both have a run that reached it."""
    ours, theirs = times(runs, "kaas"), times(runs, "kubeadm")
    return ratio(ours, theirs) if ours and theirs else None


def _conditions(found: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return [
        f"## {found['date']}",
        "",
        f"{found['cores']} cores of {found['processor']}, {found['memory']} GiB, kernel {found['kernel']}, "
        f"cgroup v{found['cgroups']}. Commit {found['commit']}. Cluster {found['cluster']}. {versions}.",
    ]


def _bringup(runs: list[dict[str, Any]]) -> list[str]:
    lines = [f"**Bring-up**, seconds from booted machines to: {finish.TEXT}.", ""]
    lines += ["| run | by | finish | on the way | host's load before, cores |", "|---|---|---|---|---|"]
    for number, run in enumerate(runs, 1):
        end = f"failed: {run['error'][:80]}" if "error" in run else f"**{run['laps']['finish']:.1f}**"
        way = ", ".join(f"{name} {seconds:.1f}" for name, seconds in run["laps"].items() if name != "finish")
        lines.append(f"| {number} | {KINDS[run['kind']]} | {end} | {way} | {run['busy']:.2f} |")
    lines.append("")
    for kind, name in KINDS.items():
        if times(runs, kind):
            value = spread(times(runs, kind))
            lines.append(f"- {name}: median {value.text()} s, {value.runs} runs")
    if times(runs, "kaas", "highstate"):
        value = spread(times(runs, "kaas", "highstate"))
        lines.append(f"- the highstate itself returned after {value.text()} s (it waits for metrics-server too)")
    both = compared(runs)
    if both:
        lines.append(f"- **KaaS / kubeadm: {both.text(2)}** (medians; in brackets the extremes of any two runs)")
    return lines


def _noop(found: dict[str, Any]) -> list[str]:
    jobs = found["jobs"]
    first = jobs["highstate"][0]
    runs = len(jobs["highstate"])
    lines = [
        f"**No-op highstate** of {len(found['machines'])} machines ({', '.join(found['machines'])}), {first['states']} "
        f"states, {max(one['changed'] for one in jobs['highstate'])} changed; {runs} runs, median (least–most). "
        "CPU: of all machines together; net: without what they use when no job runs "
        f"({found['idle']:.2f} cores).",
        "",
        "| `salt '*'` | wall, s | CPU, s | net CPU, s |",
        "|---|---|---|---|",
    ]
    names = {"ping": "test.ping", "floor": "a run of one state", "highstate": "state.highstate"}
    for job, name in names.items():
        cells = [spread([one[key] for one in jobs[job]]).text(2) for key in ("seconds", "cpu", "net")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    quotients = [
        ratio([one[key] for one in jobs["highstate"]], [one[key] for one in jobs["floor"]]).middle
        for key in ("seconds", "net")
    ]
    lines += ["", f"- highstate / one state: {quotients[0]:.2f} in wall time, {quotients[1]:.2f} in net CPU"]
    return lines


def _network(found: dict[str, Any]) -> list[str]:
    gbits, mtu = found["gbits"], found["mtu"]
    cells = [spread(gbits[way]).text(2) for way in ("nodes", "pods")]
    return [
        f"**Throughput** of one TCP connection from {' to '.join(found['nodes'])}, {len(gbits['pods'])} runs, "
        "median (least–most).",
        "",
        "| network | MTU of nodes / pods | node to node, Gbit/s | pod to pod, Gbit/s | pods / nodes |",
        "|---|---|---|---|---|",
        f"| {found['plugin']} | {mtu['nodes']} / {mtu['pods']} | {' | '.join(cells)} "
        f"| {ratio(gbits['pods'], gbits['nodes']).text(2)} |",
    ]


def _rest(found: dict[str, dict[str, Any]]) -> list[str]:
    when = "; ".join(
        f"{KINDS[kind]} {one['age']} s after the finish line, CPU over {one['window']} s" for kind, one in found.items()
    )
    lines = [
        f"**At rest** ({when}). Working set (cgroup usage without inactive file pages) and, in brackets, anonymous "
        "memory; the Salt minion, which runs on both sides, is part of it.",
        "",
    ]
    kinds = [kind for kind in KINDS if kind in found]
    head = [f"{KINDS[kind]}: {what}" for kind in kinds for what in ("MiB", "minion's part", "cores")]
    lines += [f"| machine | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    names = sorted({name for kind in kinds for name in found[kind]["machines"]})
    for name in names:
        cells = []
        for kind in kinds:
            one = found[kind]["machines"].get(name)
            if one:
                cells += [f"{one['working']} ({one['anonymous']})", f"{one['minion']}", f"{one['cores']:.3f}"]
            else:
                cells += [""] * 3
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append("")
    for kind in kinds:
        nodes = [one for name, one in found[kind]["machines"].items() if name != "salt"]
        working, cpu = sum(one["working"] for one in nodes), sum(one["cores"] for one in nodes)
        lines.append(f"- {KINDS[kind]}, nodes together: {working} MiB, {cpu:.2f} cores")
    return lines
