"""Users of an OpenID Connect issuer, and what they may do: both from the cluster file, without a restart, gone when it says so no more."""

import contextlib
import copy
import json
import time
import urllib.error
import urllib.request

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from oidc import PORT, SERVE, Issuer
from polling import DIRECT, eventually, verifying

FOLDER = "/run/kaas-test-oidc"
UNIT = "kaas-test-oidc"
WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


@pytest.fixture(scope="module")
def issuer(cluster):
    """An issuer that runs on the Salt master's machine."""
    address = cluster.address("salt")
    found = Issuer(address)
    cluster.exec("salt", "systemctl", "stop", UNIT, check=False)
    cluster.exec("salt", "install", "--directory", "--mode=0700", f"{FOLDER}/www/.well-known")
    cluster.exec("salt", "dd", "status=none", f"of={FOLDER}/tls.pem", stdin=found.tls)
    for path, document in found.documents().items():
        cluster.exec("salt", "dd", "status=none", f"of={FOLDER}/www/{path}", stdin=json.dumps(document))
    python = ["python3", "-c", SERVE, FOLDER, address, str(PORT)]
    cluster.exec("salt", "systemd-run", "--quiet", f"--unit={UNIT}", *python)
    yield found
    cluster.exec("salt", "systemctl", "stop", UNIT)
    cluster.exec("salt", "rm", "-r", FOLDER)


def processes(cluster):
    """When each API server was started."""
    script = "systemctl show kube-apiserver -p ExecMainStartTimestamp --value"
    return cluster.everywhere(lambda node: cluster.shell(node, script), cluster.masters)


@pytest.fixture(scope="module")
def users(cluster, issuer, namespace):
    """The cluster file names the issuer and binds its users; afterwards it is the old one again."""
    document = copy.deepcopy(cluster.file.raw)
    document["cluster"]["authentication"] = {
        "jwt": [
            {
                "issuer": {"url": issuer.url, "audiences": ["kaas-test"], "certificateAuthority": issuer.authority},
                "claimMappings": {
                    "username": {"claim": "sub", "prefix": "oidc:"},
                    "groups": {"claim": "groups", "prefix": "oidc:"},
                },
                "claimValidationRules": [{"expression": "!has(claims.guest)", "message": "no guests"}],
            }
        ]
    }
    document["cluster"]["rbac"] = {
        "bindings": [
            {"name": "test-viewers", "cluster_role": "view", "groups": ["oidc:viewers"]},
            {"name": "test-editors", "cluster_role": "edit", "namespace": namespace, "users": ["oidc:jane"]},
        ]
    }
    before = processes(cluster)
    path = f"/srv/kaas/pillar/clusters/{cluster.name}.sls"
    with contextlib.ExitStack() as stack:
        stack.enter_context(cluster.replaced("salt", path, yaml.safe_dump(document, sort_keys=False)))
        predicted = cluster.highstate(cluster.masters, test=True).assert_fine()
        assert "kube-apiserver.service" not in "\n".join(predicted.changed())
        applied = cluster.highstate(cluster.masters).assert_fine()
        yield {"changed": "\n".join(applied.changed()), "before": before, "issuer": issuer}
    cluster.highstate(cluster.masters).assert_fine()


def ask(cluster, token, method, path, body=None, node=None):
    """``(HTTP status, answer)`` of a request with a bearer token."""
    server = f"https://{cluster.address(node)}:6443" if node else cluster.api_url
    request = urllib.request.Request(server + path, method=method, headers={"Authorization": f"Bearer {token}"})
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    opener = urllib.request.build_opener(
        DIRECT, urllib.request.HTTPSHandler(context=verifying(cluster.api(cluster.deployer).ca))
    )
    try:
        with opener.open(request, timeout=5) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def whoami(cluster, token, node=None):
    """What the API calls the holder of a token; NotYet-like failure while it is refused."""
    status, answer = ask(cluster, token, "POST", WHOAMI, REVIEW, node)
    assert status == 201, answer.get("message")
    return answer["status"]["userInfo"]


def test_users_come_in_without_a_restart(cluster, users):
    """Every API server takes the issuer's tokens, with user and groups by the mapping, and none was restarted for it."""
    token = users["issuer"].token(groups=["viewers", "others"])
    for node in cluster.masters:
        found = eventually(lambda node=node: whoami(cluster, token, node), 120, f"{node} to know the issuer", every=1)
        assert found["username"] == "oidc:jane"
        assert set(found["groups"]) == {"oidc:viewers", "oidc:others", "system:authenticated"}
    assert processes(cluster) == users["before"]
    assert "bindings" in users["changed"] and "authentication.yaml" in users["changed"]


def test_bindings_of_the_cluster_file(cluster, users, namespace):
    """A group's right in the whole cluster, a user's right in one namespace, and nothing else."""
    viewer = users["issuer"].token(sub="joe", groups=["viewers"])
    jane, stranger = users["issuer"].token(), users["issuer"].token(sub="stranger")
    eventually(lambda: whoami(cluster, jane), 120, "the API to know the issuer", every=1)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "jane"}}

    def status(token, method, path, body=None):
        return ask(cluster, token, method, path, body)[0]

    assert status(viewer, "GET", "/api/v1/pods") == 200
    assert status(viewer, "GET", "/api/v1/secrets") == 403
    assert status(jane, "POST", f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All", config) == 201
    assert status(jane, "POST", "/api/v1/namespaces/default/configmaps?dryRun=All", config) == 403
    assert status(jane, "GET", "/api/v1/pods") == 403
    assert status(stranger, "GET", f"/api/v1/namespaces/{namespace}/configmaps") == 403


FORGED = {
    "for another audience": {"aud": "somebody-else"},
    "expired": {"exp": time.time() - 60},
    "not yet valid": {"nbf": time.time() + 7200, "iat": time.time() + 7200},
    "of another issuer": {"iss": "https://issuer.example.com"},
    "signed by another key": {"key": rsa.generate_private_key(65537, 2048)},
    "not signed": {"algorithm": "none"},
    "refused by a rule of the cluster file": {"guest": True},
}


@pytest.mark.parametrize("kind", FORGED)
def test_bad_tokens_are_refused(cluster, users, kind):
    """401 for each of them, beside a good one that is taken."""
    eventually(lambda: whoami(cluster, users["issuer"].token()), 120, "the API to know the issuer", every=1)
    assert ask(cluster, users["issuer"].token(**FORGED[kind]), "POST", WHOAMI, REVIEW)[0] == 401


@pytest.mark.parametrize("group", ["system:masters", "kubeadm:cluster-admins", "viewers\nsystem:masters"])
def test_a_claimed_group_is_not_kubernetes_own(cluster, users, group):
    """The issuer's groups live behind a prefix: who claims to be an administrator is none."""
    token = users["issuer"].token(sub="system:admin", groups=[group])
    found = eventually(lambda: whoami(cluster, token), 120, "the API to know the issuer", every=1)
    assert found["username"] == "oidc:system:admin"
    assert set(found["groups"]) == {f"oidc:{group}", "system:authenticated"}
    assert ask(cluster, token, "GET", "/api/v1/secrets")[0] == 403
    assert ask(cluster, token, "GET", "/api/v1/nodes")[0] == 403
