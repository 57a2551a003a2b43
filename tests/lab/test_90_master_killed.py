"""The API address and the workloads survive the loss of the master that holds the address."""

import time
from datetime import datetime

import pytest
from failover import assert_moved, holder_killed
from polling import eventually, get, verifying

HIGHLY_AVAILABLE = True


@pytest.fixture(scope="module")
def killed(cluster):
    """The master that held the API address, killed, and what was seen; started again at the end."""
    with holder_killed(cluster) as seen:
        yield seen


def test_api_answers_within_the_bound(cluster, killed):
    """Another master takes the address; reads and writes stop for at most 10 s."""
    assert_moved(cluster, killed)


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
