"""The ext_pillar through Salt's own pillar compiler: who gets what, and what stops everything."""

import multiprocessing
import shutil
import sys
import types

import clusterfiles
import formula
import pytest
import yaml

SECRET_KEYS = {"secrets"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pillar")


def kaas(folder, minion_id, **kwargs):
    pillar = formula.compile_pillar(formula.options(folder, minion_id), **kwargs)
    assert "_errors" not in pillar
    return pillar["kaas"]


@pytest.mark.parametrize(
    ("minion_id", "roles"),
    [
        ("m1.demo", ["etcd", "master"]),
        ("w2.demo", ["worker"]),
        ("n1.mini", ["etcd", "master", "worker"]),
        ("ca", ["ca"]),
        ("stranger", []),
        ("w9.demo", []),
        ("m1.demo.evil", []),
        ("..demo", []),
    ],
)
def test_roles_come_from_the_cluster_file(folder, minion_id, roles):
    assert kaas(folder, minion_id)["roles"] == roles


def test_only_masters_get_secrets(folder):
    assert "secrets" in kaas(folder, "m1.demo")
    for other in ("w1.demo", "ca", "stranger"):
        assert not SECRET_KEYS & kaas(folder, other).keys()


def test_masters_share_secrets_and_clusters_do_not(folder):
    assert kaas(folder, "m1.demo")["secrets"] == kaas(folder, "m3.demo")["secrets"]
    assert kaas(folder, "m1.demo")["secrets"] != kaas(folder, "n1.mini")["secrets"]


def test_secrets_lie_on_the_master_for_root_only(folder):
    kaas(folder, "m1.demo")
    secrets = folder / "secrets" / "demo"
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir() if path.name != ".lock"} == {0o600}


def test_a_minion_cannot_describe_itself_as_a_master(folder):
    """`pillar_override` comes from the minion and Salt merges it before any ext_pillar runs."""
    cluster = formula.read_cluster("demo")
    cluster["cluster"]["nodes"]["w1"]["roles"] = ["etcd", "master"]
    found = kaas(folder, "w1.demo", pillar_override={**cluster, "kaas": {"roles": ["master"]}})
    assert "secrets" not in found
    assert "apiserver" not in found["certificates"]


def test_only_the_deployer_knows_the_other_nodes(folder):
    assert set(kaas(folder, "m1.demo")["nodes"]) == {"m1", "m2", "m3", "w1", "w2"}
    for other in ("m2.demo", "w1.demo"):
        assert "nodes" not in kaas(folder, other)


def test_a_worker_gets_only_a_workers_binaries(folder):
    worker = kaas(folder, "w1.demo")["artifacts"]
    assert set(worker) == {"containerd", "runc", "cni-plugins", "crictl", "kubelet", "kube-proxy", "flannel"}
    master = kaas(folder, "m1.demo")["artifacts"]
    assert {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"} <= set(master)


def with_clusters(folder, name, text):
    """Return a pillar root that is the repository's, with one cluster file replaced."""
    root = folder / name
    shutil.copytree(formula.ROOT / "pillar", root)
    (root / "clusters" / "demo.sls").write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cluster: {name: demo", "clusters/demo.sls: not valid YAML"),
        ("", "clusters/demo.sls:"),
        ("cluster: {name: demo}", "clusters/demo.sls: kubernetes is missing"),
    ],
)
def test_a_broken_file_stops_its_own_nodes_only(folder, text, expected, request):
    root = with_clusters(folder, f"root-{abs(hash(request.node.name))}", text)
    pillar = formula.compile_pillar(formula.options(folder, "m1.demo", root))
    assert "kaas" not in pillar
    assert expected in pillar["_errors"][0]
    assert "_errors" not in formula.compile_pillar(formula.options(folder, "n1.mini", root))
    authority = formula.compile_pillar(formula.options(folder, "ca", root))
    assert set(authority["kaas"]["ca"]["clusters"]) == {"mini", "split"}


def test_the_name_must_be_the_files_name(folder):
    document = formula.read_cluster("demo")
    document["cluster"]["name"] = "other"
    root = with_clusters(folder, "root-name", yaml.safe_dump(document))
    pillar = formula.compile_pillar(formula.options(folder, "m1.demo", root))
    assert "must be the file's name 'demo'" in pillar["_errors"][0]


