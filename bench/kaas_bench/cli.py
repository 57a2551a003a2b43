"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kaas_artifacts.errors import BuildError
from kaas_lab import cluster as clusters
from kaas_lab import host
from kaas_lab.cluster import Cluster
from kaas_lab.errors import LabError
from kaas_lab.paths import BUILD, CLUSTERS
from kaas_lab.ui import say, step, warn

from . import bringup, conditions, fresh, network, noop, report, rest
from .laps import Laps

RESULTS = BUILD / "bench" / "results.json"


class Session:
    """The results so far; on disk after each measure, so that a failure loses nothing."""

    def __init__(self, cluster: Cluster, target: Path) -> None:
        self.target = target
        self.results: dict[str, Any] = {"conditions": conditions.read(cluster, bringup.versions(cluster))}

    def keep(self, *path: str, value: Any) -> None:
        """Put a value at a path of keys; a list there grows by it."""
        place = self.results
        for key in path[:-1]:
            place = place.setdefault(key, {})
        if isinstance(place.get(path[-1]), list):
            place[path[-1]].append(value)
        else:
            place[path[-1]] = value
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.target.write_text(json.dumps(self.results, indent=1) + "\n")


def main(argv: Sequence[str]) -> int:
    """Run one command; the exit status (1: a run failed or nothing could be measured)."""
    args = parser().parse_args(argv)
    try:
        cluster = clusters.load(CLUSTERS, args.cluster)
        if args.command == "show":
            say(report.markdown(json.loads(args.json.read_text())))
            return 0
        host.need_root("bench")
        fresh.need_docker()
        session = Session(cluster, args.json)
        good = measure(cluster, session, args)
        text = report.markdown(session.results)
        say("\n" + text)
        if args.append:
            with args.append.open("a", encoding="utf-8") as stream:
                stream.write("\n" + text)
        return 0 if good else 1
    except (LabError, BuildError) as err:
        warn(f"bench: {err}")
        return 1
    except KeyboardInterrupt:
        warn(f"bench: interrupted; what was measured is in {args.json}")
        return 130


def parser() -> argparse.ArgumentParser:
    """The argument parser (also the source of --help)."""
    top = argparse.ArgumentParser(
        prog="bench/bench",
        description="Measure the lab's cluster; see docs/benchmarks.md. bringup and all REMOVE the cluster's machines, "
        "again and again, and leave a fresh cluster behind.",
    )
    helps = {
        "bringup": "KaaS and kubeadm in turn, from booted machines to a working cluster",
        "noop": "a highstate that has nothing to do, on the cluster that runs",
        "memory": "memory and CPU at rest of the cluster that runs",
        "network": "throughput between pods and between nodes of the cluster that runs, which is left as it is",
        "all": "everything: bring-ups in turn, no-op and rest of both",
        "show": "print the results of an earlier run",
    }
    top.add_argument("command", choices=list(helps), help="; ".join(f"{name}: {text}" for name, text in helps.items()))
    top.add_argument("--cluster", default=os.environ.get("CLUSTER") or "demo", metavar="NAME")
    top.add_argument("--runs", type=int, default=3, metavar="N", help="runs of each (default: 3)")
    top.add_argument("--settle", type=float, default=120, metavar="S", help="age at which a cluster counts as settled")
    top.add_argument("--window", type=float, default=60, metavar="S", help="seconds over which CPU at rest is read")
    top.add_argument("--json", type=Path, default=RESULTS, metavar="FILE", help=f"results (default: {RESULTS})")
    top.add_argument("--append", type=Path, metavar="FILE", help="append the section to this Markdown file")
    return top


def measure(cluster: Cluster, session: Session, args: argparse.Namespace) -> bool:
    """Do what the command says; False when a bring-up failed."""
    if args.runs < 1:
        raise LabError("--runs must be 1 or more")
    if args.command == "noop":
        _noop(cluster, session, args)
        return True
    if args.command == "network":
        with step("throughput"):
            session.keep("network", value=network.measure(cluster, args.runs))
        return True
    if args.command == "memory":
        # the age is not known: whoever calls this has waited
        with step("at rest"):
            session.keep("rest", "kaas", value=rest.measure(cluster, args.settle, args.settle, args.window))
        return True
    return _bringups(cluster, session, args)


def _noop(cluster: Cluster, session: Session, args: argparse.Namespace) -> None:
    with step("no-op highstate"):
        session.keep("noop", value=noop.measure(cluster, args.runs))


def _bringups(cluster: Cluster, session: Session, args: argparse.Namespace) -> bool:
    """KaaS, kubeadm, KaaS, kubeadm, ..., and KaaS once more, so that the machines end as the lab's own cluster."""
    bringup.build_kubeadm(cluster)
    session.results["bringup"] = []
    order = ["kaas", "kubeadm"] * args.runs + ["kaas"]
    good = True
    for number, kind in enumerate(order, 1):
        laps = _one(cluster, session, kind, number)
        if "error" in session.results["bringup"][-1]:
            good = False
            continue
        last = number > len(order) - 2
        if args.command == "all" and last:
            age = time.monotonic() - laps.begin - laps.times["finish"]
            with step(f"{kind} at rest"):
                session.keep("rest", kind, value=rest.measure(cluster, age, args.settle, args.window))
            if kind == "kaas":
                _noop(cluster, session, args)
    return good


def _one(cluster: Cluster, session: Session, kind: str, number: int) -> Laps:
    """One bring-up on new machines. A failure is a result too."""
    with step(f"run {number}: machines"):
        fresh.machines_anew(cluster)
        plan = bringup.plan(cluster) if kind == "kubeadm" else None
    busy = fresh.busy()
    run: dict[str, Any] = {"kind": kind, "busy": busy, "laps": {}}
    laps = Laps(kind)
    try:
        with step(f"run {number}: {kind}"):
            run.update(bringup.kubeadm(cluster, plan, laps) if plan else bringup.kaas(cluster, laps))
    except LabError as err:
        warn(f"run {number}, {kind}: {err}")
        run["error"] = str(err)
    run["laps"] = dict(laps.times)
    session.keep("bringup", value=run)
    return laps
