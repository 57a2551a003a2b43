"""Pods of a lost worker run elsewhere; the worker comes back by itself."""

import pytest
from polling import eventually, fetch

HIGHLY_AVAILABLE = True
# The controllers take 50 s to call a node unreachable, the demo's pods tolerate that for 20 s, then others start.
MOVED_WITHIN = 120


@pytest.fixture(scope="module")
def killed(cluster):
    """The last worker, killed; started again at the end, whatever the tests found."""
    cluster.wait_workloads()
    node = cluster.workers[-1]
    assert node in {item["spec"]["nodeName"] for item in cluster.pods("demo")}, f"no pod of the demo on {node}"
    cluster.kill(node)
    try:
        yield node
    finally:
        cluster.start(node)


def test_pods_run_elsewhere(cluster, killed):
    """All replicas of the demo are available on other nodes within two minutes, and the demo answers."""

    def moved():
        pods = [item for item in cluster.pods("demo") if item["status"]["phase"] == "Running"]
        away = {item["spec"]["nodeName"] for item in pods}
        return killed not in away and cluster.available("demo", "frontend", "backend")

    eventually(moved, MOVED_WITHIN, f"the demo's pods to leave {killed}", every=1)
    assert killed not in cluster.ready_nodes()
    url = cluster.demo_url(cluster.workers[0])
    for _ in range(20):
        fetch(url)


def test_worker_comes_back_by_itself(cluster, killed):
    """Started again, it is Ready, and its NodePort and its pod network work: without Salt."""
    cluster.start(killed)
    cluster.wait_nodes_ready(90)
    cluster.wait_workloads()
    eventually(lambda: cluster.demo(killed), 60, f"the NodePort of {killed}")
    assert cluster.shell(killed, "systemctl is-system-running --wait", timeout=90, check=False).strip() == "running"


def test_highstate_has_no_work_afterwards(cluster, killed):
    """What the worker needs after a start is all in its units."""
    cluster.wait_minions()
    cluster.highstate().assert_clean()
