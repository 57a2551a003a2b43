"""lab: reading highstate returns and Kubernetes objects."""

import base64

from kaas_lab import kube, summary

OK = {"result": True, "changes": {"a": 1}, "comment": "", "__id__": "one", "__sls__": "x", "__run_num__": 0, "name": "one"}
BAD = {
    "result": False,
    "changes": {},
    "comment": "The service did not start",
    "__id__": "etcd-running",
    "__sls__": "etcd.running",
    "__run_num__": 1,
    "name": "etcd",
}
AFTER = {
    "result": False,
    "changes": {},
    "comment": "One or more requisite failed: etcd.running.etcd-running",
    "__id__": "later",
    "__sls__": "y",
    "__run_num__": 2,
    "name": "later",
}
NODE = {"file_|-one_|-one_|-managed": OK, "kaas_service_|-etcd-running_|-etcd_|-running": BAD, "test_|-later_|-later_|-nop": AFTER}


def test_counts():
    assert summary.count(NODE) == summary.Count(3, 1, 2)
    assert summary.count(["Rendering SLS failed"]) == summary.Count(0, 0, 1)
    assert summary.count({"file_|-a_|-a_|-managed": {"result": None, "changes": {}}}) == summary.Count(1, 0, 0)


def test_only_the_cause_is_reported():
    (failure,) = summary.failures({"m1.demo": NODE})
    assert failure.node == "m1.demo"
    assert (failure.id, failure.sls, failure.function) == ("etcd-running", "etcd.running", "kaas_service.running")
    assert failure.units() == ["etcd", "etcd-running"]


def test_errors_of_a_whole_node():
    returns = {"m1": ["Data failed to compile:", "x"], "m2": "Minion did not return. [No response]", "m3": {}}
    assert [(f.node, f.comment) for f in summary.failures(returns)] == [
        ("m1", "Data failed to compile:\nx"),
        ("m2", "Minion did not return. [No response]"),
        ("m3", "{}"),
    ]
    assert summary.missing(returns, ["m1", "m9"]) == ["m9"]


def test_a_node_that_still_works_for_an_earlier_call_is_busy():
    refused = ['The function "state.highstate" is running as PID 771 and was started at 2026, Nov 23 with jid 2026']
    assert summary.busy({"m1": refused, "m2": NODE, "m3": ["Rendering SLS failed"]}) == ["m1"]


def test_units_named_in_a_comment_come_first():
    failure = summary.Failure("n", "id with space", "s", "m.f", "Job for kube-apiserver.service failed", "/etc/path")
    assert failure.units() == ["kube-apiserver.service"]


def test_documents_between_noise():
    text = 'noise {not json\n{"a": {"x": "}"}}\n{"b": true}[WARNING]{"a": 2}'
    assert summary.merged(text) == {"a": 2, "b": True}


def test_kubeconfig_holds_everything_and_names_the_api_address():
    source = {
        "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority": "/ca"}}],
        "users": [{"name": "u", "user": {"client-certificate": "/crt", "client-key": "/key"}}],
    }
    result = kube.inlined(source, lambda path: f"content of {path}", "https://10.0.0.1:8443", "demo")
    encoded = base64.b64encode(b"content of /ca").decode()
    assert result["clusters"] == [
        {"name": "demo", "cluster": {"server": "https://10.0.0.1:8443", "certificate-authority-data": encoded}}
    ]
    assert set(result["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
    assert result["current-context"] == result["contexts"][0]["name"] == "demo"


def node(name, status, message=""):
    return {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": status, "message": message}]}}


def test_node_states():
    nodes = {"items": [node("a", "True"), node("b", "Unknown", "Kubelet stopped posting")]}
    assert kube.node_states(nodes) == {"a": True, "b": False}
    assert kube.node_states({}) == {}
    assert kube.not_ready(nodes, {"a", "b", "c"}) == ["    c: not registered", "    b: : Kubelet stopped posting"]


def test_pods_not_ready():
    def pod(name, phase, **condition):
        return {
            "metadata": {"namespace": "n", "name": name},
            "spec": {},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True", **condition}]},
        }

    pods = [pod("a", "Running"), pod("b", "Succeeded", status="False"), pod("c", "Pending", status="False", message="no node fits")]
    assert kube.pods_not_ready({"items": pods}) == ["    n/c on no node: Pending: no node fits"]


def test_demo_port():
    services = [{"spec": {"ports": [{"port": 80}]}}, {"spec": {"ports": [{"port": 80, "nodePort": 30080}]}}]
    assert kube.demo_port({"items": services}) == 30080
    assert kube.demo_port({}) is None
