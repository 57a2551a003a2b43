"""The contract of plug-ins (docs/development/plugins.md): every kind has one shape, and every do its undo."""

import formula
import kaas_pki
import kaas_schema
import kaas_topology
import pytest
import yaml

FOLDER = formula.DATA / "plugins"
FILES = {
    f"{path.parent.name}/{path.stem}": yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted(FOLDER.glob("*/*.yaml"))
}
NEEDED = {"description", "schema", "defaults", "states"}
OPTIONAL = {"artifacts", "images", "certificates", "facts"}
GROUPS = {*kaas_topology.ROLES, "kubelet", "deployer"}
VERSIONS = yaml.safe_load((formula.DATA / "versions.yaml").read_text(encoding="utf-8"))["kubernetes"]
# A component of a node: what is there to be run, and its undo.
OF_A_NODE = {"installed", "configured", "running"}


def folder(name):
    return formula.ROOT / "salt" / name


def test_kinds_are_those_of_the_schema():
    assert {path.name for path in FOLDER.iterdir()} == set(kaas_schema.PLUGINS)


@pytest.mark.parametrize("name", FILES)
def test_the_data_file_has_the_shape(name):
    data = FILES[name]
    assert set(data) >= NEEDED and set(data) <= NEEDED | OPTIONAL
    assert data["schema"]["additionalProperties"] is False
    assert set(data["states"]) <= set(kaas_topology.UNDO)
    for where in [*data["states"].values(), data.get("artifacts", {})]:
        assert set(where) <= GROUPS


@pytest.mark.parametrize("name", FILES)
def test_the_states_are_there_with_their_undo(name):
    """What the data file names, and nothing that nobody includes."""
    there = {path.stem for path in folder(name).glob("*.sls")}
    wanted = set(FILES[name]["states"])
    undo = {kaas_topology.UNDO[state] for state in wanted} - {None}
    assert wanted | undo <= there
    assert there <= wanted | undo | (OF_A_NODE if "running" in wanted else set())


def test_folders_of_states_are_plug_ins():
    found = {
        f"{kind}/{path.name}"
        for kind in kaas_schema.PLUGINS
        if folder(kind).is_dir()
        for path in folder(kind).iterdir()
        if any(path.glob("*.sls"))
    }
    assert found == {name for name in FILES if FILES[name]["states"]}


@pytest.mark.parametrize("name", FILES)
def test_versions_of_what_it_installs_are_in_the_table(name):
    data = FILES[name]
    for row in VERSIONS.values():
        components = {component for table in data.get("artifacts", {}).values() for component in table}
        assert components <= set(row)
        for reference in data.get("images", {}).values():
            assert ":" in reference.format(**row)


@pytest.mark.parametrize("name", [name for name in FILES if "certificates" in FILES[name]])
def test_certificates_name_the_plug_in_and_no_more(name):
    """A client of the cluster's API that bears the plug-in's own name: no group of Kubernetes, no authority of another kind."""
    short = name.rpartition("/")[2]
    for purpose, row in FILES[name]["certificates"].items():
        assert purpose not in kaas_pki.PURPOSES
        assert row["ca"] == "kubernetes" and row["usages"] == [kaas_pki.CLIENT] and "sans" not in row
        assert row["cn"] == f"{short}:{{node}}" and row["o"] == [short]
        assert row["file"] == f"{kaas_pki.KUBERNETES}/{short}"
        assert set(row["roles"]) <= set(kaas_topology.ROLES)


# -- which states a node includes ----------------------------------------------------------------------------------

KNOWN = {
    "one": {"states": {"running": ["worker"], "deployed": ["deployer"], "available": ["deployer"]}, "facts": {"bridge": True}},
    "two": {"states": {"running": ["kubelet"]}},
    "three": {"states": {"deployed": ["deployer"]}},
}
NODES = {"m1": {"roles": ["master"]}, "m2": {"roles": ["master"]}, "w1": {"roles": ["worker"]}, "e1": {"roles": ["etcd"]}}


@pytest.mark.parametrize(
    ("kind", "chosen", "node", "expected"),
    [
        ("sdn", "one", "m1", {"network": ["sdn.one.deployed"], "available": ["sdn.one.available"], "undone": ["sdn.two.absent", "sdn.three.undeployed"]}),
        ("sdn", "one", "m2", {"undone": ["sdn.two.absent"]}),
        ("sdn", "one", "w1", {"running": ["sdn.one.running"], "undone": ["sdn.two.absent"]}),
        ("sdn", "one", "e1", {}),
        # The bridge that networks share goes with the last of them.
        ("sdn", "two", "w1", {"running": ["sdn.two.running"], "undone": ["sdn.one.absent", "cni-plugins.unbridged"]}),
        ("sdn", "two", "e1", {}),
        ("balancers", "three", "m1", {"deployed": ["balancers.three.deployed"], "undone": ["balancers.one.undeployed", "balancers.two.absent"]}),
        ("balancers", None, "m1", {"undone": ["balancers.one.undeployed", "balancers.two.absent", "balancers.three.undeployed"]}),
        ("balancers", None, "w1", {"undone": ["balancers.one.absent", "balancers.two.absent"]}),
    ],
)  # fmt: skip
def test_nodes_include_the_chosen_and_undo_the_others(kind, chosen, node, expected):
    address = {name: {**one, "address": "10.0.0.1"} for name, one in NODES.items()}
    cluster = {"nodes": address, "plugins": {kind: {"name": chosen, "known": KNOWN}}}
    found = kaas_topology.plugin_states(cluster, node)
    assert {step: files for step, files in found.items() if files} == expected
