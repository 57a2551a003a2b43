"""The schema of the cluster file: joined from its parts, complete, and what editors and the reference see of it."""

import copy
import json
import subprocess
import sys

import clusterfiles
import formula
import kaas_checks
import kaas_schema
import pytest
import yaml
from jsonschema import Draft202012Validator

SCHEMA = json.loads((formula.DATA / "cluster.schema.json").read_text(encoding="utf-8"))
REFERENCE = formula.ROOT / "pillar" / "reference"


def parts(schema, path=""):
    """Yield ``(path, part)`` of every key that a cluster file can have, and of list items."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from parts(part, f"{path}.{name}")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from parts(schema["additionalProperties"], f"{path}.*")
    if "items" in schema:
        yield from parts(schema["items"], f"{path}[]")


PARTS = dict(parts(SCHEMA))


def test_generated_files_are_fresh():
    """`make reference` writes them."""
    run = subprocess.run([sys.executable, str(REFERENCE), "--check"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")


def test_it_is_a_json_schema_without_references():
    Draft202012Validator.check_schema(SCHEMA)
    assert "$ref" not in json.dumps(SCHEMA)


@pytest.mark.parametrize("path", [path for path in PARTS if path])
def test_every_key_is_described(path):
    """A description for all; for values also an example that is valid; a unit for what is counted over time or size."""
    part = PARTS[path]
    # what a list of plain values holds is described by the list
    if path.endswith("[]") and part.get("type") == "string":
        return
    assert part["description"].endswith((".", "`")), part["description"]
    for example in [*part.get("examples", []), *([part["default"]] if "default" in part else [])]:
        assert [error.message for error in kaas_schema.validator(part).iter_errors(example)] == []
    if "properties" not in part and not path.endswith(("[]", "*")):
        assert part.get("examples"), "no example"
    if path.endswith(("days", "memory", "qps", "burst", "cacheSize")):
        assert part["x-unit"]


# Sections whose keys are somebody else's: Kubernetes', and those of the networks' own charts.
OPEN = {".cluster.kubelet", ".cluster.kube_proxy", ".cluster.network.calico.values", ".cluster.network.cilium.values"}


@pytest.mark.parametrize("path", [path for path, part in PARTS.items() if part.get("type") == "object"])
def test_unknown_keys_are_refused_everywhere(path):
    """But for what is Kubernetes' own or a chart's."""
    part = PARTS[path]
    if path in OPEN:
        assert part["additionalProperties"] is True
    else:
        assert part["additionalProperties"] is False or "propertyNames" in part or path == ".cluster.containerd"


def test_the_rules_of_the_schema_reach_every_key_of_the_example():
    """good.sls uses every key: so the corpus and the fuzzer change each of them."""
    document = clusterfiles.good()

    def missing(schema, value, path):
        for name, part in schema.get("properties", {}).items():
            if name not in value:
                yield f"{path}.{name}"
            elif isinstance(value[name], dict):
                yield from missing(part, value[name], f"{path}.{name}")

    assert list(missing(SCHEMA, document, "")) == []


def test_defaults_are_in_the_schema():
    assert PARTS[".cluster.network.flannel.backend"]["default"] == "vxlan"
    assert PARTS[".cluster.certificates.days"]["default"] == 90
    assert "default" not in PARTS[".cluster.network.nodes"]


def test_the_fields_of_the_programs_are_known_for_each_version():
    """`pillar/component-fields` writes them, after a new minor or patch."""
    fields = json.loads((formula.DATA / "component-fields.json").read_text(encoding="utf-8"))
    versions = yaml.safe_load((formula.DATA / "versions.yaml").read_text(encoding="utf-8"))["kubernetes"]
    assert fields.keys() == versions.keys()
    for row in fields.values():
        assert row["kubelet"]["maxPods"] == "integer" and row["kube_proxy"]["conntrack"]["maxPerCore"] == "integer"


# A plug-in is one file


def test_the_parts_make_the_generated_schema():
    assert kaas_schema.assemble(*clusterfiles.program("reference").sources()) == SCHEMA


def with_plugin(kind, name, plugin):
    """Return a validator of the schema with one more plug-in."""
    base, fragments, defaults = clusterfiles.program("reference").sources()
    fragments = copy.deepcopy(fragments)
    fragments[kind][name] = plugin
    return kaas_schema.validator(kaas_schema.assemble(base, fragments, defaults))


CLOUD = {
    "description": "A cloud.",
    "schema": {
        "type": "object",
        "required": ["region"],
        "additionalProperties": False,
        "properties": {"region": {"description": "Its region.", "type": "string"}},
    },
    "defaults": {},
}


@pytest.mark.parametrize(
    ("provider", "problems"),
    [
        ({"name": "bare"}, []),
        ({}, []),
        ({"name": "cloud", "cloud": {"region": "north"}}, []),
        ({"name": "cloud"}, ["provider.cloud is missing"]),
        ({"name": "cloud", "cloud": {}}, ["provider.cloud.region is missing"]),
        ({"name": "cloud", "cloud": {"regoin": "north", "region": "a"}}, ["provider.cloud.regoin unknown key; did you mean 'region'?"]),
        ({"name": "clud"}, ["provider.name 'clud' is not one of: bare, cloud; did you mean 'cloud'?"]),
    ],
    ids=str,
)
def test_a_provider_with_required_keys(provider, problems):
    document = clusterfiles.good()
    document["cluster"]["provider"] = provider
    found = kaas_schema.findings(with_plugin("providers", "cloud", CLOUD), document)
    assert [f"{item['path']} {item['message']}" for item in found] == problems


def test_the_default_plug_in_may_have_required_keys_too():
    document = clusterfiles.good()
    checker = with_plugin("providers", "bare", CLOUD)
    for settings, missing in (({"name": "bare"}, "provider.bare"), ({}, "provider.bare"), (None, "provider")):
        changed = clusterfiles.patched(document, {"cluster": {"provider": None}})
        if settings is not None:
            changed["cluster"]["provider"] = settings
        assert [item["path"] for item in kaas_schema.findings(checker, changed)] == [missing]


@pytest.mark.parametrize("document", [None, [], "text", 5, True, {}, {"cluster": None}, {"cluster": []}], ids=str)
def test_a_document_that_is_no_cluster_is_refused(document):
    found = kaas_schema.findings(kaas_schema.validator(SCHEMA), document)
    assert found and all(item["path"] and item["check"] == "schema" for item in found)


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"type": "string", "minLength": 1}, "", "is empty"),
        ({"type": "string", "maxLength": 2}, "abc", "'abc' is longer than 2"),
        ({"type": "string"}, "x", None),
        ({"const": 1}, 2, "1 was expected"),
        ({"type": "boolean"}, "yes", "must be true or false, is text ('yes')"),
        ({"type": "integer"}, True, "must be a whole number, is true or false (True)"),
        ({"type": "string"}, "x" * 200, None),
        ({"enum": ["a"]}, "x" * 200, f"'{'x' * 76}... is not one of: a"),
        ({"enum": ["a"]}, "x" * 78, f"'{'x' * 78}' is not one of: a"),
        ({"enum": ["a"]}, "x" * 79, f"'{'x' * 76}... is not one of: a"),
    ],
    ids=str,
)
def test_the_words_of_other_rules(schema, value, message):
    found = kaas_schema.findings(kaas_schema.validator({"properties": {"key": schema}}), {"key": value})
    assert [item["message"] for item in found] == ([message] if message else [])


def test_the_reference_has_every_key_and_every_check():
    page = (formula.ROOT / "docs" / "reference" / "pillar.md").read_text(encoding="utf-8")
    for name in kaas_checks.CHECKS:
        assert f"| `{name}` |" in page
    for key in ("`authentication.jwt[].claimMappings.username.prefix`", "`lab.memory`", "`network.flannel.backend`"):
        assert key in page


def test_every_check_says_what_it_looks_at():
    for name, one in kaas_checks.CHECKS.items():
        assert one["looks_at"].endswith("."), name
        assert one["severity"] in ("error", "warning")
