"""A cluster of one node survives a power failure of it."""

import time

from polling import eventually

HIGHLY_AVAILABLE = False


def test_the_node_comes_back_by_itself(cluster):
    """Killed and started: Ready, data there, the demo answers, no unit failed, and the highstate has no work."""
    node = cluster.nodes[0]
    word = f"written-{time.time_ns()}"
    cluster.api().write("kaas-test-power", word)
    cluster.kill(node)
    cluster.start(node)
    path = "/api/v1/namespaces/default/configmaps/kaas-test-power"
    eventually(lambda: cluster.api().get(path)["data"]["value"] == word, 120, "the data")
    cluster.wait_nodes_ready()
    cluster.wait_workloads()
    assert cluster.shell(node, "systemctl is-system-running --wait", timeout=90, check=False).strip() == "running"
    cluster.wait_minions()
    cluster.highstate().assert_clean()
