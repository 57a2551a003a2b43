"""Objects from manifest files and charts: the reader's YAML, what of a rendering belongs to a set, what is refused."""

import json
import pathlib
import sys

import kaas_chart
import kaas_manifest
import pytest
import yaml

CHART = {"file": "/opt/chart.tgz", "name": "web", "namespace": "shop", "kubernetes": "1.36.3"}
# A stand-in for helm: prints what the test wrote beside it, remembers how it was called.
HELM = """#!{python}
import json, os, pathlib, sys
here = pathlib.Path({folder!r})
calls = here / "calls"
number = len(calls.read_text().splitlines()) if calls.exists() else 0
with calls.open("a") as log:
    log.write(json.dumps([sys.argv[1:], sys.stdin.read(), dict(os.environ)]) + "\\n")
if (here / "error").exists():
    sys.exit((here / "error").read_text())
print((here / f"output{{number % 2}}").read_text() if (here / "output1").exists() else (here / "output0").read_text())
"""


@pytest.fixture
def helm(tmp_path):
    program = tmp_path / "helm"
    program.write_text(HELM.format(python=sys.executable, folder=str(tmp_path)))
    program.chmod(0o755)
    return program


def obj(kind="ConfigMap", name="a", version="v1", hook=None, **more):
    notes = {"annotations": {kaas_chart.HOOK: hook}} if hook else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **notes}, **more}


def crd(kind, group, scope):
    spec = {"group": group, "names": {"kind": kind}, "scope": scope}
    return obj("CustomResourceDefinition", f"x.{group}", "apiextensions.k8s.io/v1", spec=spec)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-24", "2026-11-24"),
        ("2026-11-24T10:00:00Z", "2026-11-24T10:00:00Z"),
        ("12:30", "12:30"),
        ("0755", 0o755),
        ("0x10", 16),
        ("-3", -3),
        ("0", 0),
        ("1.5", 1.5),
        ("1.5.2", "1.5.2"),
        ("true", True),
        ("~", None),
    ],
)
def test_words_mean_what_kubernetes_reads(text, value):
    found = kaas_chart.documents(f"kind: X\nvalue: {text}\n", "f")[0]["value"]
    assert found == value and type(found) is type(value)


def test_documents_lists_and_empty_ones():
    text = "---\n# nothing\n---\nkind: A\n---\nkind: ConfigMapList\nitems: [{kind: B}, {kind: C}]\n---\n"
    assert [one["kind"] for one in kaas_chart.documents(text, "f")] == ["A", "B", "C"]


def test_what_only_the_server_writes_is_left_out():
    text = "kind: A\nmetadata: {name: a, creationTimestamp: null}\nstatus: {conditions: []}\n"
    assert kaas_chart.documents(text, "f") == [{"kind": "A", "metadata": {"name": "a"}}]
    kept = "kind: A\nmetadata: {name: a, creationTimestamp: '2026-01-01T00:00:00Z'}\n"
    assert "creationTimestamp" in kaas_chart.documents(kept, "f")[0]["metadata"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: A\n---\n- 1\n", "f: document 2 is no Kubernetes object"),
        ("a: 1\n", "f: document 1 is no Kubernetes object"),
        ("kind: {\n", "f:2: no YAML"),
        ("kind: A\nx: \x00\n", "f: no YAML"),
    ],
)
def test_what_is_no_object_is_named_with_its_place(text, says):
    with pytest.raises(ValueError, match=says):
        kaas_chart.documents(text, "f")


