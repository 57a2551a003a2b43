"""A wrong cluster file is refused with path and reason, and changes nothing on any node."""

import copy

import pytest
import yaml
from laboratory import difference


def unknown_key(spec):
    spec["kubernets"] = "1.36"
    return "kubernets", "did you mean 'kubernetes'"


def wrong_type(spec):
    name = next(iter(spec["nodes"]))
    spec["nodes"][name]["roles"] = "master"
    return f"nodes.{name}.roles", "must be a list"


def overlapping_networks(spec):
    spec["network"]["services"] = spec["network"]["pods"].split("/")[0] + "/20"
    return "network.services", "overlaps network.pods"


def even_etcd(spec):
    members = [node for node in spec["nodes"].values() if "etcd" in node["roles"]]
    if len(members) > 1:
        members[-1]["roles"] = ["master"]
        return "nodes", f"{len(members) - 1} nodes have the role etcd"
    spec["nodes"]["extra"] = {"address": spec["network"]["nodes"].replace("0/24", "77"), "roles": ["etcd"]}
    return "nodes", "2 nodes have the role etcd"


def duplicate_address(spec):
    first = next(iter(spec["nodes"].values()))
    spec["nodes"]["extra"] = {"address": first["address"], "roles": ["worker"]}
    return "nodes.extra.address", f"{first['address']} is already nodes."


def unknown_plugin(spec):
    spec["network"]["plugin"] = "flanel"
    return "network.plugin", "did you mean 'flannel'"


def unsupported_version(spec):
    spec["kubernetes"] = "1.19"
    return "kubernetes", "1.19 is not supported; choose one of"


@pytest.mark.parametrize(
    "mistake",
    [unknown_key, wrong_type, overlapping_networks, even_etcd, duplicate_address, unknown_plugin, unsupported_version],
    ids=lambda mistake: mistake.__name__,
)
def test_mistake_is_refused(cluster, mistake):
    """All nodes refuse the highstate, each naming the file, the path in it and the reason; nothing changed anywhere."""
    document = copy.deepcopy(cluster.file.raw)
    path, reason = mistake(document["cluster"])
    before = cluster.fingerprint()
    with cluster.replaced(
        "salt", f"/srv/kaas/pillar/clusters/{cluster.name}.sls", yaml.safe_dump(document, sort_keys=False)
    ):
        found = cluster.highstate()
    for node in cluster.nodes:
        said = found[cluster.id(node)]
        assert isinstance(said, list), f"{node} ran states: {str(said)[:1000]}"
        text = "\n".join(said)
        assert f"clusters/{cluster.name}.sls: {path} " in text and reason in text, f"{node} said:\n{text}"
    # The CA serves other clusters too: it leaves this one out and goes on.
    found.states(cluster.id("salt"))
    assert difference(before, cluster.fingerprint()) == {}


def test_a_warning_is_told_once_and_stops_nothing(cluster):
    """The first master's highstate shows it; no node changes anything."""
    document = copy.deepcopy(cluster.file.raw)
    document["cluster"]["acknowledge"] = ["etcd-is-odd"]
    with cluster.replaced(
        "salt", f"/srv/kaas/pillar/clusters/{cluster.name}.sls", yaml.safe_dump(document, sort_keys=False)
    ):
        found = cluster.highstate()
    found.assert_clean()
    told = {node: found.state(cluster.id(node), "formula-synced").get("warnings", []) for node in cluster.nodes}
    deployer = next(node for node in cluster.nodes if "master" in cluster.file.machine(node).roles)
    text = f"clusters/{cluster.name}.sls: acknowledge[0] etcd-is-odd finds nothing: leave it out (acknowledgements-are-needed)"
    assert {node: warnings for node, warnings in told.items() if warnings} == {deployer: [text]}


def test_after_the_mistake_is_corrected_nothing_is_left_to_do(cluster):
    """The right file again: no changes, so the refused runs left nothing behind on the CA minion either."""
    cluster.highstate().assert_clean()
