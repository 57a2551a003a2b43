"""Values of the networks' charts: what the cluster file says stands where the chart reads it."""

import copy

import clusterfiles
import kaas_charts
import kaas_topology
import pytest
import yaml


def rendered(tmp_path, **network):
    """Return the values of the chart for the cluster of the corpus with other network settings, its checks included."""
    document = clusterfiles.patched(clusterfiles.good(), {"cluster": {"network": network}})
    cluster, said = clusterfiles.said(tmp_path, document)
    assert cluster is not None, said
    return kaas_charts.values(cluster, kaas_topology.network(cluster), kaas_topology.api(cluster))


def at(values, path):
    for key in path.split("."):
        values = values[int(key) if key.isdigit() else key]
    return values


POOL = "installation.calicoNetwork.ipPools.0"
NETWORK = "installation.calicoNetwork"


@pytest.mark.parametrize(
    ("network", "path", "expected"),
    [
        ({}, f"{POOL}.cidr", "10.244.0.0/16"),
        ({}, f"{POOL}.encapsulation", "VXLAN"),
        ({}, f"{NETWORK}.bgp", "Disabled"),
        ({"calico": {"backend": "bgp"}}, f"{POOL}.encapsulation", "None"),
        ({"calico": {"backend": "bgp"}}, f"{NETWORK}.bgp", "Enabled"),
        ({"calico": {"backend": "vxlan-cross-subnet"}}, f"{POOL}.encapsulation", "VXLANCrossSubnet"),
        ({"calico": {"backend": "vxlan-cross-subnet"}}, f"{NETWORK}.bgp", "Enabled"),
        ({"calico": {"block_size": 24}}, f"{POOL}.blockSize", 24),
        ({"mtu": 1500}, f"{NETWORK}.mtu", 1450),
        ({"mtu": 1500, "calico": {"backend": "bgp"}}, f"{NETWORK}.mtu", 1500),
        ({"proxy": "nftables"}, f"{NETWORK}.linuxDataplane", "Nftables"),
        ({"proxy": "iptables"}, f"{NETWORK}.linuxDataplane", "Iptables"),
        ({}, f"{NETWORK}.nodeAddressAutodetectionV4.cidrs", ["10.1.0.0/24"]),
        ({}, "kubernetesServiceEndpoint", {"host": "10.1.0.100", "port": "8443"}),
        ({"calico": {"values": {"whisker": {"enabled": True}}}}, "whisker.enabled", True),
        ({"calico": {"values": {"whisker": {"enabled": True}}}}, "goldmane.enabled", False),
        ({"calico": {"values": {"installation": {"calicoNetwork": {"bgp": "Enabled"}}}}}, f"{NETWORK}.bgp", "Enabled"),
        ({"calico": {"values": {"installation": {"calicoNetwork": {"bgp": "Enabled"}}}}}, f"{POOL}.encapsulation", "VXLAN"),
    ],
)  # fmt: skip
def test_calico(tmp_path, network, path, expected):
    assert at(rendered(tmp_path, plugin="calico", **network)["calico"], path) == expected


def test_calico_finds_the_mtu_itself_where_the_file_names_none(tmp_path):
    values = rendered(tmp_path, plugin="calico", mtu=None)["calico"]
    assert "mtu" not in values["installation"]["calicoNetwork"]


@pytest.mark.parametrize(
    ("network", "path", "expected"),
    [
        ({}, "routingMode", "tunnel"),
        ({}, "tunnelProtocol", "vxlan"),
        ({"cilium": {"backend": "geneve"}}, "tunnelProtocol", "geneve"),
        ({"cilium": {"backend": "native"}}, "routingMode", "native"),
        ({"cilium": {"backend": "native"}}, "ipv4NativeRoutingCIDR", "10.244.0.0/16"),
        ({"cilium": {"backend": "native"}}, "autoDirectNodeRoutes", True),
        ({}, "kubeProxyReplacement", "false"),
        ({"proxy": "none"}, "kubeProxyReplacement", "true"),
        ({}, "k8sServiceHost", "10.1.0.100"),
        ({}, "k8sServicePort", "8443"),
        ({}, "ipam.mode", "kubernetes"),
        ({}, "cluster.name", "good"),
        ({}, "operator.replicas", 2),
        ({"mtu": 1400}, "MTU", 1400),
        ({"cilium": {"values": {"l7Proxy": False}}}, "l7Proxy", False),
    ],
)
def test_cilium(tmp_path, network, path, expected):
    assert at(rendered(tmp_path, plugin="cilium", **network)["cilium"], path) == expected


@pytest.mark.parametrize(("backend", "absent"), [("native", {"tunnelProtocol"}), ("vxlan", {"ipv4NativeRoutingCIDR", "autoDirectNodeRoutes"})])
def test_cilium_is_told_what_its_mode_knows(tmp_path, backend, absent):
    assert not absent & set(rendered(tmp_path, plugin="cilium", mtu=None, cilium={"backend": backend})["cilium"])


def test_one_node_one_operator(tmp_path):
    """Two would need two machines."""
    values = kaas_charts.cilium(
        {"name": "x", "nodes": {"m1": {"roles": ["master"]}, "e1": {"roles": ["etcd"]}}},
        {"cilium": {"backend": "vxlan"}, "proxy": "nftables", "mtu": None},
        {"address": "10.0.0.1", "port": 6443},
    )
    assert values["operator"]["replicas"] == 1


def test_other_networks_have_no_chart(tmp_path):
    assert rendered(tmp_path, plugin="flannel") == {}


def test_merging_changes_neither():
    base, over = {"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}, "d": 1}
    before = copy.deepcopy((base, over))
    assert kaas_charts.merged(base, over) == {"a": {"b": 1, "c": [2]}, "d": 1} and (base, over) == before


def test_values_are_plain_data(tmp_path):
    values = rendered(tmp_path, plugin="cilium")
    assert yaml.safe_load(yaml.safe_dump(values)) == values
