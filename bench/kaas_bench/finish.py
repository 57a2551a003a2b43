"""The finish line, the same for whatever built the cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kaas_lab import kube
from kaas_lab.cluster import Cluster
from kaas_lab.errors import LabError

from .api import Api

TEXT = "all nodes Ready, CoreDNS and demo Deployments complete, HTTP 200 on the demo's NodePort of every node"
DEPLOYMENTS = (("kube-system", "coredns"), ("demo", "backend"), ("demo", "frontend"))
NODE_PORT = 30080
EVERY = 0.2  # seconds between two looks


def nodes_missing(nodes: dict[str, Any] | None, expected: set[str]) -> set[str]:
    """Names of expected nodes that are not Ready in a list of Node objects (None: no answer)."""
    states = kube.node_states(nodes or {})
    return {name for name in expected if not states.get(name)}


def complete(deployment: dict[str, Any] | None) -> bool:
    """Whether every wanted replica of a Deployment is of its newest form and available."""
    if not deployment:
        return False
    status = deployment.get("status", {})
    wanted = deployment["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return bool(seen and status.get("availableReplicas", 0) >= wanted <= status.get("updatedReplicas", 0))


def cross(cluster: Cluster, api: Api, note: Callable[[str], None], timeout: float) -> None:
    """Wait for each part of the finish line and `note` it when it is reached. LabError says which part is missing."""
    end = time.monotonic() + timeout
    expected = {node.name for node in cluster.kubelets}
    _until(end, "all nodes Ready", lambda: not nodes_missing(api.get("/api/v1/nodes"), expected))
    note("nodes Ready")
    for space, name in DEPLOYMENTS:
        path = f"/apis/apps/v1/namespaces/{space}/deployments/{name}"
        _until(end, f"Deployment {space}/{name} complete", lambda path=path: complete(api.get(path)))  # type: ignore[misc]
    note("Deployments complete")
    for node in cluster.nodes:
        if node.name in expected:
            url = f"http://{node.address}:{NODE_PORT}/"
            _until(end, f"{url} to answer", lambda url=url: kube.answers(url))  # type: ignore[misc]
    note("finish")


def _until(end: float, what: str, reached: Callable[[], bool]) -> None:
    while not reached():
        if time.monotonic() > end:
            raise LabError(f"the finish line was not reached: {what}")
        time.sleep(EVERY)
