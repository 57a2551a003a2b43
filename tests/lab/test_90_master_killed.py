"""The API address and the workloads survive the loss of the master that holds the address."""

import time
from datetime import datetime

import pytest
from kaas_lab import machines
from polling import Loop, eventually, fetch, get, verifying

HIGHLY_AVAILABLE = True
API_BOUND = 10  # seconds without an answer of the API through its address


def holder(cluster):
    """The master that has the API address on an interface."""
    for node in cluster.masters:
        if f" {cluster.vip}/" in cluster.exec(node, "ip", "-4", "-oneline", "address", "show").stdout:
            return node
    return None


@pytest.fixture(scope="module")
def killed(cluster):
    """
    The master that held the API address, killed, with what was seen before and until the API wrote again.

    Yields ``{node, readyz, writes, demo}``; the loops have ended. The machine is started at the end, whatever was found.
    """
    cluster.wait_workloads()
    node = holder(cluster)
    assert node, f"no master holds {cluster.vip}"
    trusting = verifying(cluster.api().ca)
    api = cluster.api()
    page = cluster.demo_url(cluster.workers[0], "/")

    def readyz():
        status, text = get(cluster.api_url + "/readyz", timeout=1, context=trusting)
        if (status, text) != (200, "ok"):
            raise OSError(f"{status} {text}")

    loops = {
        "readyz": Loop(readyz, every=0.1),
        "writes": Loop(lambda: api.write("kaas-test-master", time.time_ns(), timeout=2), every=0.2),
        "demo": Loop(lambda: fetch(page, timeout=2), every=0.1),
    }
    try:
        with loops["readyz"], loops["writes"], loops["demo"]:
            eventually(lambda: len(loops["writes"].attempts) > 10, 30, "the loops to run")
            cluster.kill(node)
            at = time.monotonic()
            answered = [loops[name].answered_since for name in ("readyz", "writes")]
            eventually(lambda: all(since(at + 1) for since in answered), 60, "the API to answer again")
            # a while longer, so that a second interruption is seen too
            eventually(lambda: time.monotonic() > at + 20, 30, "the observation to end")
        yield {"node": node, **loops}
    finally:
        if node not in running(cluster):
            cluster.start(node)


def running(cluster):
    """Names of the machines that run."""
    up = [item for item in machines.containers(cluster.file) if item["State"]["Running"]]
    return {item["Config"]["Labels"]["kaas.machine"] for item in up}


def test_api_answers_within_the_bound(cluster, killed):
    """Another master takes the address; reads and writes stop for at most 10 s."""
    assert killed["readyz"].failed, "the API never stopped answering: the wrong machine was killed"
    assert killed["readyz"].longest_gap() <= API_BOUND, killed["readyz"].report()
    assert killed["writes"].longest_gap() <= API_BOUND, killed["writes"].report()
    assert holder(cluster) not in (None, killed["node"])


def test_workloads_keep_serving(killed):
    """The demo on the workers does not notice: not one request failed."""
    assert not killed["demo"].failed, killed["demo"].report()


def test_node_ports_moved_with_the_address(cluster, killed):
    """The demo answers through the API address, which is another master's now."""
    eventually(lambda: cluster.demo(), 10, "the demo to answer by the API address")


def test_the_cluster_still_heals(cluster, killed):
    """Controllers and scheduler have new leaders: a deleted pod is replaced while the master is down."""
    victim = cluster.pods("demo", "app=backend")[0]["metadata"]["name"]
    cluster.kubectl("delete", "pod", victim, "--namespace=demo", "--wait=false")

    def replaced():
        names = {item["metadata"]["name"] for item in cluster.pods("demo", "app=backend")}
        return victim not in names and cluster.available("demo", "backend")

    eventually(replaced, 90, f"pod {victim} to be replaced")


def test_master_comes_back_by_itself(cluster, killed):
    """Started again, it is Ready, its apiserver answers and etcd has all members: without Salt."""
    node = killed["node"]
    cluster.start(node)
    trusting = verifying(cluster.api().ca)
    own = f"https://{cluster.address(node)}:6443/readyz"
    eventually(lambda: get(own, context=trusting) == (200, "ok"), 90, f"the apiserver of {node}")
    eventually(lambda: cluster.healthy_members() == set(cluster.etcd), 60, "etcd to have all members")
    started = time.time()
    lease = f"node {node} to renew its lease and be Ready"
    eventually(lambda: renewed(cluster, node) > started - 10 and node in cluster.ready_nodes(), 90, lease)
    assert cluster.shell(node, "systemctl is-system-running --wait", timeout=90, check=False).strip() == "running"


def renewed(cluster, node):
    """Seconds since the epoch of the last sign of life of a node's kubelet."""
    lease = cluster.get("lease", node, "--namespace=kube-node-lease")
    return datetime.fromisoformat(lease["spec"]["renewTime"].replace("Z", "+00:00")).timestamp()


def test_highstate_has_no_work_afterwards(cluster, killed):
    """What the master needs after a start is all in its units."""
    cluster.wait_minions()
    cluster.highstate().assert_clean()