def test_a_file_without_objects_is_an_error(tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text("---\n# only words\n")
    with pytest.raises(ValueError, match="holds no object"):
        kaas_chart.read(str(path))
    path.write_text(yaml.safe_dump(obj()))
    assert kaas_chart.read(str(path)) == [obj()]


@pytest.mark.parametrize(
    ("chart", "says"),
    [
        (CHART, []),
        ({**CHART, "values": {"a": 1}, "include_crds": False}, []),
        ({"file": "x", "version": 1}, ["chart: no kubernetes, name, namespace", "chart: unknown key version"]),
    ],
)
def test_a_chart_has_its_keys(chart, says):
    assert kaas_chart.problems(chart) == says


def test_helm_gets_values_on_its_input_and_no_folder_of_the_account(helm, tmp_path):
    (tmp_path / "output0").write_text(yaml.safe_dump(obj()))
    chart = {**CHART, "values": {"password": "hunter2", "n": [1, {"a": None}]}}
    assert kaas_chart.render(chart, str(helm)) == [obj()]
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert len(calls) == 2
    arguments, values, environment = calls[0]
    assert json.loads(values) == chart["values"]
    assert "hunter2" not in " ".join(arguments) + " ".join(environment.values())
    assert arguments[:3] == ["template", "web", "/opt/chart.tgz"]
    assert {"--include-crds", "--namespace=shop", "--kube-version=1.36.3", "--values=-"} <= set(arguments)
    assert not pathlib.Path(environment["HOME"]).exists() and environment["KUBECONFIG"] == "/dev/null"


def test_definitions_can_be_left_out():
    assert "--include-crds" not in kaas_chart.command({**CHART, "include_crds": False})


def test_a_chart_that_gives_something_else_each_time_is_refused(helm, tmp_path):
    (tmp_path / "output0").write_text(yaml.safe_dump_all([obj(), obj("Secret", "ca", data={"key": "one"})]))
    (tmp_path / "output1").write_text(yaml.safe_dump_all([obj(), obj("Secret", "ca", data={"key": "two"})]))
    with pytest.raises(ValueError, match=r"other objects at each rendering \(Secret ca\)") as caught:
        kaas_chart.render(CHART, str(helm))
    assert "one" not in str(caught.value).replace("Secret ca", "")


def test_helms_own_words_are_in_the_error(helm, tmp_path):
    (tmp_path / "error").write_text("Error: execution error at (web/templates/x.yaml:1:1): port is required")
    with pytest.raises(ValueError, match=r"chart\.tgz: helm says: Error: .*port is required"):
        kaas_chart.render(CHART, str(helm))


def test_without_helm_the_error_names_it(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        kaas_chart.render(CHART, str(tmp_path / "helm"))
    assert caught.value.filename == str(tmp_path / "helm")


@pytest.mark.parametrize(
    ("hook", "kind", "stays"),
    [
        (None, "Job", True),
        ("pre-delete", "Job", False),
        ("post-delete,pre-rollback", "ServiceAccount", False),
        ("test", "Pod", False),
        ("pre-install", "ServiceAccount", True),
        ("pre-install, pre-delete", "ClusterRole", True),
    ],
)
def test_hooks(hook, kind, stays):
    objects = [obj(kind, hook=hook)]
    assert kaas_chart.members(objects) == (objects if stays else [])


@pytest.mark.parametrize("kind", ["Job", "Pod"])
def test_what_runs_once_is_refused(kind):
    with pytest.raises(ValueError, match=rf"{kind} a is a hook \(post-install, post-upgrade\).*choose values"):
        kaas_chart.members([obj(kind, hook="post-install,post-upgrade")])


def test_scopes_of_own_definitions():
    found = kaas_chart.scopes([obj(), crd("Pool", "example.com", "Cluster"), crd("Rule", "example.com", "Namespaced")])
    assert found == {("example.com", "Pool"): False, ("example.com", "Rule"): True}


@pytest.mark.parametrize(
    ("namespace", "namespaced", "expected"),
    [(None, True, "shop"), ("other", True, "other"), (None, False, None), ("other", False, None), ("x", None, "x"), (None, None, None)],
)  # fmt: skip
def test_objects_lie_in_the_releases_namespace(namespace, namespaced, expected):
    given = obj()
    if namespace:
        given["metadata"]["namespace"] = namespace
    assert kaas_chart.placed(given, "shop", namespaced)["metadata"].get("namespace") == expected


def test_custom_resources_are_deleted_before_what_cleans_up_after_them():
    pool, gateway = obj("Pool", "p", "example.com/v1"), obj("Gateway", "g", "gateway.networking.k8s.io/v1")
    definitions = [crd("Pool", "example.com", "Cluster"), crd("Gateway", "gateway.networking.k8s.io", "Namespaced")]
    deployment, role = obj("Deployment", "d", "apps/v1"), obj("Role", "r", "rbac.authorization.k8s.io/v1")
    phases = kaas_manifest.deletion_phases([deployment, *definitions, role, gateway, pool])
    assert [{one["kind"] for one in phase} for phase in phases] == [
        {"Pool", "Gateway"},
        {"Deployment", "Role", "CustomResourceDefinition"},
    ]
    assert phases[1][-1]["kind"] == "CustomResourceDefinition"
    assert kaas_manifest.deletion_phases([]) == [] and len(kaas_manifest.deletion_phases([role])) == 1
