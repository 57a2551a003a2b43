"""A node taken away leaves nothing behind; a dry run on a fresh node does nothing; a highstate brings it in."""

import pytest
from laboratory import difference

HIGHLY_AVAILABLE = True

LEFT = r"""
# units, but those of Debian's packages and the kernel's groups of pods that have ended
systemctl list-unit-files --plain --no-legend | grep -E '^(etcd|kube|containerd|flannel|haproxy|keepalived)' |
  grep -vE '^((haproxy|keepalived|containerd)\.service +(disabled|masked)|kubepods.*\.slice)'
find /opt/kaas /etc/kubernetes /etc/etcd /etc/containerd /etc/flannel /etc/cni /var/lib/kubelet/pki /run/flannel ! -type d 2>/dev/null
find /usr/local/bin -lname '/opt/kaas/*'
# what networks and proxies have in the kernel
ip -oneline link show | grep -oE ': (flannel[^:@]*|cni0|veth[^:@]*)'
ip -4 route show table main proto 75; ip -4 route show table main | grep -E '^10\.24[0-9]\.'
nft list tables | grep -E 'flannel|kaas|kube-proxy'
iptables-save | grep -oE '^:(KUBE|CNI|FLANNEL)-.*'
ps -eo args | grep -E '(/opt/kaas|/usr/local/bin/(kube|flannel|containerd|etcd)|containerd-shim)' | grep -v grep
true
"""


@pytest.fixture(scope="module")
def node(cluster):
    """The last worker, taken out of the cluster by `state.apply node.absent`."""
    name = cluster.workers[-1]
    cluster.apply(name, "node.absent").assert_fine()
    yield name
    cluster.highstate(name)


def test_absent_leaves_nothing(cluster, node):
    """No unit, no program, no configuration, no key, no process is left; a second `node.absent` finds nothing."""
    assert cluster.shell(node, LEFT, check=False).splitlines() == []
    assert cluster.apply(node, "node.absent").assert_fine().changed() == []


def test_dry_run_on_a_fresh_node(cluster, node):
    """`test=True` where nothing is installed yet: no state fails, much is predicted, nothing is done."""
    before = cluster.fingerprint([node])
    found = cluster.highstate(node, test=True).assert_fine()
    assert len(found.changed()) > 10
    assert difference(before, cluster.fingerprint([node])) == {}
    assert cluster.shell(node, LEFT, check=False).splitlines() == []


def test_highstate_brings_the_node_back(cluster, node):
    """One highstate of that node alone: Ready again, its NodePort answers; the next one has no work."""
    cluster.highstate(node).assert_fine()
    cluster.wait_nodes_ready(60)
    cluster.wait_workloads()
    assert cluster.demo(node)["role"] == "frontend"
    cluster.highstate(node).assert_clean()
