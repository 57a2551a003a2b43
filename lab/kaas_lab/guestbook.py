"""The demo application of a running cluster: as people see it (HTTP) and as operators do (kubectl, Salt)."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

from . import kube, machines, summary
from .cluster import Cluster, Machine
from .errors import LabError
from .paths import kubeconfig
from .polling import Loop, NotYet, eventually, fetch, get
from .run import environment, run

NAMESPACE = "demo"
PORT = 30080
FRONTENDS = {"blue": "frontend", "green": "frontend-green"}
DEPLOYMENTS = ("backend", *FRONTENDS.values())
COMPLETE_WITHIN = 180


class Guestbook:
    """The guestbook of one cluster. `tell` gets a line of text whenever there is something to say."""

    def __init__(self, cluster: Cluster, tell: Callable[[str], None] = lambda text: None) -> None:
        self.cluster, self.tell = cluster, tell
        self.deployer = cluster.masters[0]
        self.visitors: Loop | None = None  # the last loop of visits
        self.workers = [node for node in cluster.nodes if "worker" in node.roles]

    # --- kubectl --------------------------------------------------------------------------------------------------

    def kubectl(self, *argv: str, timeout: float = 90) -> str:
        """Run kubectl in the demo's namespace; return its output. LabError when it fails."""
        command = [kube.kubectl_path(self.cluster), "--request-timeout=20s", f"--namespace={NAMESPACE}", *argv]
        return run(command, timeout=timeout, env=environment(KUBECONFIG=str(kubeconfig(self.cluster.name)))).stdout

    def get(self, *argv: str) -> dict[str, Any]:
        """``kubectl get ... -o json``, parsed."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *argv, "--output=json"))
        return found

    def pods(self, app: str) -> list[dict[str, Any]]:
        """The pods of one part, without those that are being deleted."""
        listed = self.get("pods", f"--selector=app={app}")["items"]
        return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]

    def image(self, deployment: str) -> str:
        """The image of a Deployment's first container."""
        found = self.get("deployment", deployment)["spec"]["template"]["spec"]["containers"][0]["image"]
        return str(found)

    def live(self) -> str:
        """The colour that people get."""
        chosen = self.get("service", "frontend")["spec"]["selector"]["app"]
        return next(colour for colour, app in FRONTENDS.items() if app == chosen)

    def available(self, *deployments: str) -> bool:
        """True when these Deployments are rolled out completely; else NotYet says which is not."""
        for name in deployments:
            found = self.get("deployment", name)
            status, wanted = found.get("status", {}), found["spec"].get("replicas", 1)
            counts = {key: status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")}
            if status.get("observedGeneration") != found["metadata"]["generation"] or set(counts.values()) != {wanted}:
                raise NotYet(f"{name}: wanted {wanted}, found {counts}")
        return True

    def complete(self, timeout: float = COMPLETE_WITHIN) -> None:
        """Wait until every part is there and the database answers through all of them."""
        eventually(lambda: self.available(*DEPLOYMENTS), timeout, "the guestbook's Deployments to be complete", 0.5)
        # without any entry it is complete too
        eventually(lambda: self.entries() is not None, timeout, "the database to answer", 0.5)

    def scaler(self, name: str) -> dict[str, Any]:
        """The autoscaler of a front end: what it measures and how many pods it wants."""
        return self.get("hpa", name)

    # --- HTTP -----------------------------------------------------------------------------------------------------

    def url(self, path: str = "/", node: Machine | None = None) -> str:
        """URL of the front end by a node's address, or where people are told to find it."""
        host = node.address if node else self.cluster.application_address
        return f"http://{host}:{PORT}{path}"

    def entries(self, limit: int = 1000) -> list[dict[str, Any]]:
        """The guestbook's entries, newest first."""
        found: list[dict[str, Any]] = json.loads(fetch(self.url(f"/entries?limit={limit}"), timeout=5))["entries"]
        return found

    def sign(self, name: str, text: str) -> dict[str, Any]:
        """Write an entry; return it with its number. OSError when it was not written."""
        status, reply = get(self.url("/entries"), timeout=5, body=json.dumps({"name": name, "text": text}).encode())
        if status != 201:
            raise OSError(f"not written: HTTP {status}: {reply[:300]}")
        written: dict[str, Any] = json.loads(reply)
        return written

    def visits(
        self, *nodes: Machine, paths: tuple[str, ...] = ("/api",), every: float = 0.05, threads: int = 2
    ) -> Loop:
        """
        A loop of visitors that come to the nodes in turn (to all that have a kubelet, when none is named).

        Each result is ``(begin, answer of /api or None for another path)``, the begin on the monotonic clock.
        """
        urls = [(path, self.url(path, node)) for node in nodes or self.cluster.kubelets for path in paths]
        turn = itertools.cycle(range(len(urls)))

        def visit() -> tuple[float, Any]:
            path, url = urls[next(turn)]
            begin, text = time.monotonic(), fetch(url)
            return begin, json.loads(text) if path == "/api" else None

        self.visitors = Loop(visit, every=every, threads=threads)
        return self.visitors

    # --- Salt -----------------------------------------------------------------------------------------------------

    def salt(self, *, test: bool = False) -> list[str]:
        """
        Apply the state demo.deployed on the deployer, or only ask what it would do; return the states with changes.

        LabError when a state failed.
        """
        argv = ["salt", self.deployer.id, "state.apply", "demo.deployed", f"test={test}", "--out=json"]
        done = machines.execute(self.cluster, self.cluster.salt, argv, check=False, timeout=300)
        returned = summary.merged(done.stdout)
        failed = summary.failures(returned)
        if failed or self.deployer.id not in returned:
            texts = [f"{failure.id}: {failure.comment}" for failure in failed] or [done.stdout[-2000:] + done.stderr]
            raise LabError("salt did not apply demo.deployed:\n" + "\n".join(texts))
        states = returned[self.deployer.id].values()
        return sorted(str(state["__id__"]) for state in states if state.get("changes") or state.get("result") is None)

    # --- machines -------------------------------------------------------------------------------------------------

    def kill(self, node: Machine) -> None:
        """End a machine as a power failure would (docker provider)."""
        run(["docker", "kill", "--signal=KILL", self.cluster.container(node)])

    def start(self, node: Machine) -> None:
        """Start a machine that was killed; returns when its node is Ready again."""
        run(["docker", "start", self.cluster.container(node)])
        eventually(lambda: machines.booted(self.cluster, node), 90, f"{node.name} to boot")
        eventually(lambda: node.name in self.ready_nodes(), 120, f"node {node.name} to be Ready", 0.5)

    def ready_nodes(self) -> set[str]:
        """Names of the nodes that are Ready."""
        return {name for name, good in kube.node_states(self.get("nodes")).items() if good}
