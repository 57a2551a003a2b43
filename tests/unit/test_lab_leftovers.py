"""lab: what of an earlier run is removed, what is kept, what is started."""

import pytest
from kaas_lab import cluster, leftovers
from kaas_lab.errors import LabError

C = cluster.parse(
    {
        "cluster": {
            "name": "c",
            "nodes": {"a": {"address": "10.1.0.11", "roles": ["master"]}},
            "network": {"nodes": "10.1.0.0/24"},
        },
        "lab": {"master": "10.1.0.2"},
    },
    "c",
    "file",
)
NETWORK = {"Id": "0123456789abcdef", "Name": "vagrant_network_10.1.0.0/24", "IPAM": {"Config": [{"Subnet": "10.1.0.0/24"}]}}
VAGRANT = {"salt": "id-salt", "a": "id-a"}
VOLUMES = ["kaas-c-a-etcd", "kaas-c-a-kubelet", "kaas-c-a-containerd"]


def container(name, address, *, ident=None, running=True, label="c", connected=True):
    """A shortened `docker inspect` object. The engine shows IPAddress only for running containers."""
    network = {"IPAddress": address if running else "", "IPAMConfig": {"IPv4Address": address}}
    return {
        "Id": ident or f"id-{name}",
        "Name": f"/kaas-c-{name}",
        "Config": {"Labels": {"kaas.cluster": label}},
        "State": {"Running": running},
        "NetworkSettings": {"Networks": {"net": network} if connected else {"bridge": {"IPAddress": "172.31.255.2"}}},
    }


SALT = container("salt", "10.1.0.2")
A = container("a", "10.1.0.11")


def plan(containers, vagrant=VAGRANT, volumes=VOLUMES, networks=(NETWORK,), bridges=None):
    return leftovers.plan(C, containers, vagrant, volumes, networks, bridges or {})


def test_a_running_lab_is_left_alone():
    assert plan([SALT, A]) == leftovers.Plan()


def test_nothing_there():
    assert leftovers.plan(C, [], {}, [], [], {}) == leftovers.Plan()


def test_stopped_machines_are_started():
    found = plan([SALT, container("a", "10.1.0.11", running=False)])
    assert (found.start, found.containers, found.volumes) == (("id-a",), (), ())


@pytest.mark.parametrize(
    ("bad", "vagrant", "reason"),
    [
        (container("a", "10.1.0.11", ident="other"), VAGRANT, "kaas-c-a: Vagrant does not know it"),
        (container("a", "10.1.0.11", connected=False), VAGRANT, "kaas-c-a: not connected to its network as 10.1.0.11"),
        (container("a", "10.1.0.12"), VAGRANT, "kaas-c-a: not connected to its network as 10.1.0.11"),
        (container("z", "10.1.0.11"), VAGRANT, "kaas-c-z: no such machine in the cluster file any more"),
        (container("a", "10.1.0.11", label=None), {"salt": "id-salt"}, "kaas-c-a: Vagrant does not know it"),
    ],
)
def test_unusable_container_goes_with_its_volumes(bad, vagrant, reason):
    found = plan([SALT, bad], vagrant=vagrant)
    assert found.containers == (bad["Id"],)
    assert found.volumes == tuple(sorted(VOLUMES))
    assert found.networks == ()
    assert reason in found.reasons


def test_nodes_without_their_salt_master_go():
    found = plan([A])
    assert found.containers == ("id-a",)
    assert found.networks == (NETWORK["Id"],)


def test_other_clusters_are_not_touched():
    other = container("x", "10.9.0.2", label="d")
    other["Name"] = "/kaas-d-x"
    found = plan([SALT, A, other], volumes=[*VOLUMES, "kaas-d-x-etcd", "somebody-elses"])
    assert found == leftovers.Plan()


def test_bridge_of_a_dead_engine_goes_and_the_living_networks_stays():
    bridges = {"br-0123456789ab": "10.1.0.1/24", "br-dead": "10.1.0.1/24", "br-other": "10.5.0.1/24", "virbr0": "10.1.0.1/24"}
    assert plan([SALT, A], bridges=bridges).bridges == ("br-dead",)


def test_a_foreign_network_in_the_way_is_an_error():
    foreign = {"Id": "f", "Name": "theirs", "IPAM": {"Config": [{"Subnet": "10.1.0.0/16"}]}}
    with pytest.raises(LabError, match=r"network theirs \(10.1.0.0/16\) overlaps cluster c's 10.1.0.0/24"):
        plan([], networks=[foreign])
