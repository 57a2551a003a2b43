"""
Root on a node, through Kubernetes and its certificates: what a kubelet's identity must not reach beyond its node.

Each refused call is made a second time by somebody who may: so that a call which is wrong in itself is noticed.
"""

import base64
import json
import secrets
import ssl

import kaas_pki
import pytest
import yaml
from kubeapi import Api
from laboratory import SCRATCH
from polling import eventually
from test_40_api_security import NODE_CLIENT, PKI

PRIVATE = "test-compromised"
MERGE, JSON = "application/merge-patch+json", "application/json"


def call(cluster, node, method, url, client, body=None, headers=()):
    """``(HTTP status, answer)`` of a request from `node` with the certificate `client` (path without suffix); status "000": no answer."""
    argv = ["curl", "--silent", "--max-time", "5", "--write-out", "\n%{http_code}", "--cacert", f"{PKI}/ca.crt", "--request", method]
    argv += ["--cert", f"{client}.crt", "--key", f"{client}.key"]
    for header in headers:
        argv += ["--header", header]
    if body is not None:
        argv += ["--header", f"Content-Type: {MERGE if method == 'PATCH' else JSON}", "--data", json.dumps(body)]
    answer, _, status = cluster.exec(node, *argv, url, check=False).stdout.rpartition("\n")
    return status, answer


@pytest.fixture(scope="module")
def scene(cluster):
    """Names to fill in: the attacker's node, another node, and a pod and a service account of neither."""
    attacker = (cluster.workers or cluster.kubelets)[-1]
    others = [node for node in cluster.kubelets if node != attacker]
    made = []
    if not others:
        cluster.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "another"}})
        made = [("node", "another")]
    other = (others or ["another"])[0]
    cluster.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PRIVATE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "powerful", "namespace": PRIVATE}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "private", "namespace": PRIVATE}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "private", "namespace": PRIVATE}},
        # bound to the other node by hand: no scheduler, and no kubelet where that node does not exist
        {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "victim", "namespace": PRIVATE},
            "spec": {
                "nodeName": other, "serviceAccountName": "powerful", "tolerations": [{"operator": "Exists"}],
                "containers": [{"name": "pause", "image": "registry.k8s.io/pause:none", "imagePullPolicy": "Never"}],
            },
        },
        {
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "another", "namespace": "kube-node-lease"},
        },
    )  # fmt: skip
    yield {"attacker": attacker, "other": other, "lease": other if others else "another", "namespace": PRIVATE}
    for kind, name in made:
        cluster.kubectl("delete", kind, name, check=False)
    cluster.kubectl("delete", "lease", "another", "--namespace=kube-node-lease", check=False)
    cluster.kubectl("delete", "pod", "victim", f"--namespace={PRIVATE}", "--grace-period=0", "--force", check=False)
    cluster.kubectl("delete", "namespace", PRIVATE, "--wait=false", check=False)


def pod(**spec):
    """A pod as a request's body."""
    containers = [{"name": "c", "image": "registry.k8s.io/pause:none"}]
    metadata = {"name": "intruder", "annotations": {"kubernetes.io/config.mirror": "x"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers, **spec}}


LABEL = {"metadata": {"labels": {"example.org/test": "yes"}}}
TOKEN = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
# what -> (method, path, body); {words} come from the scene
CALLS = {
    "secret of another": ("GET", "/api/v1/namespaces/{namespace}/secrets/private", None),
    "secrets of a namespace": ("GET", "/api/v1/namespaces/kube-system/secrets", None),
    "config map of another": ("GET", "/api/v1/namespaces/{namespace}/configmaps/private", None),
    "all config maps": ("GET", "/api/v1/configmaps", None),
    "roles": ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", None),
    "status of another node": ("PATCH", "/api/v1/nodes/{other}/status?dryRun=All", {"status": {"phase": "Running"}}),
    "taints of another node": ("PATCH", "/api/v1/nodes/{other}?dryRun=All", {"spec": {"taints": []}}),
    "end of another node": ("DELETE", "/api/v1/nodes/{other}?dryRun=All", None),
    "a node that is not there": ("POST", "/api/v1/nodes?dryRun=All", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "intruder"}}),
    "lease of another node": ("PATCH", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{lease}?dryRun=All", LABEL),
    "status of another's pod": ("PATCH", "/api/v1/namespaces/{namespace}/pods/victim/status?dryRun=All", {"status": {"message": "x"}}),
    "end of another's pod": ("DELETE", "/api/v1/namespaces/{namespace}/pods/victim?dryRun=All", None),
    "eviction of another's pod": ("POST", "/api/v1/namespaces/{namespace}/pods/victim/eviction?dryRun=All",
                                  {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "victim"}}),
    "pod on another node": ("POST", "/api/v1/namespaces/{namespace}/pods?dryRun=All", pod(nodeName="{other}")),
    "pod with a service account": ("POST", "/api/v1/namespaces/{namespace}/pods?dryRun=All",
                                   pod(nodeName="{attacker}", serviceAccountName="powerful")),
    "token of a service account": ("POST", "/api/v1/namespaces/{namespace}/serviceaccounts/powerful/token", TOKEN),
    "a role of its own": ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings?dryRun=All", {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "intruder"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}]}),
}  # fmt: skip
# a mirror pod for no kubelet of its own, and one with a service account, are wrong for anybody: made right for the one who may
RIGHT = {"pod with a service account": pod(serviceAccountName="powerful"), "pod on another node": pod(nodeName="{other}")}


