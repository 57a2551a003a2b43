"""What the API, the kubelets and etcd refuse."""

import base64
import json

import pytest
from polling import eventually, get, verifying

PKI = "/etc/kubernetes/pki"
NODE_CLIENT = "/var/lib/kubelet/pki/kubelet-client"


def status(cluster, node, method, url, client=None, body=None):
    """HTTP status of a request from `node` with the client certificate `client` (path without suffix), "000" without an answer."""
    argv = ["curl", "--silent", "--output", "/dev/null", "--max-time", "5", "--write-out", "%{http_code}"]
    argv += ["--cacert", f"{PKI}/ca.crt", "--request", method]
    if client:
        argv += ["--cert", f"{client}.crt", "--key", f"{client}.key"]
    if body is not None:
        argv += ["--header", "Content-Type: application/merge-patch+json", "--data", json.dumps(body)]
    return cluster.exec(node, *argv, url, check=False).stdout


@pytest.fixture(scope="module")
def secret(cluster, namespace):
    """API path of a Secret that no pod uses."""
    cluster.create(
        {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "plain", "namespace": namespace},
            "stringData": {"word": "the-readable-word"},
        }
    )  # fmt: skip
    return f"/api/v1/namespaces/{namespace}/secrets/plain"


@pytest.fixture(scope="module")
def pair(cluster):
    """``(node, another node)``: the last of the cluster, and the first; in a cluster of one, an empty Node object is the other."""
    first, last = cluster.kubelets[0], cluster.kubelets[-1]
    if first != last:
        yield last, first
        return
    cluster.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "another"}})
    yield last, "another"
    cluster.kubectl("delete", "node", "another")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_anyone_may_ask_for_health(cluster, path):
    """Load balancers ask without credentials."""
    assert get(cluster.api_url + path, context=verifying(cluster.api().ca)) == (200, "ok")


@pytest.mark.parametrize("path", ["/", "/api", "/version", "/metrics", "/api/v1/nodes", "/readyz/etcd", "/openapi/v2"])
def test_anonymous_is_refused_elsewhere(cluster, path):
    """Nothing but the health endpoints answers without credentials."""
    assert get(cluster.api_url + path, context=verifying(cluster.api().ca))[0] == 401


def test_kubelet_may_read_its_own_node(cluster, pair):
    """The kubelet's certificate is good for what a kubelet does (so that the refusals below mean something)."""
    node, _ = pair
    assert status(cluster, node, "GET", f"{cluster.api_url}/api/v1/nodes/{node}", NODE_CLIENT) == "200"


def test_kubelet_may_not_read_secrets_of_others(cluster, pair, secret):
    """A node reads only the Secrets of its own pods."""
    node, _ = pair
    assert status(cluster, node, "GET", cluster.api_url + secret, NODE_CLIENT) == "403"
    assert status(cluster, node, "GET", f"{cluster.api_url}/api/v1/secrets", NODE_CLIENT) == "403"
    assert status(cluster, cluster.deployer, "GET", cluster.api_url + secret, f"{PKI}/admin") == "200"


def test_kubelet_may_not_give_itself_a_role(cluster, pair):
    """NodeRestriction: no node-role label by the node itself."""
    node, _ = pair
    body = {"metadata": {"labels": {"node-role.kubernetes.io/test": "yes"}}}
    url = f"{cluster.api_url}/api/v1/nodes/{node}?dryRun=All"
    assert status(cluster, node, "PATCH", url, NODE_CLIENT, body) == "403"
    harmless = {"metadata": {"labels": {"example.org/test": "yes"}}}
    assert status(cluster, node, "PATCH", url, NODE_CLIENT, harmless) == "200"


def test_kubelet_may_not_change_other_nodes(cluster, pair):
    """A node labels or taints no other node."""
    node, other = pair
    body = {"metadata": {"labels": {"example.org/test": "yes"}}}
    url = f"{cluster.api_url}/api/v1/nodes/{other}?dryRun=All"
    assert status(cluster, node, "PATCH", url, NODE_CLIENT, body) == "403"


def test_flannel_may_not_change_other_nodes(cluster, pair):
    """The pod network's user of a node writes the status of that node alone."""
    node, other = pair
    body = {"metadata": {"annotations": {"example.org/test": "yes"}}}
    url = cluster.api_url + "/api/v1/nodes/{}/status?dryRun=All"
    assert status(cluster, node, "PATCH", url.format(node), f"{PKI}/flannel", body) == "200"
    assert status(cluster, node, "PATCH", url.format(other), f"{PKI}/flannel", body) == "403"
    assert status(cluster, node, "GET", f"{cluster.api_url}/api/v1/secrets", f"{PKI}/flannel") == "403"


def test_kubelets_refuse_strangers(cluster):
    """The kubelet's port wants a client certificate, and the right to use it; its read-only port is closed."""
    for node in cluster.kubelets:
        url = f"https://{cluster.address(node)}:10250"
        assert status(cluster, node, "GET", f"{url}/pods") == "401", node
        assert status(cluster, node, "GET", f"{url}/pods", f"{PKI}/flannel") == "403", node
        assert status(cluster, node, "GET", f"http://{cluster.address(node)}:10255/pods") == "000", node
    client = f"{PKI}/apiserver-kubelet-client"
    for node in cluster.kubelets:
        url = f"https://{cluster.address(node)}:10250/pods"
        assert status(cluster, cluster.deployer, "GET", url, client) == "200", node


def test_only_clients_of_etcd_reach_etcd(cluster):
    """etcd answers no one without a certificate of its own authority; a kubelet's is not enough."""
    for member in cluster.etcd:
        url = f"https://{cluster.address(member)}:2379/version"
        assert status(cluster, member, "GET", url) == "000", member
        ask = f"curl -sk -m 5 -o /dev/null -w '%{{http_code}}' --cert {NODE_CLIENT}.crt --key {NODE_CLIENT}.key {url}"
        assert cluster.shell(member, ask, check=False) == "000", member


def test_secrets_are_encrypted_at_rest(cluster, secret, namespace):
    """etcd holds a Secret sealed by secretbox; the word in it is nowhere to be read."""
    raw = cluster.etcdctl(cluster.etcd[0], "get", f"/registry/secrets/{namespace}/plain", "--print-value-only")
    assert raw.startswith("k8s:enc:secretbox:v1:"), raw[:40]
    assert "the-readable-word" not in raw
    value = cluster.get("secret", "plain", f"--namespace={namespace}")["data"]["word"]
    assert base64.b64decode(value) == b"the-readable-word"


def test_who_did_what_is_logged(cluster, secret, namespace):
    """The audit log names the making of the Secret, and not its content."""

    def logged():
        find = f"grep -h '/namespaces/{namespace}/secrets' /var/log/kubernetes/audit.log"
        return "".join(
            cluster.everywhere(lambda node: cluster.shell(node, find, check=False), cluster.masters).values()
        )

    text = eventually(logged, 15, f"the audit log of a master to name the Secret in {namespace}")
    assert '"user":{"username":"kubernetes-admin"' in text
    assert "the-readable-word" not in text and base64.b64encode(b"the-readable-word").decode() not in text
    folder = cluster.host(cluster.deployer).file("/var/log/kubernetes")
    assert (folder.mode, folder.user) == (0o700, "kube-apiserver")
