"""The CIS Kubernetes Benchmark, asked of the running cluster; the controls stand in cis.yaml, how they are judged in tests/cis.py."""

import json
import re

import cis
import pytest
import yaml
from kaas_topology import merge

ROWS = cis.load()
# MetalLB announces addresses on the machines' own network (docs/balancers.md).
PRIVILEGED = {"metallb-system"}
FORMULA = ("kube-system", "demo")
# Pods that ask the API, and so get a token.
CLIENTS = {"coredns", "metrics-server"}
# Meets the level `restricted`; each control adds its sin.
POD = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kaas-test-cis", "namespace": "default"},
    "spec": {"securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}},
}  # fmt: skip
CONTAINER = {
    "name": "main", "image": "registry.kaas.local/none:0",
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}  # fmt: skip


def of_kind(*kinds):
    """Parameters of a test: the rows with such a check."""
    rows = [row for row in ROWS if cis.kind(row) in kinds]
    return pytest.mark.parametrize("row", rows, ids=lambda row: str(row["control"]))


@pytest.fixture(scope="module")
def evidence(cluster):
    """``{node: evidence}``, see tests/cis.py."""

    def collect(node):
        found = json.loads(cluster.exec(node, "python3", "-c", cis.COLLECT, json.dumps(cis.wanted())).stdout)
        found["settings"] = {source: yaml.safe_load(text) for source, text in found["settings"].items()}
        if node in cluster.kubelets:
            found["settings"]["kubelet"] = cluster.api().get(f"/api/v1/nodes/{node}/proxy/configz")["kubeletconfig"]
            answer = cluster.exec(node, "curl", "--silent", "--fail", "http://127.0.0.1:10249/configz").stdout
            found["settings"]["kube-proxy"] = json.loads(answer)["kubeproxy.config.k8s.io"]
        return found

    return cluster.everywhere(collect, cluster.nodes)


@pytest.fixture(scope="module")
def rbac(cluster):
    """``(ClusterRoles, ClusterRoleBindings)``."""
    return cluster.get("clusterroles")["items"], cluster.get("clusterrolebindings")["items"]


@of_kind("file", "argument", "setting")
def test_node(cluster, evidence, row):
    """Files, arguments and settings of every node of the kind."""
    found = {node: cis.problems(row, evidence[node]) for node in getattr(cluster, row["nodes"])}
    assert found, f"no node is one of the {row['nodes']}"
    assert {node: texts for node, texts in found.items() if texts} == {}


@of_kind("rights")
def test_rights(cluster, rbac, row):
    """Exactly the reviewed subjects have a right, and those of the cluster file's own bindings."""
    bindings = [item for item in rbac[1] if item["metadata"]["name"] not in own_bindings(cluster)]
    chosen = {cluster.spec.get(place, {}).get("plugin") for place in ("network", "balancer", "gateway")}
    of_plugins = {one for name, some in row["rights"].get("plugins", {}).items() if name in chosen for one in some}
    assert cis.subjects(row["rights"], rbac[0], bindings) == set(row["rights"]["subjects"]) | of_plugins


def own_bindings(cluster):
    """Names of the ClusterRoleBindings that the cluster file asks for."""
    return {f"kaas:{binding['name']}" for binding in (cluster.spec.get("rbac") or {}).get("bindings", [])}


def answer(cluster, row):
    """What the API says to the pod of a row (nothing is made): "accepted", "warned" or "refused"."""
    check = row["pod"]
    pod = merge(POD, {"spec": check.get("spec", {})})
    pod["spec"]["containers"] = [merge(CONTAINER, check.get("container", {}))]
    done = cluster.kubectl("create", "--dry-run=server", "--filename=-", check=False, stdin=json.dumps(pod))
    if done.returncode:
        assert 'violates PodSecurity "baseline' in done.stderr, done.stderr
        return "refused"
    return "warned" if "would violate PodSecurity" in done.stderr else "accepted"


def test_a_harmless_pod_is_accepted(cluster):
    """So that the refusals below mean something."""
    assert answer(cluster, {"pod": {}}) == "accepted"


@of_kind("pod")
def test_pod(cluster, row):
    """What Pod Security says to a pod with one sin."""
    assert answer(cluster, row) == row["pod"]["answer"]


@of_kind("look")
def test_look(cluster, evidence, rbac, row):
    """Controls that need more than a comparison."""
    globals()[row["look"]](cluster, evidence, rbac)


def flag(evidence, node, program, name):
    """Value of an argument of a running program."""
    return next(text.partition("=")[2] for text in evidence[node]["arguments"][program] if text.startswith(name + "="))


def read_yaml(cluster, node, path):
    """A YAML file of a node."""
    return yaml.safe_load(cluster.exec(node, "cat", path).stdout)


def formula_pods(cluster):
    """Pods of the formula: those of its namespaces without what tests put there."""
    return [pod for namespace in FORMULA for pod in cluster.pods(namespace)]


def encryption_provider(cluster, evidence, rbac):
    """The first provider, which writes, is authenticated encryption, for Secrets."""
    for node in cluster.masters:
        path = flag(evidence, node, "kube-apiserver", "--encryption-provider-config")
        for entry in read_yaml(cluster, node, path)["resources"]:
            assert "secrets" in entry["resources"] and next(iter(entry["providers"][0])) == "secretbox", node


def etcd_authority(cluster, evidence, rbac):
    """What etcd trusts is not what the API server trusts."""
    for node in cluster.etcd:
        trusted = evidence[node]["settings"]["etcd"]["client-transport-security"]["trusted-ca-file"]
        serial = "openssl x509 -noout -fingerprint -in"
        other = "/etc/kubernetes/pki/ca.crt"
        if cluster.host(node).file(other).exists:
            assert cluster.shell(node, f"{serial} {trusted}") != cluster.shell(node, f"{serial} {other}"), node