def filled(value, scene):
    return json.loads(json.dumps(value).replace("{other}", scene["other"]).replace("{attacker}", scene["attacker"]))


@pytest.mark.parametrize("what", CALLS)
def test_kubelet_reaches_nothing_beyond_its_node(cluster, scene, what):
    method, path, body = CALLS[what]
    url = cluster.api_url + path.format(**scene)
    status, answer = call(cluster, scene["attacker"], method, url, NODE_CLIENT, filled(body, scene))
    assert status == "403", answer
    body = filled(RIGHT.get(what, body), scene)
    if what in RIGHT:
        body["metadata"].pop("annotations")
    status, answer = call(cluster, cluster.deployer, method, url, f"{PKI}/super-admin", body)
    assert status in ("200", "201"), answer


@pytest.mark.parametrize("purpose", ["kubelet-client", "kube-proxy", "flannel"])
def test_no_certificate_of_a_worker_speaks_for_others(cluster, scene, purpose):
    """Neither by the front proxy's headers nor by impersonation; the front proxy's own certificate does, so that the headers are right."""
    client = NODE_CLIENT if purpose == "kubelet-client" else f"{PKI}/{purpose}"
    url = f"{cluster.api_url}/api/v1/namespaces/kube-system/secrets"
    headers = ["X-Remote-User: somebody", "X-Remote-Group: system:masters"]
    impersonation = ["Impersonate-User: kubernetes-super-admin", "Impersonate-Group: system:masters"]
    for words in (headers, impersonation):
        assert call(cluster, scene["attacker"], "GET", url, client, headers=words)[0] == "403"
    assert call(cluster, cluster.deployer, "GET", url, f"{PKI}/front-proxy-client", headers=headers)[0] == "200"
    assert call(cluster, cluster.deployer, "GET", url, f"{PKI}/super-admin", headers=impersonation)[0] == "200"


def test_no_certificate_of_a_worker_opens_etcd(cluster, scene):
    """etcd trusts its own authority alone; the apiserver's client certificate opens it from the same address."""
    certificates = [NODE_CLIENT, "/var/lib/kubelet/pki/kubelet", f"{PKI}/kube-proxy", f"{PKI}/flannel"]
    for member in cluster.etcd:
        url = f"https://{cluster.address(member)}:2379/version"
        for client in certificates:
            ask = f"curl -sk -m 5 -o /dev/null -w '%{{http_code}}' --cert {client}.crt --key {client}.key {url}"
            assert cluster.shell(scene["attacker"], ask, check=False) == "000", client
        key = f"{PKI}/apiserver-etcd-client"
        ask = f"curl -sk -m 5 -o /dev/null -w '%{{http_code}}' --cert {key}.crt --key {key}.key {url}"
        assert cluster.shell(cluster.deployer, ask, check=False) == "200"


def test_no_certificate_of_a_worker_opens_a_kubelet(cluster, scene):
    """A kubelet's own client certificate may not use kubelets; its serving certificate is no client's at all."""
    for node in cluster.kubelets:
        url = f"https://{cluster.address(node)}:10250"
        for path in ("/pods", "/run/kube-system/x/y", "/configz"):
            method = "POST" if "run" in path else "GET"
            assert call(cluster, scene["attacker"], method, url + path, NODE_CLIENT)[0] == "403", f"{node}{path}"
        assert call(cluster, scene["attacker"], "GET", f"{url}/pods", "/var/lib/kubelet/pki/kubelet")[0] in ("000", "401"), node
        assert call(cluster, cluster.deployer, "GET", f"{url}/pods", f"{PKI}/apiserver-kubelet-client")[0] == "200", node


def answers(cluster, chain):
    """HTTP problem of listing nodes with a certificate and key (PEM), or "" when it worked."""
    api = Api(cluster.kubeconfig)
    api.context = ssl.create_default_context(cadata=api.ca)
    api.context.load_cert_chain(chain)
    try:
        api.get("/api/v1/nodes")
    except OSError as error:
        return str(error)
    return ""


