"""Kubernetes from the host: the operator's kubeconfig, kubectl, waiting for the nodes and for the demo application."""

from __future__ import annotations

import base64
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from . import machines
from .cluster import Cluster
from .errors import LabError
from .paths import ARTIFACTS, kubeconfig
from .run import environment, run, wait

ADMIN = "/etc/kubernetes/admin.conf"
# kubeconfig keys that name a file, and the keys that hold the same content inline
INLINE = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
}


def inlined(config: dict[str, Any], read: Callable[[str], str], server: str, name: str) -> dict[str, Any]:
    """A kubeconfig for use elsewhere: file contents inline, the cluster's API address, contexts named after the
    cluster.

    `config` is a parsed kubeconfig with one cluster and one user; `read` gives a file's text.
    """
    cluster = _embedded(config["clusters"][0]["cluster"], read)
    user = _embedded(config["users"][0]["user"], read)
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {**cluster, "server": server}}],
        "users": [{"name": f"{name}-admin", "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-admin"}}],
        "current-context": name,
    }


def _embedded(part: dict[str, Any], read: Callable[[str], str]) -> dict[str, Any]:
    return {
        INLINE.get(key, key): base64.b64encode(read(value).encode()).decode() if key in INLINE else value
        for key, value in part.items()
    }


def write_kubeconfig(cluster: Cluster) -> Path:
    """Fetch the administrator's kubeconfig from the first master that answers; returns its path on the host (mode
    0600).
    """
    problem = "no master"
    for master in cluster.masters:

        def read(path: str, master: Any = master) -> str:
            return machines.execute(cluster, master, ["cat", path], timeout=30).stdout

        try:
            config = inlined(yaml.safe_load(read(ADMIN)), read, cluster.api_url, cluster.name)
        except (LabError, KeyError, IndexError, TypeError) as err:
            problem = f"{master.name}: {err}"
            continue
        target = kubeconfig(cluster.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name("kubeconfig.partial")
        partial.touch(mode=0o600)
        partial.chmod(0o600)
        partial.write_text(yaml.safe_dump(config, sort_keys=False))
        partial.rename(target)
        return target
    raise LabError(f"no usable {ADMIN} on any master of {cluster.name} (has the highstate run?): {problem}")


def kubectl_path(cluster: Cluster) -> str:
    """The kubectl of the cluster's Kubernetes minor among the artifacts, else the newest there, else the one in
    PATH.
    """
    minor = ".".join(cluster.kubernetes.split(".")[:2])
    built = sorted(ARTIFACTS.glob("kubernetes/*/linux-*/kubectl"), key=lambda path: _numbers(path.parts[-3]))
    fitting = [path for path in built if path.parts[-3].startswith(f"{minor}.")] or built
    if fitting:
        return str(fitting[-1])
    found = shutil.which("kubectl")
    if not found:
        raise LabError(f"no kubectl: neither below {ARTIFACTS} (make artifacts) nor in PATH")
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def enter_kubectl(cluster: Cluster, argv: list[str]) -> None:
    """Replace this process by kubectl with the operator's kubeconfig."""
    path = kubeconfig(cluster.name)
    if not path.is_file():
        write_kubeconfig(cluster)
    program = kubectl_path(cluster)
    os.execve(program, [program, *argv], environment(KUBECONFIG=str(path)))


def query(cluster: Cluster, *argv: str) -> dict[str, Any]:
    """`kubectl ... -o json`; an empty mapping when the API does not answer."""
    env = environment(KUBECONFIG=str(kubeconfig(cluster.name)))
    done = run(
        [kubectl_path(cluster), "--request-timeout=10s", *argv, "--output=json"], check=False, timeout=30, env=env
    )
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout else {}


def node_states(nodes: dict[str, Any]) -> dict[str, bool]:
    """Node name -> Ready, from a list of Node objects."""
    found = {}
    for node in nodes.get("items", []):
        conditions = {item["type"]: item["status"] for item in node.get("status", {}).get("conditions", [])}
        found[node["metadata"]["name"]] = conditions.get("Ready") == "True"
    return found


def wait_ready(cluster: Cluster, timeout: float = 180) -> None:
    """Wait until every node of the cluster file is registered and Ready (dedicated etcd nodes run no kubelet)."""
    expected = {node.name for node in cluster.kubelets}

    def ready() -> bool:
        states = node_states(query(cluster, "get", "nodes"))
        return all(states.get(name) for name in expected)

    try:
        wait(f"nodes {', '.join(sorted(expected))} to be Ready", ready, timeout=timeout, every=0.5)
    except LabError as err:
        raise LabError("\n".join([str(err), *not_ready(query(cluster, "get", "nodes"), expected)])) from err


def not_ready(nodes: dict[str, Any], expected: set[str]) -> list[str]:
    """One line for each expected node that is absent or not Ready, with the kubelet's reason."""
    found = {node["metadata"]["name"]: node for node in nodes.get("items", [])}
    lines = [f"    {name}: not registered" for name in sorted(expected - set(found))]
    for name in sorted(expected & set(found)):
        for condition in found[name].get("status", {}).get("conditions", []):
            if condition["type"] == "Ready" and condition["status"] != "True":
                lines.append(f"    {name}: {condition.get('reason', '')}: {condition.get('message', '')}")
    return lines


def demo_port(services: dict[str, Any]) -> int | None:
    """The first NodePort among Service objects."""
    for service in services.get("items", []):
        for port in service.get("spec", {}).get("ports", []):
            if port.get("nodePort"):
                return int(port["nodePort"])
    return None


def demo_url(cluster: Cluster) -> str | None:
    """The demo application's URL from the host; None when it is not deployed."""
    port = demo_port(query(cluster, "get", "services", "--namespace=demo"))
    return f"http://{cluster.application_address}:{port}/" if port else None


def wants_demo(cluster: Cluster) -> bool:
    """True when the cluster file lists the demo among its add-ons."""
    return "demo" in (cluster.raw["cluster"].get("addons") or [])


def wait_demo(cluster: Cluster, timeout: float = 180) -> str:
    """Wait until the demo answers with status 200; returns its URL."""
    url: list[str] = []

    def ready() -> bool:
        found = demo_url(cluster)
        if found is None or not answers(found):
            return False
        url.append(found)
        return True

    try:
        wait("the demo application to answer", ready, timeout=timeout, every=0.5)
    except LabError as err:
        raise LabError(
            "\n".join([str(err), *pods_not_ready(query(cluster, "get", "pods", "--all-namespaces"))])
        ) from err
    return url[0]


def pods_not_ready(pods: dict[str, Any]) -> list[str]:
    """One line for each pod that is neither Ready nor finished: where it is and what its conditions say."""
    lines = []
    for pod in pods.get("items", []):
        status = pod.get("status", {})
        bad = [item for item in status.get("conditions", []) if item["status"] != "True"]
        if status.get("phase") == "Succeeded" or not bad:
            continue
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        where = pod.get("spec", {}).get("nodeName", "no node")
        lines.append(f"    {name} on {where}: {status.get('phase')}: {bad[-1].get('message') or bad[-1]['type']}")
    return lines


def answers(url: str) -> bool:
    """True when a GET gives status 200 within 3 seconds (proxies of the environment are not used: the lab is local)."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=3) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False
