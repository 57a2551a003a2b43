"""From booted machines to the finish line: by one highstate, and by kubeadm."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kaas_artifacts.recipes import load_versions, pick_minor
from kaas_lab import kube, machines
from kaas_lab.cluster import Cluster, Machine
from kaas_lab.errors import LabError
from kaas_lab.paths import ARTIFACTS, BUILD, ROOT
from kaas_lab.run import environment, run, streamed, tail
from kaas_lab.ui import say

from . import described, finish, flannel_pods, kubeadm_config, node_setup, pictures, salted
from .api import Api
from .laps import Laps

FINISH_SECONDS = 300
WATCH_SECONDS = 600
JOIN_TRIES = 3
LOGS = BUILD / "bench" / "logs"
ADMIN = "/etc/kubernetes/admin.conf"


@dataclass(frozen=True)
class Plan:
    """All that kubeadm's way needs and that is made before the clock starts."""

    scripts: dict[str, str]  # machine name -> shell script
    configs: dict[str, str]  # machine name -> kubeadm configuration
    objects: str  # flannel and the demo, as one List in JSON


def versions(cluster: Cluster) -> dict[str, str]:
    """Component -> version of the cluster's Kubernetes minor."""
    table = load_versions(ROOT / "pillar" / "data" / "versions.yaml")
    return table[pick_minor(table, cluster.kubernetes)]


def kaas(cluster: Cluster, laps: Laps) -> dict[str, Any]:
    """One `salt '*' state.highstate` on fresh machines; the facts of the run.

    The finish line is watched while the highstate runs: the highstate also waits for things that are no part of the
    line (metrics-server), and its own end is a lap of its own.
    """
    with ThreadPoolExecutor(1) as pool:
        stop = threading.Event()
        watcher = pool.submit(_watch, cluster, laps, stop)
        try:
            job = salted.states(cluster, "state.highstate")
        except LabError:
            stop.set()
            raise
        laps.note("highstate")
        watcher.result()
    return {**salted.counted(job.returns), "slowest": salted.slowest(job.returns)}


def _watch(cluster: Cluster, laps: Laps, stop: threading.Event) -> None:
    """Cross the finish line once the first master has its administrator's kubeconfig."""
    end = time.monotonic() + WATCH_SECONDS
    there = ["test", "-f", ADMIN]
    while machines.execute(cluster, cluster.masters[0], there, check=False).returncode:
        if stop.wait(1) or time.monotonic() > end:
            raise LabError(f"{cluster.masters[0].name} got no {ADMIN}")
    _cross(cluster, laps)


def build_kubeadm(cluster: Cluster) -> None:
    """Build kubeadm unless the artifact repository has it."""
    if not pictures.program("kubernetes", versions(cluster)["kubernetes"], "kubeadm").is_file():
        say("==> kubeadm")
        streamed([ROOT / "artifacts" / "build", "--kubernetes", cluster.kubernetes, "--only", "kubeadm"], timeout=1800)