def test_certificates_of_another_authority_are_worth_nothing(cluster, tmp_path):
    """The strongest certificate of a cluster with the same names, and those of the lab's other clusters; the own one works."""
    key, authority = kaas_pki.create_key(), kaas_pki.create_ca("kubernetes")
    topology = {"name": cluster.name, "domain": "cluster.local", "networks": {"services": ["10.96.0.0/16"]},
                "nodes": {"m1": {"id": "m1", "address": "172.28.0.11", "addresses": ["172.28.0.11"], "roles": ["etcd", "master"]}}}  # fmt: skip
    policy = kaas_pki.policies(topology, "m1")["super-admin"]
    chain = tmp_path / "foreign.pem"
    chain.write_text(kaas_pki.issue(authority["certificate"], authority["key"], kaas_pki.public_key(key), policy) + key)
    assert "HTTP 401" in answers(cluster, chain)
    for path in sorted(cluster.kubeconfig.parent.parent.glob("*/kubeconfig")):
        user = yaml.safe_load(path.read_text())["users"][0]["user"]
        pem = tmp_path / f"{path.parent.name}.pem"
        pem.write_bytes(b"\n".join(base64.b64decode(user[part]) for part in ("client-certificate-data", "client-key-data")))
        problem = answers(cluster, pem)
        assert (problem == "") == (path == cluster.kubeconfig), f"{path.parent.name}: {problem}"
        assert path == cluster.kubeconfig or "HTTP 401" in problem


REQUEST = """
openssl ecparam -name prime256v1 -genkey -noout -out /run/intruder.key
openssl req -new -key /run/intruder.key -subj "$1" | base64 --wrap=0
rm /run/intruder.key
"""


def signing_request(cluster, scene, name, subject, signer):
    """Ask Kubernetes for a certificate as the attacker's kubelet; ``(HTTP status, answer)``."""
    body = {
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {"request": cluster.shell(scene["attacker"], REQUEST, subject), "signerName": signer, "usages": ["client auth"]},
    }  # fmt: skip
    url = f"{cluster.api_url}/apis/certificates.k8s.io/v1/certificatesigningrequests"
    return call(cluster, scene["attacker"], "POST", url, NODE_CLIENT, body)


def test_signing_requests_are_not_approved_by_themselves(cluster, scene):
    """A kubelet may ask, nobody answers: neither the cluster's controllers nor itself; an administrator's approval brings a certificate."""
    client = "kubernetes.io/kube-apiserver-client"
    names = {"intruder": "/O=developers/CN=jane", "approved": "/O=developers/CN=joe"}
    try:
        assert signing_request(cluster, scene, "masters", "/O=system:masters/CN=jane", client)[0] == "403"
        other = f"/O=system:nodes/CN=system:node:{scene['other']}"
        signing_request(cluster, scene, "node", other, f"{client}-kubelet")
        for name, subject in names.items():
            status, answer = signing_request(cluster, scene, name, subject, client)
            assert status == "201", answer
        approval = f"{cluster.api_url}/apis/certificates.k8s.io/v1/certificatesigningrequests/intruder/approval"
        body = {"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "x", "message": "x"}]}}
        assert call(cluster, scene["attacker"], "PATCH", approval, NODE_CLIENT, body)[0] == "403"
        cluster.kubectl("certificate", "approve", "approved")
        eventually(lambda: cluster.get("csr", "approved")["status"].get("certificate"), 30, "the approved request to be signed")
        for name in ("intruder", "node", "masters"):
            listed = cluster.kubectl("get", "csr", name, "--ignore-not-found", "--output=json").stdout
            assert not listed.strip() or json.loads(listed).get("status", {}) == {}, listed
    finally:
        cluster.kubectl("delete", "csr", "masters", "node", *names, "--ignore-not-found", check=False)


def test_the_salt_master_has_its_guard(cluster, scene):
    """An event with which Salt's master would run a job on every minion is refused, and the refusal is logged."""
    done = cluster.exec("salt", "salt-run", "kaas.check_master", "--out=json", check=False)
    assert (done.returncode, json.loads(done.stdout)) == (0, []), done.stdout
    proof = f"{SCRATCH}/{secrets.token_hex(8)}"
    job = {
        "__peer_id": "another", "fun": "file.touch", "arg": [proof], "tgt": "*", "tgt_type": "glob", "jid": "20260101000000000000", "ret": "",
        "user": "root",
    }  # fmt: skip
    refused = f"grep -c 'kaas_guard: _minion_event of {cluster.id(scene['attacker'])} refused' /var/log/salt/master"
    before = cluster.shell("salt", refused, check=False)
    cluster.exec(scene["attacker"], "salt-call", "event.fire_master", json.dumps(job), "salt/jobs/publish")
    eventually(lambda: cluster.shell("salt", refused, check=False) != before, 20, "the master's log to name the refusal")
    assert set(cluster.salt("*", "test.ping").values()) == {True}
    for machine in cluster.machines:
        assert not cluster.host(machine).file(proof).exists, machine