def audit_policy(cluster, evidence, rbac):
    """Secrets by metadata and before all else; changes and exec are logged."""
    for node in cluster.masters:
        rules = read_yaml(cluster, node, flag(evidence, node, "kube-apiserver", "--audit-policy-file"))["rules"]
        first = {resource for group in rules[0]["resources"] for resource in group["resources"]}
        assert rules[0]["level"] == "Metadata" and {"secrets", "configmaps", "tokenreviews"} <= first
        silent = [rule for rule in rules if rule["level"] == "None"]
        for rule in silent:
            reads = set(rule.get("verbs", [])) and set(rule["verbs"]) <= {"get", "list", "watch"}
            assert reads or "resources" in rule or "nonResourceURLs" in rule, f"{rule} silences changes"
        assert rules[-1] == {"level": "Metadata"}, "something is not logged at all"


def node_name(cluster, evidence, rbac):
    """The name that a kubelet was told is the one in its certificate."""
    for node in cluster.kubelets:
        assert flag(evidence, node, "kubelet", "--hostname-override") == node
        subject = cluster.shell(node, "openssl x509 -noout -subject -in /var/lib/kubelet/pki/kubelet-client.crt")
        assert subject.strip().endswith(f"CN = system:node:{node}"), subject


def certificates_are_renewed(cluster, evidence, rbac):
    """The highstate watches over all certificates of a node, and none is near its end."""
    for minion, found in cluster.salt(cluster.kubelets, "kaas_pki.status").items():
        assert {"kubelet", "kubelet-client"} <= set(found), minion
        assert [entry for entry in found.values() if entry["problems"]] == [], minion
    for node in cluster.kubelets:
        check = "openssl x509 -noout -checkend 2160000 -in /var/lib/kubelet/pki/kubelet-client.crt"
        assert "will not expire" in cluster.shell(node, check), node


def wildcards(cluster, evidence, rbac):
    """Roles that are not Kubernetes' own name verbs, resources and groups."""
    roles = rbac[0] + cluster.get("roles", "--all-namespaces")["items"]
    own = [role for role in roles if "kubernetes.io/bootstrapping" not in role["metadata"].get("labels", {})]
    assert own, "the formula has roles"
    for role in own:
        for rule in role.get("rules") or []:
            named = rule["verbs"] + rule.get("resources", []) + rule.get("apiGroups", [])
            assert "*" not in named, role["metadata"]["name"]


def default_service_accounts(cluster, evidence, rbac):
    """No binding names a service account `default`."""
    for binding in rbac[1] + cluster.get("rolebindings", "--all-namespaces")["items"]:
        for subject in binding.get("subjects") or []:
            assert (subject["kind"], subject["name"]) != ("ServiceAccount", "default"), binding["metadata"]["name"]


def mounted_tokens(cluster, evidence, rbac):
    """Of the formula's pods, those that ask the API have a token, and no others."""
    found = set()
    for pod in formula_pods(cluster):
        sources = [source for volume in pod["spec"].get("volumes", []) for source in volume.get("projected", {}).get("sources", [])]  # fmt: skip
        if any("serviceAccountToken" in source for source in sources):
            found.add(pod["spec"]["serviceAccountName"])
    assert found == CLIENTS & {pod["spec"]["serviceAccountName"] for pod in formula_pods(cluster)}


def pod_security(cluster, evidence, rbac):
    """The cluster's level is baseline or more; no namespace weakens it but the exempt ones."""
    for node in cluster.masters:
        path = flag(evidence, node, "kube-apiserver", "--admission-control-config-file")
        plugins = {plugin["name"]: plugin["configuration"] for plugin in read_yaml(cluster, node, path)["plugins"]}
        assert plugins["PodSecurity"]["defaults"]["enforce"] in ("baseline", "restricted")
        assert plugins["PodSecurity"]["exemptions"] == {"namespaces": ["kube-system"]}
    for namespace in cluster.get("namespaces")["items"]:
        level = namespace["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce")
        assert level != "privileged" or namespace["metadata"]["name"] in PRIVILEGED, namespace["metadata"]["name"]


def secrets_in_environment(cluster, evidence, rbac):
    """No container of the formula gets a Secret by its environment."""
    for pod in formula_pods(cluster):
        for container in pod["spec"]["containers"]:
            text = json.dumps([container.get("env", []), container.get("envFrom", [])])
            # the two fields by which a Secret gets there; a path to a mounted one may have the word in its name
            assert not re.search(r'"secret(Key)?Ref"', text), pod["metadata"]["name"]


def security_contexts(cluster, evidence, rbac):
    """The formula's containers run without root, without more privileges, on a read-only disk."""
    pods = formula_pods(cluster)
    assert pods
    for pod in pods:
        for container in pod["spec"]["containers"]:
            context = {**pod["spec"].get("securityContext", {}), **container.get("securityContext", {})}
            name = pod["metadata"]["name"]
            assert context.get("runAsNonRoot") is True, name
            assert context.get("allowPrivilegeEscalation") is False, name
            assert context.get("readOnlyRootFilesystem") is True, name
            assert context.get("capabilities", {}).get("drop") == ["ALL"], name


def default_namespace(cluster, evidence, rbac):
    """The formula puts nothing into the namespace default."""
    listed = cluster.get("pods,deployments,services", "--namespace=default")["items"]
    assert [item["metadata"]["name"] for item in listed] == ["kubernetes"]