def test_an_explicit_minion_id_finds_its_node(folder):
    document = formula.read_cluster("demo")
    document["cluster"]["nodes"]["w1"]["id"] = "web7.example.com"
    root = with_clusters(folder, "root-id", yaml.safe_dump(document))
    pillar = formula.compile_pillar(formula.options(folder, "web7.example.com", root))
    assert pillar["kaas"]["node"]["name"] == "w1"
    assert formula.compile_pillar(formula.options(folder, "w1.demo", root))["kaas"]["roles"] == []


def test_an_artifact_missing_from_the_index_is_named(folder, tmp_path):
    opts = formula.options(folder, "w1.demo")
    (tmp_path / "index.json").write_text('{"artifacts": {}}', encoding="utf-8")
    opts["ext_pillar"][0]["kaas"]["artifacts"] = str(tmp_path / "index.json")
    error = formula.compile_pillar(opts)["_errors"][0]
    assert "clusters/demo.sls: artifacts:" in error and "is not in the index" in error


def test_upstream_needs_no_index(folder):
    document = formula.read_cluster("demo")
    document["cluster"]["artifacts"] = {"source": "upstream"}
    del document["cluster"]["balancer"]  # nobody publishes MetalLB's definitions apart
    root = with_clusters(folder, "root-upstream", yaml.safe_dump(document))
    opts = formula.options(folder, "m1.demo", root)
    opts["ext_pillar"][0]["kaas"]["artifacts"] = None
    artifacts = formula.compile_pillar(opts)["kaas"]["artifacts"]
    assert artifacts["kubelet"]["files"][0]["url"].endswith("/bin/linux/amd64/kubelet")
    for artifact in artifacts.values():
        for entry in artifact["files"]:
            assert entry["url"].startswith("https://") and entry["checksum"].startswith("https://")
            assert "{" not in "".join(entry.values())


def with_changes(folder, name, **clusters):
    """Return a pillar root that is the repository's, with JSON merge patches of cluster files."""
    root = folder / name
    shutil.copytree(formula.ROOT / "pillar", root)
    for cluster, change in clusters.items():
        document = clusterfiles.patched(formula.read_cluster("mini" if cluster == "twin" else cluster), {"cluster": change})
        (root / "clusters" / f"{cluster}.sls").write_text(yaml.safe_dump(document), encoding="utf-8")
    return root


def test_warnings_reach_the_first_master_alone(folder):
    root = with_changes(folder, "root-warnings", demo={"acknowledge": ["etcd-is-odd"], "nodes": {"m3": {"roles": ["master"]}}})
    told = formula.compile_pillar(formula.options(folder, "m1.demo", root))["kaas"]["warnings"]
    assert told == ["clusters/demo.sls: nodes 2 nodes have the role etcd (m1, m2): use an odd number (etcd-is-odd)"]
    for other in ("m2.demo", "w1.demo"):
        assert "warnings" not in formula.compile_pillar(formula.options(folder, other, root))["kaas"]


def guarded():
    """Stands for a function of the master that the guard has wrapped."""


guarded.guarded = True


@pytest.mark.parametrize(
    ("worker", "function", "told"),
    [(True, lambda: None, True), (True, guarded, False), (False, lambda: None, False)],
    ids=["worker without guard", "worker with guard", "no worker of a master"],
)
def test_a_master_without_its_guard_is_told(folder, monkeypatch, worker, function, told):
    """The engine's file may be where Salt does not look for it: Salt says nothing then."""
    kind = type(multiprocessing.current_process()) if worker else str
    master = types.SimpleNamespace(MWorker=kind, AESFuncs=types.SimpleNamespace(run_func=function))
    monkeypatch.setitem(sys.modules, "salt.master", master)
    warnings = formula.compile_pillar(formula.options(folder, "m1.demo"))["kaas"]["warnings"]
    assert any("kaas_guard" in warning for warning in warnings) is told


