"""Throughput between pods of two nodes, and between these nodes themselves: what the pod network costs.

iperf3 of the host runs in the network namespaces of machines and pods, so that no image and no machine needs it.
"""

from __future__ import annotations

import json
import shutil
import time
from typing import Any

from kaas_lab import kube, machines
from kaas_lab.cluster import Cluster, Machine
from kaas_lab.errors import LabError
from kaas_lab.run import run
from kaas_lab.ui import say

SECONDS = 5  # of each transfer
PORT = "15201"
WAYS = ("nodes", "pods")


def plan(pods: dict[str, Any]) -> list[dict[str, str]]:
    """Two running pods on different nodes, from a list of Pod objects: `[{name, namespace, node, address}] * 2`.

    Pods of the node's own network don't count. LabError when there are none.
    """
    found: dict[str, dict[str, str]] = {}
    for pod in pods.get("items", []):
        spec, status, meta = pod["spec"], pod.get("status", {}), pod["metadata"]
        if spec.get("hostNetwork") or status.get("phase") != "Running" or "deletionTimestamp" in meta:
            continue
        one = {"name": meta["name"], "namespace": meta["namespace"], "node": spec["nodeName"]}
        found.setdefault(spec["nodeName"], {**one, "address": status["podIP"]})
    if len(found) < 2:
        raise LabError("pods run on fewer than two nodes: choose a cluster with the demo and two workers")
    return list(found.values())[:2]


def measure(cluster: Cluster, runs: int) -> dict[str, Any]:
    """Transfers by TCP, each way in turn.

    Returns `{plugin, nodes: [name, name], mtu: {nodes, pods}, gbits: {nodes: [...], pods: [...]}}`.
    """
    if not shutil.which("iperf3"):
        raise LabError("iperf3 is missing on this host: apt-get install iperf3")
    one, other = plan(kube.query(cluster, "get", "pods", "--all-namespaces"))
    ends = {
        "nodes": [
            (_machine_namespace(cluster, pod["node"]), str(cluster.machine(pod["node"]).address))
            for pod in (one, other)
        ],
        "pods": [(_pod_namespace(cluster, pod), pod["address"]) for pod in (one, other)],
    }
    gbits: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(runs):
        for way in WAYS:
            gbits[way].append(_transfer(*ends[way]))
            say(f"    {way:<5} {gbits[way][-1]:.2f} Gbit/s")
    mtu = {way: _mtu(*ends[way][0]) for way in WAYS}
    return {"plugin": name(cluster.raw["cluster"]), "nodes": [one["node"], other["node"]], "mtu": mtu, "gbits": gbits}


def name(cluster: dict[str, Any]) -> str:
    """What the cluster file has chosen: `flannel vxlan`, `routes`."""
    network = cluster["network"]
    plugin = network.get("plugin", "flannel")
    backend = network.get(plugin, {}).get("backend", "vxlan" if plugin == "flannel" else "")
    return f"{plugin} {backend}".strip()


def received(report: dict[str, Any]) -> float:
    """Gbit/s that arrived, from iperf3's JSON. LabError with its words when there was no transfer."""
    if "error" in report:
        raise LabError(f"iperf3: {report['error']}")
    return round(float(report["end"]["sum_received"]["bits_per_second"]) / 1e9, 2)


def _transfer(client: tuple[str, str], server: tuple[str, str]) -> float:
    inside = ["nsenter", f"--net={server[0]}", "iperf3", "--server", "--one-off", "--daemon", "--bind", server[1]]
    run([*inside, "--port", PORT], timeout=20)
    argv = [
        "nsenter",
        f"--net={client[0]}",
        "iperf3",
        "--client",
        server[1],
        "--port",
        PORT,
        "--time",
        str(SECONDS),
        "--json",
    ]
    deadline = time.monotonic() + 10
    while True:
        done = run(argv, check=False, timeout=SECONDS + 30)
        # The server may not listen yet: that answer comes at once.
        if done.returncode == 0 or time.monotonic() > deadline:
            return received(json.loads(done.stdout or '{"error": "no report"}'))
        time.sleep(0.2)


def _mtu(namespace: str, address: str) -> int:
    listed = run(["nsenter", f"--net={namespace}", "ip", "-json", "address", "show"], timeout=20).stdout
    return next(
        int(one["mtu"]) for one in json.loads(listed) if address in [where["local"] for where in one["addr_info"]]
    )


def _pid(cluster: Cluster, machine: Machine) -> str:
    return run(
        ["docker", "inspect", "--format", "{{.State.Pid}}", cluster.container(machine)], timeout=20
    ).stdout.strip()


def _machine_namespace(cluster: Cluster, node: str) -> str:
    return f"/proc/{_pid(cluster, cluster.machine(node))}/ns/net"


def _pod_namespace(cluster: Cluster, pod: dict[str, str]) -> str:
    """Path, on the host, of a pod's network namespace."""
    machine = cluster.machine(pod["node"])
    words = [
        "crictl",
        "pods",
        "--quiet",
        "--state",
        "Ready",
        "--name",
        f"^{pod['name']}$",
        "--namespace",
        pod["namespace"],
    ]
    sandbox = machines.execute(cluster, machine, words).stdout.split()[0]
    described = json.loads(machines.execute(cluster, machine, ["crictl", "inspectp", sandbox]).stdout)
    spaces = described["info"]["runtimeSpec"]["linux"]["namespaces"]
    inside = next(space["path"] for space in spaces if space["type"] == "network")
    return f"/proc/{_pid(cluster, machine)}/root{inside.replace('/var/run/', '/run/')}"
