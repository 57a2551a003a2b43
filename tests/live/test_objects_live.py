"""The object states against a real kube-apiserver and etcd on loopback (no kubelet, no controllers).

The programs come from the artifact repository (build/artifacts, or the folder named by KAAS_ARTIFACTS); without them
the tests are skipped. Everything is started, certified and stopped by the fixture, on free ports.
"""

import base64
import datetime
import ipaddress
import os
import pathlib
import re
import socket
import subprocess
import time

import formula
import pytest
import salt.config
import salt.loader
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
ARTIFACTS = pathlib.Path(os.environ.get("KAAS_ARTIFACTS", ROOT / "build/artifacts"))
SECRET = "correct-horse-battery"


def program(name, artifact):
    """Return the newest built version of a program of the 1.36 line, or skip."""
    found = sorted(ARTIFACTS.glob(f"{artifact}/*/linux-amd64/{name}"))
    if not found:
        pytest.skip(f"{name} is not built yet: make artifacts")
    return found[0]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# -- an API server ------------------------------------------------------------------------------------------------


def certify(folder):
    """Write ca, server and client (system:masters) certificates and a service account key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.datetime.now(datetime.UTC)

    def write(name, key, cert):
        plain = serialization.NoEncryption()
        pem = serialization.Encoding.PEM
        (folder / f"{name}.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        if cert:
            (folder / f"{name}.crt").write_bytes(cert.public_bytes(pem))

    def issue(name, subject, issuer_key, issuer, extensions):
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.Name([x509.NameAttribute(kind, text) for kind, text in subject])
        builder = x509.CertificateBuilder(
            issuer.subject if issuer else names, names, key.public_key(), x509.random_serial_number(), now,
            now + datetime.timedelta(days=1),
        )  # fmt: skip
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        cert = builder.sign(issuer_key or key, hashes.SHA256())
        write(name, key, cert)
        return key, cert

    key, ca = issue("ca", [(NameOID.COMMON_NAME, "test-ca")], None, None, [(x509.BasicConstraints(True, None), True)])
    local = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    serving = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    extensions = [(x509.SubjectAlternativeName([local]), False), (serving, False)]
    issue("server", [(NameOID.COMMON_NAME, "kube-apiserver")], key, ca, extensions)
    usage = [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)]
    admin = [(NameOID.ORGANIZATION_NAME, "system:masters"), (NameOID.COMMON_NAME, "admin")]
    issue("admin", admin, key, ca, usage)
    key = ec.generate_private_key(ec.SECP256R1())
    write("sa", key, None)
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "sa.pub").write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, public))


def write_kubeconfig(path, folder, server, embedded):
    """Write a kubeconfig for the admin: certificates by relative path, or embedded."""

    def part(key, name):
        if embedded:
            return {f"{key}-data": base64.b64encode((folder / name).read_bytes()).decode()}
        return {key: name}

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "clusters": [{"name": "test", "cluster": {"server": server, **part("certificate-authority", "ca.crt")}}],
        "users": [
            {"name": "admin", "user": {**part("client-certificate", "admin.crt"), **part("client-key", "admin.key")}}
        ],
    }
    path.write_text(yaml.safe_dump(config))


def wait_for_port(port, running, folder, timeout=60):
    """Wait until something listens; fail at once, with the end of its log, when a program has ended."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for name, process in running.items():
            if process.poll() is not None:
                pytest.fail(f"{name} ended: {(folder / f'{name}.log').read_text()[-2000:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"nothing listens on port {port} after {timeout} s")


@pytest.fixture(scope="session")
def api(tmp_path_factory):
    """Start etcd and kube-apiserver; yield the folder that has kubeconfig and embedded.kubeconfig."""
    etcd, apiserver = program("etcd", "etcd"), program("kube-apiserver", "kubernetes")
    folder = tmp_path_factory.mktemp("api")
    certify(folder)
    client, peer, secure = free_port(), free_port(), free_port()
    server = f"https://127.0.0.1:{secure}"
    write_kubeconfig(folder / "kubeconfig", folder, server, embedded=False)
    write_kubeconfig(folder / "embedded.kubeconfig", folder, server, embedded=True)
    commands = {
        "etcd": [
            etcd,
            f"--data-dir={folder}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{client}",
            f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        ],
        "kube-apiserver": [
            apiserver,
            f"--etcd-servers=http://127.0.0.1:{client}",
            "--bind-address=127.0.0.1",
            f"--secure-port={secure}",
            f"--tls-cert-file={folder}/server.crt",
            f"--tls-private-key-file={folder}/server.key",
            f"--client-ca-file={folder}/ca.crt",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            # no controller manager makes the default service accounts here
            "--disable-admission-plugins=ServiceAccount",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder}/sa.pub",
            f"--service-account-signing-key-file={folder}/sa.key",
            "--allow-privileged=true",
        ],
    }
    running = {}
    try:
        for name, command in commands.items():
            with open(folder / f"{name}.log", "wb") as log:
                running[name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        wait_for_port(secure, running, folder)
        yield folder
    finally:
        for process in reversed(running.values()):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


# -- Salt ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def loaders(tmp_path_factory):
    """Return Salt's real state loader, for test=False and test=True, over the formula's own folders."""
    base = tmp_path_factory.mktemp("salt")
    found = {}
    for test in (False, True):
        opts = salt.config.DEFAULT_MINION_OPTS.copy()
        opts.update(
            id="m1", test=test, file_client="local", root_dir=str(base), cachedir=str(base / "cache"),
            extension_modules=str(base / "extmods"), grains={}, pillar={}, utils_dirs=[str(ROOT / "_utils")],
            states_dirs=[str(ROOT / "_states")], module_dirs=[str(ROOT / "salt")], conf_file=str(base / "minion"),
        )  # fmt: skip
        utils = salt.loader.utils(opts)
        functions = salt.loader.minion_mods(opts, utils=utils)
        functions.pack["__utils__"] = utils
        states = salt.loader.states(opts, functions, utils, None)
        found[test] = {"states": states, "modules": functions, "utils": utils, "opts": opts}
    return found


@pytest.fixture(scope="session")
def kube(api, loaders):
    client = loaders[False]["utils"]["kaas_kube.client"](str(api / "kubeconfig"))
    client.wait_ready(60)
    return client


@pytest.fixture
def state(api, kube, loaders):
    """Return call(function, *args, test=False, **kwargs) for a function of kaas_object against the test API."""

    def call(function, *args, test=False, **kwargs):
        kwargs.setdefault("kubeconfig", str(api / "kubeconfig"))
        kwargs.setdefault("timeout", 15)
        ret = loaders[test]["states"][f"kaas_object.{function}"](*args, **kwargs)
        assert set(ret) == {"name", "changes", "result", "comment"}
        return ret

    return call


@pytest.fixture
def namespace(kube, request):
    """A namespace of its own for each test."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-")
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


# -- objects ------------------------------------------------------------------------------------------------------


def config_map(name, namespace, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def deployment(name, namespace, replicas=2):
    labels = {"app": name}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}},
    }
    if replicas is None:
        del spec["replicas"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def crd(plural, kind):
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.test.kaas.local"},
        "spec": {
            "group": "test.kaas.local",
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [version],
        },
    }


def set_status(kube, obj, status):
    """Play the controller: write the status of an object."""
    path = kube.url(obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"])
    kube.request("PATCH", f"{path}/status", body={"status": status}, content_type="application/merge-patch+json")


def test_applied_twice_changes_nothing(state, kube, namespace):
    objects = [config_map(f"c{number}", namespace, x="1") for number in range(16)]
    objects += [deployment(f"d{number}", namespace) for number in range(4)]
    first = state("applied", "twice", objects)
    assert first["result"] is True and len(first["changes"]) == 21, first
    before = {obj["metadata"]["name"]: obj for obj in kube.list("v1", "ConfigMap", namespace)}
    second = state("applied", "twice", objects)
    assert (second["result"], second["changes"]) == (True, {})
    after = {obj["metadata"]["name"]: obj for obj in kube.list("v1", "ConfigMap", namespace)}
    assert before == after


def test_one_connection_serves_everything(api, loaders, kube, namespace):
    client = loaders[False]["utils"]["kaas_kube.client"](str(api / "kubeconfig"))
    for number in range(5):
        client.apply(config_map(f"c{number}", namespace, x="1"))
    assert client._pool.num_connections == 1


def test_test_mode_predicts_creation_and_creates_nothing(state, kube):
    objects = [
        config_map("a", "not-there-yet", x="1"),
        {"apiVersion": "test.kaas.local/v1", "kind": "Planned", "metadata": {"name": "p", "namespace": "default"}},
        crd("planneds", "Planned"),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "not-there-yet"}},
    ]
    ret = state("applied", "plan", objects, test=True)
    assert ret["result"] is None, ret
    assert set(ret["changes"]) == {
        "ConfigMap kube-system/kaas-plan",
        "ConfigMap not-there-yet/a",
        "Planned default/p",
        "CustomResourceDefinition planneds.test.kaas.local",
        "Namespace not-there-yet",
    }
    assert kube.get("v1", "Namespace", "not-there-yet") is None
    assert kube.get("v1", "ConfigMap", "kaas-plan", "kube-system") is None


def test_test_mode_predicts_changes_and_changes_nothing(state, kube, namespace):
    state("applied", "predict", [deployment("d", namespace), config_map("old", namespace, x="1")])
    wanted = deployment("d", namespace, replicas=3)
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "i:2"
    ret = state("applied", "predict", [wanted], test=True)
    assert ret["result"] is None
    assert ret["changes"] == {
        f"Deployment {namespace}/d": {"changed": ["spec.replicas", "spec.template.spec.containers[c].image"]},
        f"ConfigMap {namespace}/old": {"deleted": True},
    }
    assert kube.get("apps/v1", "Deployment", "d", namespace)["spec"]["replicas"] == 2
    assert kube.get("v1", "ConfigMap", "old", namespace)
    assert state("applied", "predict", [wanted])["changes"] == ret["changes"]  # the prediction was right
    assert state("applied", "predict", [wanted], test=True)["result"] is True


def test_namespace_and_crd_come_first(state, kube):
    objects = [
        {"apiVersion": "test.kaas.local/v1", "kind": "Fresh", "metadata": {"name": "f", "namespace": "fresh"}},
        config_map("a", "fresh", x="1"),
        crd("freshes", "Fresh"),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "fresh"}},
    ]
    ret = state("applied", "fresh", objects)
    assert ret["result"] is True and len(ret["changes"]) == 5, ret
    assert state("applied", "fresh", objects)["changes"] == {}


def test_drift_is_repaired_and_foreign_fields_stay(state, kube, namespace):
    objects = [config_map("a", namespace, x="1"), config_map("gone", namespace)]
    state("applied", "drift", objects)
    kube.merge("v1", "ConfigMap", "a", {"data": {"x": "changed", "theirs": "kept"}}, namespace, manager="someone")
    kube.delete(objects[1])
    ret = state("applied", "drift", objects)
    assert ret["changes"] == {
        f"ConfigMap {namespace}/a": {"changed": ["data.x"]},
        f"ConfigMap {namespace}/gone": {"created": True},
    }
    assert kube.get("v1", "ConfigMap", "a", namespace)["data"] == {"x": "1", "theirs": "kept"}


def test_status_is_no_change(state, kube, namespace):
    wanted = deployment("d", namespace)
    state("applied", "status", [wanted])
    set_status(kube, wanted, {"replicas": 1})
    assert state("applied", "status", [wanted])["changes"] == {}


def test_prune(state, kube, namespace):
    keep, leave = config_map("keep", namespace), deployment("leave", namespace)
    state("applied", "prune", [keep, leave])
    state("applied", "other", [config_map("others", namespace)])
    kube.apply(config_map("nobodys", namespace), manager="someone")
    kept = state("applied", "prune", [keep], prune=False)
    assert kept["changes"] == {}
    ret = state("applied", "prune", [keep])
    assert ret["changes"] == {f"Deployment {namespace}/leave": {"deleted": True}}
    assert {obj["metadata"]["name"] for obj in kube.list("v1", "ConfigMap", namespace)} >= {"keep", "others", "nobodys"}
    parent = kube.get("v1", "ConfigMap", "kaas-prune", "kube-system")["metadata"]
    assert parent["annotations"]["applyset.kubernetes.io/contains-group-kinds"] == "ConfigMap"
    assert parent["annotations"]["applyset.kubernetes.io/additional-namespaces"] == namespace
    assert state("applied", "prune", [keep])["changes"] == {}


def test_a_bad_object_is_named_the_others_are_applied_and_nothing_is_pruned(state, kube, namespace):
    state("applied", "bad", [config_map("leave", namespace)])
    bad = deployment("wrong", namespace)
    bad["spec"]["replicaz"] = 3
    homeless = config_map("homeless", namespace)
    del homeless["metadata"]["namespace"]
    ret = state("applied", "bad", [bad, homeless, config_map("good", namespace)])
    assert ret["result"] is False
    assert f"Deployment {namespace}/wrong: " in ret["comment"] and "replicaz" in ret["comment"]
    assert "ConfigMap homeless: metadata.namespace is missing" in ret["comment"]
    assert ret["changes"] == {f"ConfigMap {namespace}/good": {"created": True}}
    assert kube.get("v1", "ConfigMap", "leave", namespace)


def test_an_unknown_kind_is_named(state):
    thing = {"apiVersion": "nowhere.kaas.local/v1", "kind": "Thing", "metadata": {"name": "t"}}
    ret = state("applied", "unknown", [thing])
    assert ret["result"] is False and "Thing t: the API does not serve nowhere.kaas.local/v1" in ret["comment"]


@pytest.mark.parametrize("bad", [False, True])
@pytest.mark.parametrize("test", [False, True])
def test_secret_values_never_leave(state, kube, namespace, bad, test):
    def secret(value):
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s", "namespace": namespace},
            "stringData": {"password": value},
        }

    state("applied", "secret", [secret("first")])
    wanted = secret([SECRET] if bad else SECRET)
    ret = state("applied", "secret", [wanted], test=test)
    text = str(ret)
    assert SECRET not in text and base64.b64encode(SECRET.encode()).decode() not in text
    if bad:
        assert ret["result"] is False and f"Secret {namespace}/s: refused" in ret["comment"]
    else:
        assert ret["changes"] == {f"Secret {namespace}/s": {"changed": ["data.password"]}}


def test_the_module_masks_secrets(api, loaders, kube, namespace):
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s", "namespace": namespace},
            "stringData": {"password": SECRET},
        }
    )
    modules, path = loaders[False]["modules"], str(api / "kubeconfig")
    shown = modules["kaas_kube.get"]("Secret", "s", namespace, kubeconfig=path)
    assert shown["data"] == {"password": "**********"}
    assert modules["kaas_kube.get"]("Deployment.apps", "none", namespace, kubeconfig=path) is None
    assert f"{namespace}/s" in modules["kaas_kube.names"]("Secret", kubeconfig=path)
    assert modules["kaas_kube.ready"](kubeconfig=path) is True
    assert "does not answer" in modules["kaas_kube.ready"](kubeconfig=str(unreachable(api)))


def unreachable(api):
    path = api / "unreachable.kubeconfig"
    write_kubeconfig(path, api, f"https://127.0.0.1:{free_port()}", embedded=False)
    return path


def test_members(api, loaders, state, namespace):
    state("applied", "members", [config_map("a", namespace), deployment("d", namespace)])
    found = loaders[False]["modules"]["kaas_kube.members"]("members", kubeconfig=str(api / "kubeconfig"))
    assert found == [f"ConfigMap {namespace}/a", f"Deployment {namespace}/d"]


def test_wait(state, kube, namespace):
    wanted = deployment("d", namespace)
    wait = [{"kind": "Deployment", "name": "d", "namespace": namespace}]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "d-1", "namespace": namespace, "labels": {"app": "d"}},
        "spec": {"containers": [{"name": "c", "image": "i:1"}]},
    }
    kube.apply(pod, manager="someone")
    waiting = {"name": "c", "image": "i:1", "imageID": "", "ready": False, "restartCount": 0}
    set_status(kube, pod, {"containerStatuses": [{**waiting, "state": {"waiting": {"reason": "ErrImagePull"}}}]})
    ret = state("applied", "wait", [wanted], wait=wait, timeout=2)
    assert ret["result"] is False and "Not ready after 2 s" in ret["comment"]
    assert ret["changes"]  # what was done is told all the same
    assert f"Deployment {namespace}/d: 0 of 2 replicas updated and available" in ret["comment"]
    assert "d-1: ErrImagePull" in ret["comment"]
    assert state("ready", "x", wait, test=True)["result"] is None
    late = state("ready", "x", wait, timeout=1, optional=True)
    assert late["result"] is True and "0 of 2" in late["comment"]
    live = kube.get("apps/v1", "Deployment", "d", namespace)
    done = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
    set_status(kube, wanted, {**done, "observedGeneration": live["metadata"]["generation"]})
    ret = state("applied", "wait", [wanted], wait=wait, timeout=2)
    assert (ret["result"], ret["changes"]) == (True, {}) and "Ready" in ret["comment"]


def test_wait_for_a_condition(state):
    wait = [{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "name": "v1.apps"}]
    wait[0]["condition"] = "Available"
    assert state("ready", "x", wait)["result"] is True
    wait[0]["name"] = "v1.none"
    ret = state("ready", "x", wait, timeout=1)
    assert ret["result"] is False and "APIService v1.none: does not exist" in ret["comment"]
    assert state("ready", "x", [{"kind": "Pod"}])["comment"] == "wait[0]: no name"


def test_absent(state, kube, namespace):
    objects = [config_map("a", namespace), deployment("d", namespace), crd("passings", "Passing")]
    state("applied", "passing", objects)
    planned = state("absent", "passing", test=True)
    assert planned["result"] is None and kube.get("v1", "ConfigMap", "a", namespace)
    ret = state("absent", "passing")
    assert ret["result"] is True, ret
    assert ret["changes"] == planned["changes"] and len(ret["changes"]) == 4
    assert kube.get("v1", "ConfigMap", "a", namespace) is None
    assert kube.get("v1", "ConfigMap", "kaas-passing", "kube-system") is None
    again = state("absent", "passing")
    assert (again["result"], again["changes"]) == (True, {})


def test_absent_waits_no_longer_than_asked(state, kube, namespace):
    held = config_map("held", namespace)
    held["metadata"]["finalizers"] = ["test.kaas.local/hold"]
    state("applied", "held", [held])
    ret = state("absent", "held", timeout=1)
    assert ret["result"] is False
    assert ret["comment"] == f"ConfigMap {namespace}/held: still being deleted, held by test.kaas.local/hold"
    assert kube.get("v1", "ConfigMap", "kaas-held", "kube-system")  # it still knows what is left
    kube.merge("v1", "ConfigMap", "held", {"metadata": {"finalizers": None}}, namespace)
    assert state("absent", "held")["result"] is True


def test_another_sets_object_is_not_taken(state, kube, namespace):
    state("applied", "mine", [config_map("a", namespace, x="1")])
    ret = state("applied", "yours", [config_map("a", namespace, x="2")])
    assert ret["result"] is False and "belongs to another set" in ret["comment"]
    assert kube.get("v1", "ConfigMap", "a", namespace)["data"] == {"x": "1"}


def test_without_force_a_conflict_is_an_error(state, kube, namespace):
    kube.apply(config_map("a", namespace, x="1"), manager="someone")
    ret = state("applied", "force", [config_map("a", namespace, x="2")], force=False)
    assert ret["result"] is False and "someone" in ret["comment"] and ".data.x" in ret["comment"]
    ret = state("applied", "force", [config_map("a", namespace, x="2")])
    assert ret["result"] is True and "data.x" in str(ret["changes"])


def scale(kube, name, namespace, replicas):
    """Play the autoscaler."""
    path = kube.url("apps/v1", "Deployment", namespace, name)
    body = {"spec": {"replicas": replicas}}
    query = {"fieldManager": "autoscaler"}
    kube.request("PATCH", f"{path}/scale", query, body, content_type="application/merge-patch+json")


def test_initial_values_are_given_once(state, kube, namespace):
    wanted, initial = deployment("d", namespace, replicas=None), [deployment("d", namespace, replicas=3)]
    initial[0]["spec"] = {"replicas": 3}

    def replicas():
        return kube.get("apps/v1", "Deployment", "d", namespace)["spec"]["replicas"]

    state("applied", "initial", [wanted], initial=initial)
    assert replicas() == 3
    scale(kube, "d", namespace, 5)
    again = state("applied", "initial", [wanted], initial=initial)
    assert (again["changes"], replicas()) == ({}, 5)


def test_giving_up_a_field_keeps_its_value(state, kube, namespace):
    state("applied", "give", [deployment("d", namespace, replicas=3)])
    initial = [{**deployment("d", namespace), "spec": {"replicas": 3}}]
    ret = state("applied", "give", [deployment("d", namespace, replicas=None)], initial=initial)
    assert ret["result"] is True
    assert kube.get("apps/v1", "Deployment", "d", namespace)["spec"]["replicas"] == 3
    scale(kube, "d", namespace, 4)
    state("applied", "give", [deployment("d", namespace, replicas=None)], initial=initial)
    assert kube.get("apps/v1", "Deployment", "d", namespace)["spec"]["replicas"] == 4


def node(name):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"theirs": "1"}}}


def test_node_labels_and_taints(state, kube):
    kube.apply(node("m1"), manager="kubelet")
    theirs = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}
    own = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    kube.merge("v1", "Node", "m1", {"spec": {"taints": [theirs]}})
    wanted = {"m1": {"labels": {"node-role.kubernetes.io/control-plane": "", "zone": "a"}, "taints": [own]}}
    planned = state("node_labels", "n", wanted, test=True)
    assert planned["result"] is None and "zone" not in kube.get("v1", "Node", "m1")["metadata"]["labels"]
    ret = state("node_labels", "n", wanted)
    assert ret["result"] is True and ret["changes"] == planned["changes"], ret
    live = kube.get("v1", "Node", "m1")
    assert live["metadata"]["labels"] == {"theirs": "1", "node-role.kubernetes.io/control-plane": "", "zone": "a"}
    assert [taint["key"] for taint in live["spec"]["taints"]] == [theirs["key"], own["key"]]
    again = state("node_labels", "n", wanted)
    assert (again["result"], again["changes"]) == (True, {})
    ret = state("node_labels", "n", {"m1": {"labels": {"zone": "b"}, "taints": []}})
    live = kube.get("v1", "Node", "m1")
    assert live["metadata"]["labels"] == {"theirs": "1", "zone": "b"}
    assert [taint["key"] for taint in live["spec"]["taints"]] == [theirs["key"]]
    assert "metadata.labels[zone]" in ret["changes"]["Node m1"]


def test_node_labels_never_create_a_node(state, kube, loaders):
    ret = state("node_labels", "n", {"w9": {"labels": {"a": "b"}}}, timeout=1)
    assert ret["result"] is False and "not registered after 1 s: w9" in ret["comment"]
    assert state("node_labels", "n", {"w9": {"labels": {"a": "b"}}}, test=True)["result"] is None
    gone = {**node("w9"), "metadata": {"name": "w9", "uid": "11111111-2222-3333-4444-555555555555"}}
    with pytest.raises(kube.Error):
        kube.apply(gone)
    assert kube.get("v1", "Node", "w9") is None


@pytest.mark.parametrize("missing", ["kubeconfig", "api"])
def test_before_the_api_exists(state, api, missing):
    path = str(unreachable(api)) if missing == "api" else str(api / "none.kubeconfig")
    objects = [config_map("a", "default")]
    for function, args in (
        ("applied", ["early", objects]),
        ("absent", ["early"]),
        ("ready", ["early", [{"kind": "Pod", "name": "p", "namespace": "default"}]]),
        ("node_labels", ["early", {"m1": {}}]),
    ):
        ret = state(function, *args, kubeconfig=path, test=True)
        assert (ret["result"], ret["changes"]) == (None, {}), ret
        ret = state(function, *args, kubeconfig=path, timeout=1)
        assert ret["result"] is False and ret["changes"] == {}
        assert path in ret["comment"] or "does not answer" in ret["comment"]


def test_embedded_kubeconfig(state, api, namespace):
    ret = state("applied", "embedded", [config_map("a", namespace)], kubeconfig=str(api / "embedded.kubeconfig"))
    assert ret["result"] is True


def test_a_foreign_ca_is_an_error_at_once(state, api, tmp_path):
    certify(tmp_path)
    config = yaml.safe_load((api / "kubeconfig").read_text())
    write_kubeconfig(tmp_path / "kubeconfig", tmp_path, config["clusters"][0]["cluster"]["server"], embedded=False)
    started = time.monotonic()
    ret = state("ready", "x", [{"kind": "Pod", "name": "p"}], kubeconfig=str(tmp_path / "kubeconfig"))
    assert ret["result"] is False and "certificate is not accepted" in ret["comment"]
    assert time.monotonic() - started < 3


# -- the formula's own objects ------------------------------------------------------------------------------------

SLS = ["rbac", "sdn.flannel", "nodes", "coredns", "metrics-server", "demo"]


def rendered(tmp_path, minion_id, names):
    """Return [(state function, arguments)] of state files as a node of a real topology renders them."""
    opts = formula.options(tmp_path, minion_id)
    highstate = formula.highstate(opts, formula.compile_pillar(opts))
    high, errors = highstate.render_highstate({"base": names})
    assert errors == []
    found = []
    for name, body in high.items():
        if "kaas_object" not in body:
            continue  # what the files include
        arguments = {"name": name}
        for part in body["kaas_object"]:
            if isinstance(part, dict):
                arguments.update(part)
            else:
                function = part
        drop = ("order", "require")
        found.append((function, {key: value for key, value in arguments.items() if key not in drop}))
    return found


@pytest.mark.parametrize("minion_id", ["m1.demo", "n1.mini"])
def test_the_formulas_objects_are_accepted(state, kube, tmp_path, minion_id):
    calls = rendered(tmp_path, minion_id, [f"{name}.deployed" for name in SLS])
    sets = []
    spent = 0.0
    for function, arguments in calls:
        if function == "applied":
            planned = state(function, **arguments, test=True)
            assert planned["result"] is None, planned
            ret = state(function, **arguments)
            assert ret["result"] is True and ret["changes"] == planned["changes"], ret
            started = time.monotonic()
            again = state(function, **arguments)
            spent += time.monotonic() - started
            assert (again["result"], again["changes"]) == (True, {}), again
            sets.append(arguments["name"])
        elif function == "node_labels":
            for name in arguments["nodes"]:
                kube.apply(node(name), manager="kubelet")
            assert state(function, **arguments)["result"] is True
            assert state(function, **arguments)["changes"] == {}
    print(f"{minion_id}: no-op of {len(sets)} sets: {spent:.3f} s")
    assert sets == ["rbac", "flannel", "coredns", "metrics-server", "demo"]
    frontend = kube.get("apps/v1", "Deployment", "frontend", "demo")
    assert frontend["spec"]["replicas"] == 2
    # the password is made once: the second run, which made another one, left the first
    secret = kube.get("v1", "Secret", "database", "demo")["data"]
    assert base64.b64decode(secret["auth.conf"]) == b"requirepass " + base64.b64decode(secret["password"])
    assert len(base64.b64decode(secret["password"])) == 40
    for name in sets:
        ret = state("absent", name, timeout=1)
        if name == "demo":  # no controller empties a namespace here
            assert "Namespace demo: still being deleted, held by its content" in ret["comment"]
            finalize(kube, "demo")
            release(kube, "PersistentVolume", "demo-database")
            ret = state("absent", name)
        assert ret["result"] is True, ret
    for name in kube.list("v1", "Node"):
        kube.delete(name)


def release(kube, kind, name):
    """Play the controller that protects volumes in use."""
    live = kube.get("v1", kind, name)
    if live:
        live["metadata"]["finalizers"] = []
        kube.request("PUT", f"/api/v1/{kind.lower()}s/{name}", body=live)


def finalize(kube, name):
    """Play the namespace controller."""
    live = kube.get("v1", "Namespace", name)
    live["spec"]["finalizers"] = []
    kube.request("PUT", f"/api/v1/namespaces/{name}/finalize", body=live)
