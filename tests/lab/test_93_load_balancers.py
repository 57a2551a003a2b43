"""Load balancers and etcd on machines of their own: they hold next to nothing, and the API survives the loss of a balancer."""

import pytest
from failover import assert_moved, holder_killed

LOAD_BALANCERS = True

# role -> certificates, keys and other files of the machine, and the programs from the artifact repository
HELD = {
    "loadbalancer": (["ca.crt", "haproxy.crt", "haproxy.key", "/etc/kubernetes/haproxy.conf"], []),
    "etcd": (
        ["etcd/" + name for name in ("ca.crt", "healthcheck-client.crt", "healthcheck-client.key", "peer.crt", "peer.key", "server.crt", "server.key")],
        ["etcd"],
    ),
}  # fmt: skip
FILES = "cd /etc/kubernetes/pki && find . -type f -printf '%P\\n' | sort; find /etc/kubernetes -maxdepth 1 -type f"
AGENTS = "containerd|kubelet|kube-proxy|flanneld|kube-apiserver"
# A load balancer's own configuration with a kubelet as its only apiserver: what haproxy says about it.
IMPOSTOR = """
sed -e 's/bind :.*/bind 127.0.0.1:18443/' -e '/^  server /d' -e "s/check-sni kubernetes/check-sni $2/" /etc/haproxy/haproxy.cfg > /run/impostor.cfg
echo "  server impostor $1:10250" >> /run/impostor.cfg
timeout 4 haproxy -db -f /run/impostor.cfg 2>&1
rm /run/impostor.cfg
"""


@pytest.mark.parametrize("role", HELD)
def test_machines_of_one_role_hold_what_it_needs(cluster, role):
    """A load balancer has the authority's certificate and what it reads Services with, no more; an etcd machine has etcd's certificates. Neither runs an agent."""
    files, programs = HELD[role]
    for node in cluster.alone(role):
        assert cluster.shell(node, FILES).splitlines() == files, node
        assert cluster.shell(node, "ls /opt/kaas 2>/dev/null", check=False).split() == programs, node
        assert cluster.shell(node, f"ps -eo comm | grep -xE '{AGENTS}'", check=False) == "", node


@pytest.mark.parametrize(
    ("known_as", "verdict"),
    [
        ("kubernetes", "SSL certificate different from the expected one"),
        # the same server under its own name, so that the refusal above is for the name and nothing else
        ("{node}", "Layer7 wrong status"),
    ],
    ids=["as an apiserver", "as itself"],
)
def test_a_worker_cannot_pass_for_an_apiserver(cluster, known_as, verdict):
    """haproxy wants an apiserver's certificate: a kubelet's, signed by the same authority, is refused."""
    worker = cluster.workers[0]
    said = cluster.shell(
        cluster.balancers[0], IMPOSTOR, cluster.address(worker), known_as.format(node=worker), check=False
    )
    assert verdict in said, said


@pytest.fixture(scope="module")
def killed(cluster):
    """The load balancer that held the API address, killed, and what was seen; started again at the end."""
    with holder_killed(cluster) as seen:
        yield seen


def test_api_answers_within_the_bound(cluster, killed):
    """The other load balancer takes the address; reads and writes stop for at most 10 s."""
    assert killed["node"] in cluster.balancers
    assert_moved(cluster, killed)


def test_workloads_keep_serving(killed):
    """Applications do not depend on the load balancers of the API: not one request failed."""
    assert not killed["demo"].failed, killed["demo"].report()


def test_load_balancer_comes_back_by_itself(cluster, killed):
    """Started again, all its services run without Salt, and the highstate finds nothing to do."""
    node = killed["node"]
    cluster.start(node)
    assert cluster.shell(node, "systemctl is-system-running --wait", timeout=90, check=False).strip() == "running"
    cluster.wait_minions()
    cluster.highstate().assert_clean()
