"""Every node of every topology reaches the secrets that allowed-secrets.yaml lists for its roles: those, and no other."""

import fnmatch
import json
import pathlib

import formula
import kaas_pki
import kaas_secrets
import kaas_topology
import matrix
import pytest
import salt.pillar
import yaml

ALLOWED = yaml.safe_load((pathlib.Path(__file__).parent / "allowed-secrets.yaml").read_text(encoding="utf-8"))
DEFAULTS = yaml.safe_load((formula.DATA / "defaults.yaml").read_text(encoding="utf-8"))
TOPOLOGIES = matrix.topologies()
FILES = {path.stem: path for folder in matrix.FOLDERS for path in (formula.ROOT / "pillar" / folder).glob("*.sls")}
NOT_SECRET = ("sa.pub", "csr-signer.crt", ".lock")


class Master:
    """
    The external pillar of a Salt master that has one cluster file, and beside its secrets those of another cluster.

    Call it with a minion id. ``.secrets``: the folder of all clusters' secrets.
    """

    def __init__(self, folder, path):
        root = folder / "pillar"
        (root / "clusters").mkdir(parents=True)
        (root / "data").symlink_to(formula.DATA)
        (root / "clusters" / path.name).symlink_to(path)
        options = formula.options(folder, "ca", root)
        ((_, self.arguments),) = options["ext_pillar"][0].items()
        self.function = salt.pillar.Pillar(options, options["grains"], "ca", "base").ext_pillars["kaas"]
        self.secrets = pathlib.Path(self.arguments["secrets"])
        for name in ("another", path.stem):
            kaas_secrets.cluster(str(self.secrets / name), kaas_pki.create_ca)

    def __call__(self, minion_id):
        return json.loads(json.dumps(self.function(minion_id, {}, **self.arguments)["kaas"]))


@pytest.fixture
def master(tmp_path):
    return Master(tmp_path, FILES["demo"])


def held(text, folder):
    """Names of the secrets below a folder whose value stands in a text: ``{"cluster/name"}``."""
    found = set()
    for path in folder.glob("*/*"):
        value = path.read_text(encoding="utf-8").strip() if path.name not in NOT_SECRET else ""
        # a line of the base64 body is as good as the key
        needle = value.splitlines()[1] if value.startswith("-----") else value
        if needle and needle in text:
            found.add(f"{path.parent.name}/{path.name}")
    return found


def wanted(cluster, roles, what):
    tables = [ALLOWED["roles"]]
    for place, plugins in ALLOWED["plugins"].items():
        tables.append(plugins.get(cluster.get(place, {}).get("plugin", DEFAULTS[place].get("plugin")), {}))
    found = {entry for table in tables for role in roles for entry in table.get(role, {}).get(what, [])}
    return found - {"kube-proxy"} if cluster["network"].get("proxy") == "none" else found


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_nodes_reach_what_their_roles_list(tmp_path, name):
    cluster, master = TOPOLOGIES[name], Master(tmp_path, FILES[name])
    granted = master(cluster.get("ca", "ca"))["ca"]["clusters"][cluster["name"]]
    for minion, node in kaas_topology.minion_ids(cluster).items():
        pillar, roles = master(minion), cluster["nodes"][node]["roles"]
        secrets = held(json.dumps(pillar).replace("\\n", "\n"), master.secrets)
        assert secrets == {f"{cluster['name']}/{entry}" for entry in wanted(cluster, roles, "pillar")}, minion
        purposes = wanted(cluster, roles, "certificates")
        assert set(pillar["certificates"]) == purposes, minion
        # what the CA minion would grant comes from its own pillar, not from the node's
        assert set(kaas_pki.policies(granted, node)) == purposes, minion
        assert granted["nodes"][node]["roles"] == roles


def test_the_ca_minion_and_strangers_reach_no_secret(master):
    for minion in ("ca", "stranger", "w1.nowhere"):
        pillar = master(minion)
        assert held(json.dumps(pillar).replace("\\n", "\n"), master.secrets) == set()
        assert "secrets" not in pillar and "certificates" not in pillar


def test_the_search_finds_what_is_there(master):
    pillar = json.dumps(master("m1.demo")).replace("\\n", "\n")
    line = (master.secrets / "demo" / "sa.key").read_text(encoding="utf-8").splitlines()[1]
    assert "demo/sa.key" in held(pillar, master.secrets)
    assert "demo/sa.key" not in held(pillar.replace(line, ""), master.secrets)


def test_the_file_server_has_states_and_modules_alone():
    root = formula.ROOT / "salt"
    files = [path.relative_to(root) for path in walk(root)]
    assert len(files) > 50
    assert [
        str(path)
        for path in files
        if not any(fnmatch.fnmatch(str(path), pattern) for pattern in ALLOWED["file_server"])
    ] == []


def walk(root):
    """Files below a folder, links followed as Salt's file server does; without what Python leaves behind."""
    for path in sorted(root.iterdir()):
        if path.name == "__pycache__":
            continue
        if path.is_dir():
            yield from walk(path)
        else:
            yield path


def test_nothing_goes_into_the_mine():
    assert ALLOWED["mine"] == []
    for path in [
        *walk(formula.ROOT / "salt"),
        *(formula.ROOT / "pillar").rglob("*.sls"),
        formula.ROOT / "lab" / "salt" / "minion",
    ]:
        assert "mine_functions" not in path.read_text(encoding="utf-8"), path
