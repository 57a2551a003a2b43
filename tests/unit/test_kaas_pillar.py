"""The ext_pillar through Salt's own pillar compiler: who gets what, and what stops everything."""

import shutil

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
    root = with_clusters(folder, "root-upstream", yaml.safe_dump(document))
    opts = formula.options(folder, "m1.demo", root)
    opts["ext_pillar"][0]["kaas"]["artifacts"] = None
    artifacts = formula.compile_pillar(opts)["kaas"]["artifacts"]
    assert artifacts["kubelet"]["files"][0]["url"].endswith("/bin/linux/amd64/kubelet")
    for artifact in artifacts.values():
        for entry in artifact["files"]:
            assert entry["url"].startswith("https://") and entry["checksum"].startswith("https://")
            assert "{" not in "".join(entry.values())
