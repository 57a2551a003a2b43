"""Charts with the real helm against a real kube-apiserver: rendered, applied as a set, upgraded, refused, taken away.

A chart of the test's own does what a network's chart does: definitions and custom resources beside a controller, objects
without a namespace, hooks. The project's own chart of Cilium is tried where the artifact repository has it.
"""

import tarfile

import kaas_chart
import kaas_charts
import pytest
import yaml
from test_objects_live import ARTIFACTS, api, kube, loaders, program, state  # noqa: F401

CHART = {"apiVersion": "v2", "name": "net", "version": "1.0.0"}
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: pools.chart.kaas.local}
spec:
  group: chart.kaas.local
  scope: Cluster
  names: {plural: pools, singular: pool, kind: Pool}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
POOL = """
apiVersion: chart.kaas.local/v1
kind: Pool
metadata: {name: default}
spec: {{ .Values.pool | toYaml | nindent 2 }}
"""
CONTROLLER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: controller}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: net}}
  template:
    metadata: {labels: {app: net}, annotations: {version: {{ .Capabilities.KubeVersion.Version | quote }}}}
    spec: {containers: [{name: c, image: "net:1"}]}
{{- if .Values.extra }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: extra}
data: {started: 2026-11-24, at: "12:30"}
{{- end }}
"""
HOOKS = """
apiVersion: batch/v1
kind: Job
metadata: {name: uninstall, annotations: {helm.sh/hook: pre-delete}}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: "net:1"}]}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: net, annotations: {helm.sh/hook: pre-install}}
"""
VALUES = "pool: {cidr: 10.0.0.0/8}\nreplicas: 1\nextra: true\n"


@pytest.fixture
def helm():
    return str(program("helm", "helm"))


@pytest.fixture
def chart(tmp_path):
    """Return write(version, **templates): the path of a chart's archive."""

    def write(version="1.0.0", **templates):
        folder = tmp_path / f"net-{version}" / "net"
        (folder / "templates").mkdir(parents=True)
        (folder / "crds").mkdir()
        (folder / "Chart.yaml").write_text(yaml.safe_dump({**CHART, "version": version}))
        (folder / "values.yaml").write_text(VALUES)
        (folder / "crds" / "pools.yaml").write_text(DEFINITION)
        for name, text in {"pool": POOL, "controller": CONTROLLER, "hooks": HOOKS, **templates}.items():
            (folder / "templates" / f"{name}.yaml").write_text(text)
        path = tmp_path / f"net-{version}.tgz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(folder, arcname="net")
        return str(path)

    return write


@pytest.fixture
def apply(state, loaders, helm):  # noqa: F811
    """Return call(path, values, test=False, name=...): `applied` with the chart and this helm."""
    originals = {test: loader["utils"]["kaas_chart.render"] for test, loader in loaders.items()}

    def call(path, values=None, test=False, name="chart", namespace="chart"):
        described = {"file": path, "name": "net", "namespace": namespace, "kubernetes": "1.36.3", "values": values or {}}
        for loader in loaders.values():
            loader["utils"]["kaas_chart.render"] = lambda given: kaas_chart.render(given, helm)
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        objects = [] if namespace == "kube-system" else [space]
        return state("applied", name, objects, chart=described, test=test)

    yield call
    for test, loader in loaders.items():
        loader["utils"]["kaas_chart.render"] = originals[test]


def test_a_chart_is_a_set(apply, state, kube, chart):  # noqa: F811
    path = chart()
    first = apply(path)
    assert first["result"] is True, first
    assert set(first["changes"]) == {
        "ConfigMap kube-system/kaas-chart",
        "Namespace chart",
        "CustomResourceDefinition pools.chart.kaas.local",
        "Pool default",
        "Deployment chart/controller",
        "ConfigMap chart/extra",
        "ServiceAccount chart/net",
    }
    assert kube.get("v1", "ConfigMap", "extra", "chart")["data"] == {"started": "2026-11-24", "at": "12:30"}
    deployment = kube.get("apps/v1", "Deployment", "controller", "chart")
    assert deployment["spec"]["template"]["metadata"]["annotations"]["version"] == "v1.36.3"
    again = apply(path)
    assert (again["result"], again["changes"]) == (True, {})

    # Another version and other values: foretold, then true; what the new one lacks goes.
    newer, values = chart("2.0.0"), {"replicas": 3, "extra": False, "pool": {"cidr": "10.1.0.0/16"}}
    foretold = apply(newer, values, test=True)
    assert foretold["result"] is None
    assert foretold["changes"] == {
        "Deployment chart/controller": {"changed": ["spec.replicas"]},
        "Pool default": {"changed": ["spec.cidr"]},
        "ConfigMap chart/extra": {"deleted": True},
    }
    assert kube.get("v1", "ConfigMap", "extra", "chart")
    assert apply(newer, values)["changes"] == foretold["changes"]
    assert kube.get("v1", "ConfigMap", "extra", "chart") is None

    # A namespace would wait for its controller, which does not run here.
    gone = state("absent", "chart", timeout=3)
    assert "Namespace chart" in gone["comment"] or gone["result"] is True
    assert kube.get("apps/v1", "Deployment", "controller", "chart") is None


