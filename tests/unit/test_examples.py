"""The example cluster files: right, without a warning, told about in docs/topologies.md, and one for each plug-in's options."""

import importlib

import formula
import kaas_clusterfile
import pytest
import yaml

PILLAR = formula.ROOT / "pillar"
EXAMPLES = sorted((PILLAR / "examples").glob("*.sls"))
SCHEMA_LINE = "# yaml-language-server: $schema=../data/cluster.schema.json"


def clusters(paths):
    return [yaml.safe_load(path.read_text(encoding="utf-8"))["cluster"] for path in paths]


@pytest.fixture(scope="module")
def known():
    functions = {}
    for need in kaas_clusterfile.NEEDS:
        module, name = need.split(".")
        functions[need] = getattr(importlib.import_module(module), name)
    return kaas_clusterfile.tables(functions, [str(PILLAR)])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_has_nothing_to_complain_about(path, known):
    assert kaas_clusterfile.check(known, str(path), path.stem)[1] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_for_people(path):
    """An editor finds the schema, the second line says what the example shows, and the page of topologies leads to it."""
    first, second, *_ = path.read_text(encoding="utf-8").splitlines()
    assert first == SCHEMA_LINE
    assert second.startswith("# ") and "lab:" not in path.read_text(encoding="utf-8")
    assert f"[{path.stem}](../pillar/examples/{path.name})" in (formula.ROOT / "docs" / "topologies.md").read_text()


def test_every_provider_plugin_and_proxy_has_an_example():
    found = clusters(EXAMPLES)
    schema = yaml.safe_load((PILLAR / "data" / "schema.yaml").read_text(encoding="utf-8"))
    network = schema["properties"]["cluster"]["properties"]["network"]["properties"]
    for kind, used in (
        ("providers", {cluster.get("provider", {}).get("name") for cluster in found}),
        ("sdn", {cluster["network"].get("plugin") for cluster in found}),
    ):
        assert {path.stem for path in (PILLAR / "data" / "plugins" / kind).glob("*.yaml")} <= used
    # Nobody should begin with what is deprecated.
    assert set(network["proxy"]["enum"]) - {"ipvs"} <= {cluster["network"].get("proxy", "nftables") for cluster in found}
    backends = {cluster["network"].get("flannel", {}).get("backend", "vxlan") for cluster in found}
    assert backends == {"vxlan", "host-gw", "wireguard"}
