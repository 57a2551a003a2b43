"""Bad cluster files are refused with path and reason; good ones pass."""

import copy

import formula
import kaas_checks
import kaas_topology
import pytest
import yaml

VALIDATOR = kaas_checks.load_schema(formula.DATA / "cluster.schema.json")
TABLE = yaml.safe_load((formula.DATA / "versions.yaml").read_text(encoding="utf-8"))
DEFAULTS = yaml.safe_load((formula.DATA / "defaults.yaml").read_text(encoding="utf-8"))


def problems(document):
    """Return all problems the way the ext_pillar finds them, as ``path message`` lines."""
    found = kaas_checks.schema_problems(VALIDATOR, document)
    if not found:
        found = kaas_checks.cross_problems(kaas_topology.merge(DEFAULTS, document["cluster"]), TABLE)
    return [f"{item['path']} {item['message']}" for item in found]


def edit(document, path, value):
    """Set (or, with ``...``, delete) what a dotted path leads to."""
    *parents, last = path.split(".")
    for key in parents:
        document = document[key]
    if value is ...:
        del document[last]
    else:
        document[last] = value


@pytest.mark.parametrize("name", ["demo", "mini"])
def test_the_clusters_of_the_repository_are_valid(name):
    assert problems(formula.read_cluster(name)) == []