def test_a_first_dry_run_foretells_all_of_it(apply, kube, chart):  # noqa: F811
    ret = apply(chart("3.0.0", pool="", hooks=""), test=True, name="planned", namespace="planned")
    assert ret["result"] is None and "Deployment planned/controller" in ret["changes"], ret
    assert kube.get("v1", "Namespace", "planned") is None


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ fail \"a pool is needed\" }}", "a pool is needed"),
        ("kind: {{ .Values.none.such }}", "nil pointer"),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: ca}\nstringData: {key: {{ genPrivateKey \"ecdsa\" | quote }}}\n",
            "gives other objects at each rendering (Secret ca)",
        ),
        ("apiVersion: batch/v1\nkind: Job\nmetadata: {name: j, annotations: {helm.sh/hook: post-install}}\n", "runs once per release"),
    ],
)
def test_what_is_refused_changes_nothing(apply, kube, chart, template, says):  # noqa: F811
    ret = apply(chart(bad=template), name="refused", namespace="refused")
    assert ret["result"] is False and says in ret["comment"] and ret["changes"] == {}
    assert "PRIVATE KEY" not in ret["comment"]
    assert kube.get("v1", "ConfigMap", "kaas-refused", "kube-system") is None


def test_definitions_that_the_programs_made_go_with_the_set(state, kube):  # noqa: F811
    """As Calico's and Cilium's operators do; those of a set that was never there stay."""
    definition = yaml.safe_load(DEFINITION.replace("pools", "rules").replace("pool", "rule").replace("Pool", "Rule"))
    definition["spec"]["group"], definition["metadata"]["name"] = "operator.kaas.local", "rules.operator.kaas.local"
    version, kind, name = "apiextensions.k8s.io/v1", "CustomResourceDefinition", definition["metadata"]["name"]
    kube.apply(definition, manager="operator")
    assert state("absent", "operated", groups=["operator.kaas.local"])["changes"] == {}
    assert kube.get(version, kind, name)
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "operated", "namespace": "default"}}
    assert state("applied", "operated", [settings])["result"] is True
    foretold = state("absent", "operated", groups=["operator.kaas.local"], test=True)
    assert f"{kind} {name}" in foretold["changes"] and kube.get(version, kind, name)
    ret = state("absent", "operated", groups=["operator.kaas.local"])
    assert ret["result"] is True and ret["changes"] == foretold["changes"]
    assert kube.get(version, kind, name) is None


CILIUM = {
    "name": "demo",
    "nodes": {"m1": {"roles": ["master"]}, "w1": {"roles": ["worker"]}},
    "plugins": {"sdn": {"name": "cilium"}},
}


@pytest.mark.parametrize("backend", ["vxlan", "geneve", "native"])
@pytest.mark.parametrize("proxy", ["nftables", "none"])
def test_the_projects_own_chart(apply, kube, backend, proxy):  # noqa: F811
    """Cilium's: the API takes all of it, and a second run finds nothing to do; its settings are those of the cluster file."""
    found = sorted(ARTIFACTS.glob("cilium/*/linux-amd64/cilium.tgz"))
    if not found:
        pytest.skip("Cilium's chart is not in the repository: download it, then artifacts/add (docs/artifacts.md)")
    path = found[-1]
    network = {"cilium": {"backend": backend, "values": {}}, "proxy": proxy, "mtu": 1400, "pods": "10.244.0.0/16"}
    values = kaas_charts.values(CILIUM, network, {"address": "172.28.0.100", "port": 8443})["cilium"]
    first = apply(str(path), values, name="cilium", namespace="kube-system")
    assert first["result"] is True, first
    again = apply(str(path), values, name="cilium", namespace="kube-system")
    assert (again["result"], again["changes"]) == (True, {}), again
    settings = kube.get("v1", "ConfigMap", "cilium-config", "kube-system")["data"]
    expected = {
        "routing-mode": "native" if backend == "native" else "tunnel",
        "kube-proxy-replacement": "true" if proxy == "none" else "false",
        "ipam": "kubernetes",
        "cluster-name": "demo",
        "mtu": "1400",
        **({"ipv4-native-routing-cidr": "10.244.0.0/16"} if backend == "native" else {"tunnel-protocol": backend}),
    }
    assert {key: settings.get(key) for key in expected} == expected
    pod = kube.get("apps/v1", "DaemonSet", "cilium", "kube-system")["spec"]["template"]["spec"]
    agent = next(one for one in pod["containers"] if one["name"] == "cilium-agent")
    told = {one["name"]: one.get("value") for one in agent["env"]}
    assert told["KUBERNETES_SERVICE_HOST"] == "172.28.0.100" and told["KUBERNETES_SERVICE_PORT"] == "8443"
