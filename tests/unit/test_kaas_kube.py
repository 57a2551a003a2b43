"""The Kubernetes client without a server: kubeconfigs, paths, and what is tried again."""

import base64
import json
import types

import kaas_kube
import pytest
import urllib3
import yaml


def kubeconfig(**changes):
    config = {
        "current-context": "one",
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u"}},
            {"name": "two", "context": {"cluster": "c", "user": "nobody"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443/"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    return {**config, **changes}


def write(path, config):
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_kubeconfig_with_paths_and_embedded_data(tmp_path):
    cluster = {"server": "https://10.0.0.1:6443/", "certificate-authority": "pki/ca.crt", "tls-server-name": "api"}
    user = {"client-certificate": "/abs/u.crt", "client-key-data": base64.b64encode(b"key").decode()}
    path = write(
        tmp_path / "config",
        kubeconfig(clusters=[{"name": "c", "cluster": cluster}], users=[{"name": "u", "user": user}]),
    )
    assert kaas_kube.load_kubeconfig(path) == {
        "server": "https://10.0.0.1:6443",
        "server_name": "api",
        "insecure": False,
        "token": None,
        "ca": {"file": str(tmp_path / "pki/ca.crt")},
        "cert": {"file": "/abs/u.crt"},
        "key": {"data": b"key"},
    }


@pytest.mark.parametrize(
    ("config", "context", "message"),
    [
        (kubeconfig(), "three", "no entry 'three' under 'contexts'"),
        (kubeconfig(), "two", "no entry 'nobody' under 'users'"),
        (kubeconfig(clusters=[]), None, "no entry 'c' under 'clusters'"),
        (kubeconfig(clusters=[{"name": "c", "cluster": {"server": "http://a"}}]), None, "https"),
        ({}, None, "no entry 'None' under 'contexts'"),
    ],
    ids=["unknown context", "unknown user", "unknown cluster", "no TLS", "empty"],
)
def test_kubeconfig_errors_name_file_and_place(tmp_path, config, context, message):
    path = write(tmp_path / "config", config)
    with pytest.raises(kaas_kube.KubeError, match=r"kubeconfig .*config: ") as error:
        kaas_kube.load_kubeconfig(path, context)
    assert message in str(error.value)
    assert not error.value.unreachable


def test_a_missing_kubeconfig_counts_as_unreachable(tmp_path):
    with pytest.raises(kaas_kube.KubeError, match="No such file") as error:
        kaas_kube.load_kubeconfig(str(tmp_path / "none"))
    assert error.value.unreachable


def test_a_broken_kubeconfig_is_not_quoted(tmp_path):
    (tmp_path / "config").write_text("token: [secret-token")
    with pytest.raises(kaas_kube.KubeError, match="is not YAML") as error:
        kaas_kube.load_kubeconfig(str(tmp_path / "config"))
    assert "secret-token" not in str(error.value)


def test_missing_certificate_files_are_named(tmp_path):
    user = {"client-certificate": "none.crt", "client-key": "none.key"}
    path = write(tmp_path / "config", kubeconfig(users=[{"name": "u", "user": user}]))
    with pytest.raises(kaas_kube.KubeError, match=r"none\.crt"):
        kaas_kube.client(path)


# -- requests -----------------------------------------------------------------------------------------------------


class Pool:
    """Answers in turn, the last one for ever; an exception is raised. Keeps the requests."""

    def __init__(self, answers):
        self.answers, self.requests = list(answers), []

    def urlopen(self, method, url, body=None, headers=None):
        self.requests.append((method, url, json.loads(body) if body else None))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, payload, *headers = answer
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return types.SimpleNamespace(status=status, data=data, headers=headers[0] if headers else {})


@pytest.fixture
def client(tmp_path, monkeypatch):
    """Return make(answers, patience) for a client on a Pool; time passes by sleeping only."""
    clock = types.SimpleNamespace(now=0.0, slept=[])

    def sleep(seconds):
        clock.slept.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(kaas_kube, "time", types.SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    path = write(tmp_path / "config", kubeconfig())

    def make(*answers, patience=20):
        made = kaas_kube.client(path, patience=patience)
        made._pool = Pool(answers)
        made.clock = clock
        return made

    return make


def status(code, reason="", message="no", **details):
    return code, {"kind": "Status", "reason": reason, "message": message, "details": details}


REFUSED = urllib3.exceptions.NewConnectionError("HTTPSConnection(host='10.0.0.1', port=6443)", "Connection refused")
OK = (200, {"ok": True})


@pytest.mark.parametrize(
    "first",
    [
        REFUSED,
        urllib3.exceptions.ProtocolError("reset"),
        status(429),
        status(503),
        (502, b"<html>"),
        status(500, message="failed calling webhook x"),
        status(500, message="etcdserver: leader changed"),
        status(409, "AlreadyExists"),
    ],
    ids=["refused", "reset", "throttled", "unavailable", "gateway", "webhook", "etcd", "creation race"],
)
def test_what_may_pass_is_tried_again(client, first):
    kube = client(first, OK)
    assert kube.request("GET", "/x") == {"ok": True}
    assert len(kube._pool.requests) == 2


@pytest.mark.parametrize(
    ("answer", "tries"),
    [
        (status(400), 1),
        (status(403, "Forbidden"), 1),
        (status(404, "NotFound"), 1),
        (status(422, "Invalid"), 1),
        (status(409, "Conflict", causes=[{"field": ".spec.replicas"}]), 1),
        (status(500, "InternalError"), 3),
        (status(409, "Conflict"), 5),
    ],
    ids=["bad", "forbidden", "not found", "invalid", "field conflict", "internal", "conflict"],
)
def test_what_will_not_pass_ends_soon(client, answer, tries):
    kube = client(answer)
    with pytest.raises(kaas_kube.KubeError, match="no") as error:
        kube.request("GET", "/x")
    assert len(kube._pool.requests) == tries
    assert error.value.status == answer[0]
    assert error.value.reason == answer[1]["reason"]


@pytest.mark.parametrize("meta", [{"uid": "u"}, {"resourceVersion": "1"}], ids=["uid", "resourceVersion"])
def test_a_refusal_that_was_asked_for_is_not_tried_again(client, meta):
    kube = client(status(409, "Conflict"))
    with pytest.raises(kaas_kube.KubeError):
        kube.request("PATCH", "/x", body={"metadata": meta})
    assert len(kube._pool.requests) == 1


@pytest.mark.parametrize("patience", [0, 1, 7])
def test_patience_bounds_the_time(client, patience):
    kube = client(REFUSED, patience=patience)
    with pytest.raises(
        kaas_kube.KubeError, match=r"https://10.0.0.1:6443 does not answer: Connection refused"
    ) as error:
        kube.request("GET", "/x")
    assert error.value.unreachable
    assert kube.clock.now <= patience
    assert max(kube.clock.slept, default=0) <= 1


def test_retry_after_is_heard_but_not_for_ever(client):
    kube = client((429, {}, {"Retry-After": "3"}), (429, {}, {"Retry-After": "3600"}), OK)
    kube.request("GET", "/x")
    assert kube.clock.slept == [3, 5]


def test_wait_ready_waits_for_the_servers_own_checks(client):
    kube = client(REFUSED, (500, b"[-]poststarthook/x failed"), (200, b"ok"))
    assert kube.wait_ready(10) == "ok"
    kube = client((500, b"[-]poststarthook/x failed"))
    with pytest.raises(kaas_kube.KubeError, match="is not ready") as error:
        kube.wait_ready(2)
    assert error.value.unreachable


# -- discovery ----------------------------------------------------------------------------------------------------

APPS = (
    200,
    {
        "resources": [
            {"name": "deployments", "kind": "Deployment", "namespaced": True},
            {"name": "deployments/scale", "kind": "Scale", "namespaced": True},
        ]
    },
)
CORE = (200, {"resources": [{"name": "nodes", "kind": "Node", "namespaced": False}]})


@pytest.mark.parametrize(
    ("answer", "arguments", "url"),
    [
        (APPS, ("apps/v1", "Deployment"), "/apis/apps/v1/deployments"),
        (APPS, ("apps/v1", "Deployment", "ns"), "/apis/apps/v1/namespaces/ns/deployments"),
        (APPS, ("apps/v1", "Deployment", "ns", "d"), "/apis/apps/v1/namespaces/ns/deployments/d"),
        (CORE, ("v1", "Node", None, "m1"), "/api/v1/nodes/m1"),
        (CORE, ("v1", "Node", None, "a:b/c"), "/api/v1/nodes/a%3Ab%2Fc"),
    ],
    ids=["all namespaces", "one namespace", "one object", "cluster-wide", "escaped"],
)
def test_url(client, answer, arguments, url):
    kube = client(answer)
    assert kube.url(*arguments) == url
    assert kube.url(*arguments) == url
    assert len(kube._pool.requests) == 1, "discovery is asked once"


@pytest.mark.parametrize(
    ("answer", "arguments", "message"),
    [
        (APPS, ("apps/v1", "Deployment", None, "d"), "Deployment d: metadata.namespace is missing"),
        (CORE, ("v1", "Node", "ns", "m1"), "Node m1: has no namespace"),
        (APPS, ("apps/v1", "Scale"), "no kind Scale in apps/v1"),
        (status(404), ("nope/v1", "X"), "does not serve nope/v1"),
    ],
    ids=["namespace missing", "namespace too much", "unknown kind", "unknown version"],
)
def test_url_errors(client, answer, arguments, message):
    with pytest.raises(kaas_kube.KubeError, match=message):
        client(answer).url(*arguments)


def test_list_follows_pages_and_says_what_the_items_are(client):
    def page(name, token):
        return 200, {"metadata": {"continue": token}, "items": [{"metadata": {"name": name}}]}

    kube = client(CORE, page("a", "t"), page("b", ""))
    found = kube.list("v1", "Node", labels="x=y")
    assert [(item["kind"], item["metadata"]["name"]) for item in found] == [("Node", "a"), ("Node", "b")]
    assert kube._pool.requests[2][1] == "/api/v1/nodes?limit=500&labelSelector=x%3Dy&continue=t"


def test_delete_spares_a_namesake(client):
    kube = client(CORE, OK)
    kube.delete({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "m1", "uid": "u1"}})
    assert kube._pool.requests[1][2] == {"propagationPolicy": "Background", "preconditions": {"uid": "u1"}}
    gone = client(CORE, status(404, "NotFound"))
    gone.delete({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "m1"}})