BAD = [
    # (what is edited, the problem's exact beginning)
    ({"cluster.netwrok": {}}, "netwrok unknown key; did you mean 'network'?"),
    ({"cluster.network.pod": "10.0.0.0/16"}, "network.pod unknown key; did you mean 'pods'?"),
    ({"cluster.nodes.w1.role": "worker"}, "nodes.w1.role unknown key; did you mean 'roles'?"),
    ({"cluster.zzz": 1}, "zzz unknown key; known keys: "),
    ({"cluster.name": ...}, "name is missing"),
    ({"cluster.network.nodes": ...}, "network.nodes is missing"),
    ({"cluster.nodes.w1.address": ...}, "nodes.w1.address is missing"),
    ({"cluster.kubernetes": 1.36}, "kubernetes must be of type string, found float 1.36"),
    ({"cluster.nodes": ["m1"]}, "nodes must be of type object, found list"),
    ({"cluster.nodes.w1": None}, "nodes.w1 must be of type object, found null"),
    ({"cluster.nodes.w1.roles": "worker"}, "nodes.w1.roles must be of type array, found str"),
    ({"cluster.nodes.w1.roles": []}, "nodes.w1.roles [] "),
    ({"cluster.nodes.w1.roles": ["wroker"]}, "nodes.w1.roles[0] 'wroker' is not one of: etcd, master, worker, loadbalancer; did you mean 'worker'?"),
    ({"cluster.nodes.w1.address": "172.28.0.300"}, "nodes.w1.address '172.28.0.300' is not a 'ipv4'"),
    ({"cluster.nodes.W_1": {"address": "172.28.0.50", "roles": ["worker"]}}, "nodes 'W_1' does not match"),
    ({"cluster.network.plugin": "flanel"}, "network.plugin 'flanel' is not one of: flannel; did you mean 'flannel'?"),
    ({"cluster.network.proxy": "ipvs"}, "network.proxy 'ipvs' is not one of: nftables, iptables"),
    ({"cluster.kubernetes": "1.20"}, "kubernetes 1.20 is not supported; choose one of: 1.37 ("),
    ({"cluster.kubernetes": "1.36.99"}, "kubernetes 1.36.99 is not supported; choose one of: "),
    ({"cluster.network.pods": "10.96.0.0/16"}, "network.services 10.96.0.0/16 overlaps network.pods 10.96.0.0/16"),
    ({"cluster.network.services": "172.28.0.0/20"}, "network.services 172.28.0.0/20 overlaps network.nodes 172.28.0.0/24"),
    ({"cluster.network.pods": "10.244.0.1/16"}, "network.pods 10.244.0.1/16 has host bits set"),
    ({"cluster.network.pods": "10.244.0.0/23"}, "network.pods 10.244.0.0/23 has room for 2 nodes (a /24 each), the cluster has 5"),
    ({"cluster.network.pods": "10.244.0.0/26"}, "network.pods 10.244.0.0/26 has room for 0 nodes"),
    ({"cluster.network.services": "10.96.0.0/29"}, "network.services 10.96.0.0/29 is too small"),
    ({"cluster.network.services": "10.0.0.0/9"}, "network.services 10.0.0.0/9 is too large"),
    ({"cluster.network.dns": "10.97.0.10"}, "network.dns 10.97.0.10 is not inside network.services 10.96.0.0/16"),
    ({"cluster.nodes.w2.address": "172.28.0.21"}, "nodes.w2.address 172.28.0.21 is already nodes.w1.address"),
    ({"cluster.nodes.w2.address": "172.28.0.100"}, "nodes.w2.address 172.28.0.100 is already api.address"),
    ({"cluster.nodes.w2.address": "10.1.1.1"}, "nodes.w2.address 10.1.1.1 is not inside network.nodes 172.28.0.0/24"),
    ({"cluster.nodes.w2.address": "172.28.0.255"}, "nodes.w2.address 172.28.0.255 is the network or broadcast address"),
    ({"cluster.api.address": "10.1.1.1"}, "api.address 10.1.1.1 is not inside network.nodes"),
    ({"cluster.api": {}}, "api.address is missing: 3 masters need one virtual address"),
    ({"cluster.api.port": 6443}, "api.port 6443 is the apiservers' own port"),
    ({"cluster.nodes.m3.roles": ["master"]}, "nodes 2 nodes have the role etcd (m1, m2): use an odd number"),
    ({"cluster.nodes.w1.id": "w2.demo"}, "nodes.w2.id w2.demo is already the minion id of nodes.w1"),
    ({"cluster.nodes.w1.id": "ca"}, "nodes.w1.id ca is already the minion id of ca"),
    ({"cluster.nodes.w1.labels": {"a b": "c"}}, "nodes.w1.labels 'a b' does not match"),
    ({"cluster.nodes.w1.taints": [{"key": "a", "effect": "Never"}]}, "nodes.w1.taints[0].effect 'Never' is not one of"),
    ({"cluster.artifacts": {"source": "repository"}}, "artifacts.url is missing"),
    ({"cluster.artifacts": {"source": "repository", "url": "ftp://x"}}, "artifacts.url 'ftp://x' does not match"),
    ({"cluster.addons": ["demo"]}, "addons demo needs metrics-server"),
    ({"cluster.certificates": {"days": 20, "renew_before_days": 30}}, "certificates.renew_before_days 30 must be less than certificates.days 20"),
    ({"cluster.certificates": {"days": 365}}, "certificates.days 365 is greater than the maximum of 90"),
]  # fmt: skip


@pytest.mark.parametrize(("edits", "expected"), BAD, ids=[expected[:50] for _, expected in BAD])
def test_a_mistake_is_named_with_its_path(edits, expected):
    document = copy.deepcopy(formula.read_cluster("demo"))
    for path, value in edits.items():
        edit(document, path, value)
    found = problems(document)
    assert any(line.startswith(expected) for line in found), found


@pytest.mark.parametrize("document", [None, [], "text", 5, {}, {"cluster": None}, {"cluster": []}])
def test_a_file_that_is_no_cluster_is_refused(document):
    assert problems(document)


def test_all_problems_are_told_at_once():
    document = formula.read_cluster("demo")
    edit(document, "cluster.network.pods", "10.96.0.0/16")
    edit(document, "cluster.nodes.w2.address", "172.28.0.21")
    edit(document, "cluster.nodes.m3.roles", ["master"])
    assert len(problems(document)) == 3


def test_no_node_for_a_role_is_a_problem():
    document = formula.read_cluster("mini")
    edit(document, "cluster.nodes.n1.roles", ["worker"])
    assert [line for line in problems(document) if "role etcd" in line]
    assert [line for line in problems(document) if "role master" in line]
