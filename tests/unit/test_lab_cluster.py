"""lab: reading a cluster file."""

import copy
from pathlib import Path

import pytest
from kaas_lab import cluster
from kaas_lab.errors import LabError

CLUSTERS = Path(__file__).resolve().parents[2] / "pillar" / "clusters"

GOOD = {
    "cluster": {
        "name": "c",
        "kubernetes": "1.36",
        "nodes": {
            "a": {"address": "10.1.0.11", "roles": ["etcd", "master"]},
            "b": {"address": "10.1.0.12", "roles": ["worker"], "id": "other-id"},
        },
        "network": {"nodes": "10.1.0.0/24"},
    },
    "lab": {"master": "10.1.0.2"},
}


def changed(path, value):
    """GOOD with one key replaced, or removed when the value is None."""
    data = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    part = data
    for key in parents:
        part = part[key]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return data


def test_machines_ids_and_names():
    found = cluster.parse(GOOD, "c", "file")
    assert [(m.name, m.id, m.address) for m in found.machines] == [
        ("salt", "ca", "10.1.0.2"),
        ("a", "a.c", "10.1.0.11"),
        ("b", "other-id", "10.1.0.12"),
    ]
    assert [m.name for m in found.masters] == ["a"]
    assert found.container(found.salt) == "kaas-c-salt"
    assert found.machine("other-id").name == found.machine("b").name == "b"


@pytest.mark.parametrize(
    ("api", "url"),
    [
        (None, "https://10.1.0.11:6443"),
        ({"address": "10.1.0.100", "port": 8443}, "https://10.1.0.100:8443"),
        ({"address": "10.1.0.100"}, "https://10.1.0.100:8443"),
    ],
)
def test_api_url(api, url):
    data = changed("cluster.api", api) if api else GOOD
    assert cluster.parse(data, "c", "file").api_url == url


@pytest.mark.parametrize(
    ("api", "roles", "holders", "application"),
    [
        ({}, {}, "", "10.1.0.11"),
        ({"address": "10.1.0.100"}, {}, "a", "10.1.0.100"),
        ({"address": "10.1.0.100"}, {"b": "worker", "l": "loadbalancer"}, "l", "10.1.0.12"),
        ({"address": "10.1.0.100"}, {"b": "etcd", "l": "loadbalancer"}, "l", "10.1.0.11"),
        ({"address": "10.1.0.100"}, {"b": "loadbalancer worker"}, "b", "10.1.0.100"),
    ],
    ids=["no API address", "on a master", "on a load balancer", "no worker", "on a worker that is a load balancer"],
)
def test_where_api_and_applications_are(api, roles, holders, application):
    """NodePorts answer on the API address only where it lies beside a kube-proxy."""
    data = changed("cluster.api", api)
    for name, words in roles.items():
        node = data["cluster"]["nodes"].setdefault(name, {"address": "10.1.0.31"})
        node["roles"] = words.split()
    found = cluster.parse(data, "c", "file")
    assert [node.name for node in found.api_holders] == holders.split()
    assert found.application_address == application


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("cluster", [], "file: cluster must be a mapping"),
        ("cluster.name", "d", "file: cluster.name is 'd'; it must be the file's name, 'c'"),
        ("cluster.nodes", {}, "file: cluster.nodes is empty"),
        ("cluster.nodes.a", "x", "file: cluster.nodes.a must be a mapping"),
        ("cluster.nodes.a.address", "10.1.0.300", "file: cluster.nodes.a.address: '10.1.0.300' is not an IPv4 address"),
        ("cluster.nodes.a.address", "10.2.0.11", "file: a: address 10.2.0.11 is outside cluster.network.nodes 10.1.0.0/24"),
        ("cluster.nodes.a.roles", ["worker"], "file: cluster.nodes: no node has the role master"),
        ("cluster.nodes.salt", {"address": "10.1.0.9"}, "file: cluster.nodes.salt: the lab gives this name"),
        ("cluster.network.nodes", "10.1.0.1/24", "file: cluster.network.nodes: '10.1.0.1/24' is not an IPv4 network"),
        ("lab", None, "file: lab must be a mapping"),
        ("lab.master", None, "file: lab.master: None is not an IPv4 address"),
    ],
)
def test_refused(path, value, message):
    with pytest.raises(LabError) as caught:
        cluster.parse(changed(path, value), "c", "file")
    assert str(caught.value).startswith(message)


def test_unknown_machine_and_cluster(tmp_path):
    with pytest.raises(LabError, match="has no machine 'x'; it has: salt, a, b"):
        cluster.parse(GOOD, "c", "file").machine("x")
    (tmp_path / "known.sls").touch()
    with pytest.raises(LabError, match="no such cluster file; there is: known"):
        cluster.load(tmp_path, "unknown")
    (tmp_path / "bad.sls").write_text("a: [")
    with pytest.raises(LabError, match="not plain YAML"):
        cluster.load(tmp_path, "bad")


@pytest.mark.parametrize("name", cluster.names(CLUSTERS))
def test_clusters_of_the_repository(name):
    found = cluster.load(CLUSTERS, name)
    addresses = [machine.address for machine in found.machines]
    assert len(set(addresses)) == len(addresses)


def test_clusters_of_the_repository_can_run_side_by_side():
    networks = [cluster.load(CLUSTERS, name).subnet for name in cluster.names(CLUSTERS)]
    assert not [(a, b) for i, a in enumerate(networks) for b in networks[i + 1 :] if a.overlaps(b)]