def plan(cluster: Cluster) -> Plan:
    """Prepare kubeadm's side: images in the registry, scripts, configurations, objects. Needs booted machines."""
    table = versions(cluster)
    pictures.ensure(cluster, table)
    index = json.loads((ARTIFACTS / "index.json").read_text())
    spec = cluster.raw["cluster"]
    fetched = node_setup.downloads(index, table, spec["artifacts"]["url"], pictures.PLATFORM)
    balanced = bool((spec.get("api") or {}).get("address"))
    scripts, configs = {}, {}
    for node in cluster.nodes:
        units, names = ["containerd"], ["containerd.configured"]
        if "master" in node.roles and balanced:
            units += ["haproxy", "keepalived"]
            names += ["haproxy.configured", "keepalived.configured"]
        files = described.unverified(described.files(described.shown(cluster, node, *names)))
        folders = {}
        if node is next((one for one in cluster.nodes if "worker" in one.roles), None):
            folders = described.folders(described.shown(cluster, node, "demo.configured"))
        scripts[node.name] = node_setup.script(fetched, files, units, folders)
        first = node is cluster.masters[0]
        configs[node.name] = kubeadm_config.init(cluster, node, table) if first else kubeadm_config.join(cluster, node)
    demo = described.without_autoscaler(
        described.objects(described.shown(cluster, cluster.masters[0], "demo.deployed"))
    )
    network = spec["network"]
    backend = (network.get("flannel") or {}).get("backend", "vxlan")
    items = [*flannel_pods.objects(pictures.FLANNEL, network["pods"], backend), *demo]
    return Plan(scripts, configs, json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def kubeadm(cluster: Cluster, prepared: Plan, laps: Laps) -> dict[str, Any]:
    """kubeadm on fresh machines: init as soon as the first master is set up, then all others join at the same time."""
    LOGS.mkdir(parents=True, exist_ok=True)
    first = cluster.masters[0]
    others = [node for node in cluster.nodes if node is not first]
    with ThreadPoolExecutor(len(cluster.nodes)) as pool:
        ready = {node.name: pool.submit(_set_up, cluster, node, prepared) for node in cluster.nodes}
        ready[first.name].result()
        laps.note(f"{first.name} set up")
        argv = ["kubeadm", "init", "--config", "/root/kubeadm.yaml", "--upload-certs", "--skip-token-print", "--v=1"]
        problem = _logged(cluster, first, argv, LOGS / f"init-{first.name}.log")
        if problem:
            raise LabError(f"kubeadm init on {first.name}: {problem}")
        laps.note("init")
        apply = ["kubectl", "--kubeconfig", ADMIN, "apply", "--server-side", "--filename=-"]
        _into(cluster, first, apply, prepared.objects)
        tries = [pool.submit(_join, cluster, node, ready[node.name], laps) for node in others]
        counts = [future.result() for future in tries]
    laps.note("joined")
    _cross(cluster, laps)
    return {"join tries": sum(counts)}


def _cross(cluster: Cluster, laps: Laps) -> None:
    api = Api(kube.write_kubeconfig(cluster))
    finish.cross(cluster, api, laps.note, FINISH_SECONDS)


def _set_up(cluster: Cluster, node: Machine, prepared: Plan) -> None:
    _into(cluster, node, ["tee", "/root/kubeadm.yaml"], prepared.configs[node.name])
    _into(cluster, node, ["bash", "-s"], prepared.scripts[node.name])


def _join(cluster: Cluster, node: Machine, ready: Any, laps: Laps) -> int:
    """Join one node; the number of tries it took."""
    ready.result()
    problem: str | None = "not tried"
    for attempt in range(1, JOIN_TRIES + 1):
        argv = ["kubeadm", "join", "--config", "/root/kubeadm.yaml", "--v=1"]
        problem = _logged(cluster, node, argv, LOGS / f"join-{node.name}-{attempt}.log")
        if problem is None:
            laps.note(f"{node.name} joined")
            return attempt
        reset = ["kubeadm", "reset", "--force", "--cri-socket", "unix:///run/containerd/containerd.sock"]
        machines.execute(cluster, node, reset, check=False)
        time.sleep(1)
    raise LabError(f"kubeadm join on {node.name}, {JOIN_TRIES} tries: {problem}")


def _into(cluster: Cluster, node: Machine, argv: list[str], text: str) -> None:
    """Run a command in a machine with `text` as its standard input."""
    run(machines.command(cluster, node, argv, options=["--interactive"]), stdin=text, env=environment(), timeout=300)


def _logged(cluster: Cluster, node: Machine, argv: list[str], log: Path) -> str | None:
    """Run a command in a machine, its output into `log`; None, or the end of the log when it failed."""
    done = machines.execute(cluster, node, argv, check=False, timeout=400)
    log.write_text(done.stdout + done.stderr)
    return None if done.returncode == 0 else f"exit {done.returncode} (log: {log})\n{tail(log.read_text(), 15)}"