def test_all_errors_are_told_at_once_and_no_warnings(folder):
    change = {"api": {"port": 6443}, "network": {"pods": "10.96.0.0/16"}, "nodes": {"w1": None, "w2": None}}
    root = with_changes(folder, "root-errors", demo=change)
    (error,) = formula.compile_pillar(formula.options(folder, "m1.demo", root))["_errors"]
    lines = [line[line.index("clusters/") :] for line in error.splitlines()]
    assert lines == [
        "clusters/demo.sls: network.services 10.96.0.0/16 overlaps network.pods 10.96.0.0/16: choose disjoint networks (networks-do-not-overlap)",
        "clusters/demo.sls: api.port 6443 is the apiserver's own port on m1: choose another, for example 8443 (api-port-is-free)",
    ]


TWINS = [
    # (the other cluster's network, its node's address and id, its API address, the check that stops demo)
    ("172.28.0.0/24", {"address": "172.28.0.21"}, None, "addresses-are-unique-across-clusters"),
    ("172.28.0.0/16", {"address": "172.28.9.11"}, "172.28.9.100", "router-ids-are-unique"),
    ("172.27.0.0/24", {"address": "172.27.0.11"}, "172.27.0.100", None),
    ("172.27.0.0/24", {"address": "172.27.0.11", "id": "w1.demo"}, None, "minion-ids-are-unique"),
]


@pytest.mark.parametrize(("network", "node", "api", "check"), TWINS, ids=[str(twin[-1]) for twin in TWINS])
def test_clusters_that_claim_the_same(folder, network, node, api, check):
    """The text of the other file says whether it must be read."""
    change = {"name": "twin", "network": {"nodes": network}, "nodes": {"n1": node}, "api": {"address": api} if api else {}}
    root = with_changes(folder, f"root-twin-{check}", twin=change)
    pillar = formula.compile_pillar(formula.options(folder, "m1.demo", root))
    if check is None:
        assert "_errors" not in pillar
    else:
        assert f"({check})" in pillar["_errors"][0] and "cluster twin" in pillar["_errors"][0]


def test_a_broken_neighbour_stops_nobody_else(folder):
    root = with_changes(folder, "root-broken-twin")
    (root / "clusters" / "twin.sls").write_text("172.28.0.11 [", encoding="utf-8")
    assert "_errors" not in formula.compile_pillar(formula.options(folder, "m1.demo", root))


def test_an_id_is_looked_for_in_the_files_that_mention_it(folder):
    """A file that mentions it and is invalid is passed over: the minion may be another cluster's."""
    root = with_changes(folder, "root-mention", mini={"nodes": {"n1": {"id": "web7.example.com"}}})
    (root / "clusters" / "demo.sls").write_text("# web7.example.com\ncluster: {}\n", encoding="utf-8")
    pillar = formula.compile_pillar(formula.options(folder, "web7.example.com", root))
    assert pillar["kaas"]["node"]["name"] == "n1"


def test_a_ca_minion_of_another_name(folder):
    root = with_changes(folder, "root-ca", mini={"ca": "authority.example.com"})
    served = formula.compile_pillar(formula.options(folder, "authority.example.com", root))["kaas"]["ca"]["clusters"]
    assert set(served) == {"mini"}


@pytest.mark.parametrize(
    ("artifacts", "expected"),
    [(None, "the master has no index of the repository (not configured)"), ("/nowhere/index.json", "no index of the repository (/nowhere")],
)
def test_a_repository_without_its_index(folder, artifacts, expected):
    opts = formula.options(folder, "w1.demo")
    opts["ext_pillar"][0]["kaas"]["artifacts"] = artifacts
    assert expected in formula.compile_pillar(opts)["_errors"][0]


def test_pillar_roots_without_the_tables(folder, tmp_path):
    (tmp_path / "clusters").mkdir()
    opts = formula.options(folder, "w1.demo", tmp_path)
    assert "is the formula's pillar folder one of them?" in formula.compile_pillar(opts)["_errors"][0]


def test_a_formula_from_elsewhere_has_no_hash(folder, tmp_path):
    """With gitfs the files are not on the master's disk; the minions sync by themselves then."""
    opts = formula.options(folder, "w1.demo")
    opts["file_roots"] = {"base": [str(tmp_path)]}
    assert formula.compile_pillar(opts)["kaas"]["formula"] is None
