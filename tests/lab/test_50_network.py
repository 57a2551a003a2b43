"""Pods, services and node ports reach each other, from everywhere to everywhere."""

import contextlib
import ipaddress
import json
import subprocess

import pytest
from polling import eventually, fetch

SECURITY = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}


def container(name, image, *args, port):
    """A container of the demo image that listens on `port`."""
    return {
        "name": name, "image": image, "args": [*args, "-listen", f":{port}", "-drain", "0s"],
        "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": port}, "periodSeconds": 1},
    }  # fmt: skip


def pod(namespace, name, node, *containers):
    """A pod on a certain node (the taint of masters keeps only the scheduler away)."""
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": {"app": name.split("-")[0]}},
        "spec": {
            "nodeName": node, "securityContext": SECURITY, "containers": list(containers), "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False,
        },
    }  # fmt: skip


def wait_statuses(cluster, namespace, count):
    """Wait until `count` pods are ready; return ``{pod name: its status}``."""

    def ready():
        found = {}
        for item in cluster.pods(namespace):
            conditions = {c["type"]: c["status"] for c in item["status"].get("conditions", [])}
            if conditions.get("Ready") == "True":
                found[item["metadata"]["name"]] = item["status"]
        return found if len(found) == count else None

    return eventually(ready, 120, f"{count} pods in namespace {namespace} to be ready", every=0.5)


def wait_ready(cluster, namespace, count):
    """Wait until `count` pods are ready; return ``{pod name: address}``."""
    return {name: status["podIP"] for name, status in wait_statuses(cluster, namespace, count).items()}


@pytest.fixture(scope="module")
def pods(cluster, namespace, image):
    """
    A server `server-NODE` and a client `client-NODE` on each node, and the Service `server` before the servers.

    A client asks, each time that it is asked itself, on port 8081 the server of the next node by IP, on 8082 the Service by its name, on 8083
    by its address, on 8084 by its full name. Returns ``{pod name: address}`` and the Service's address.
    """
    nodes = cluster.kubelets
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "server", "namespace": namespace},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }  # fmt: skip
    servers = [
        pod(namespace, f"server-{node}", node, container("server", image, "backend", port=8080)) for node in nodes
    ]
    cluster.create(service, *servers)
    addresses = wait_ready(cluster, namespace, len(nodes))
    virtual = cluster.get("service", "server", f"--namespace={namespace}")["spec"]["clusterIP"]
    clients = []
    for node, following in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        ways = {
            "by-ip": (8081, f"http://{addresses[f'server-{following}']}:8080"),
            "by-name": (8082, "http://server"),
            "by-virtual-ip": (8083, f"http://{virtual}"),
            "by-full-name": (8084, f"http://server.{namespace}.svc.cluster.local"),
        }
        containers = [
            container(way, image, "frontend", "-backend", url, port=port) for way, (port, url) in ways.items()
        ]
        clients.append(pod(namespace, f"client-{node}", node, *containers))
    cluster.create(*clients)
    return wait_ready(cluster, namespace, 2 * len(nodes)), virtual


def ask(cluster, node, url):
    """GET from a node; the parsed answer."""
    return json.loads(cluster.exec(node, "curl", "--silent", "--show-error", "--fail", "--max-time", "8", url).stdout)


def test_every_node_gave_its_pods_addresses_of_its_own(cluster, pods):
    """Each node has a part of the pod network, and the pods there have addresses in it."""
    nodes = cluster.get("nodes")["items"]
    parts = {item["metadata"]["name"]: ipaddress.ip_network(item["spec"]["podCIDR"]) for item in nodes}
    whole = ipaddress.ip_network(cluster.spec["network"]["pods"])
    assert len(set(parts.values())) == len(cluster.kubelets)
    for name, address in pods[0].items():
        part = parts[name.split("-", 1)[1]]
        assert ipaddress.ip_address(address) in part and part.subnet_of(whole), name


def test_pods_reach_pods_of_other_nodes_by_ip(cluster, pods):
    """From a pod on each node to a pod on the next one, and from each node to that pod."""
    nodes = cluster.kubelets
    for node, following in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        reply = ask(cluster, node, f"http://{pods[0][f'client-{node}']}:8081/api")
        assert reply["backend"]["pod"] == f"server-{following}", node
        direct = ask(cluster, node, f"http://{pods[0][f'server-{following}']}:8080/api")
        assert direct["pod"] == f"server-{following}", node


@pytest.mark.parametrize(("way", "port"), [("short name", 8082), ("service address", 8083), ("full name", 8084)])
def test_pods_reach_services(cluster, pods, way, port):
    """From a pod on each node to a Service: by its short and its full DNS name, and by its address."""
    for node in cluster.kubelets:
        reply = ask(cluster, node, f"http://{pods[0][f'client-{node}']}:{port}/api")
        assert reply["backend"]["pod"].startswith("server-"), f"{node} by {way}"


def test_nodes_reach_services(cluster, pods):
    """A Service's address works from every node, and its answers come from pods of several nodes."""
    for node in cluster.kubelets:
        found = {ask(cluster, node, f"http://{pods[1]}/api")["pod"] for _ in range(12)}
        assert len(found) > 1 or len(cluster.kubelets) == 1, f"{node}: always {found}"


def test_node_port_answers_on_every_address(cluster):
    """The demo's NodePort answers on each node and on the API address; and on no other address of a node."""
    for node in [*cluster.kubelets, None]:
        assert json.loads(fetch(cluster.demo_url(node)))["role"] == "frontend", node
    local = cluster.exec(cluster.workers[0], "curl", "-s", "-m", "2", "http://127.0.0.1:30080/", check=False)
    assert local.returncode != 0, "the NodePort answers on the loopback address too"


def test_cluster_dns_answers_on_its_address(cluster):
    """The tenth address of the service network is the DNS server's, and CoreDNS runs in several copies where there are several nodes."""
    service = cluster.get("service", "kube-dns", "--namespace=kube-system")
    assert service["spec"]["clusterIP"] == str(ipaddress.ip_network(cluster.spec["network"]["services"])[10])
    hosts = {item["spec"]["nodeName"] for item in cluster.pods("kube-system", "k8s-app=kube-dns")}
    assert len(hosts) == min(2, len(cluster.kubelets)), f"CoreDNS runs on {hosts}"


def test_logs(cluster, namespace, pods):
    """`kubectl logs` reaches the pods of every node."""
    for node in cluster.kubelets:
        assert "listens on" in cluster.kubectl("logs", f"--namespace={namespace}", f"server-{node}").stdout, node


def test_exec(cluster, namespace, pods):
    """`kubectl exec` runs a program in a pod of every node and brings back its output and exit code."""
    for node in cluster.kubelets:
        done = cluster.kubectl(
            "exec", f"--namespace={namespace}", f"server-{node}", "--", "/demo", "nonsense", check=False
        )
        assert done.returncode == 1 and "usage: demo frontend|backend" in done.stderr, f"{node}: {done}"


def test_port_forward(cluster, namespace, pods):
    """`kubectl port-forward` reaches a pod of every node."""
    for node in cluster.kubelets:
        argv, env = cluster.kubectl_argv("port-forward", f"--namespace={namespace}", f"pod/server-{node}", ":8080")
        with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                line = process.stdout.readline()
                assert line.startswith("Forwarding from 127.0.0.1:"), line
                port = line.split("127.0.0.1:")[1].split()[0]
                assert json.loads(fetch(f"http://127.0.0.1:{port}/api"))["pod"] == f"server-{node}"
            finally:
                process.terminate()


def test_top(cluster):
    """`kubectl top` knows all nodes and the demo's pods: metrics-server reads every kubelet over verified TLS."""

    def nodes():
        text = cluster.kubectl("top", "nodes", "--no-headers").stdout
        measured = {line.split()[0] for line in text.splitlines() if "%" in line and "<unknown>" not in line}
        return measured == set(cluster.kubelets)

    eventually(nodes, 90, "kubectl top nodes to know all nodes", every=2)

    def pods():
        return "frontend-" in cluster.kubectl("top", "pods", "--namespace=demo").stdout

    eventually(pods, 60, "kubectl top pods to know the demo", every=2)


def test_images_come_from_the_clusters_registry_alone(cluster, namespace, image):
    """An image that the mirror lacks is an error; no other registry is asked (the air-gap case)."""
    name = image.partition("@")[0].rpartition(":")[0] + ":no-such-version"
    cluster.create(pod(namespace, "missing", cluster.workers[0], container("missing", name, "backend", port=8080)))

    def refused():
        with contextlib.suppress(KeyError, IndexError):
            status = cluster.get("pod", "missing", f"--namespace={namespace}")["status"]
            waiting = status["containerStatuses"][0]["state"]["waiting"]
            return waiting["reason"] in ("ErrImagePull", "ImagePullBackOff") and waiting.get("message", "")

    message = eventually(refused, 60, "the pull of an unknown image to be refused", every=1)
    cluster.kubectl("delete", "pod", "missing", f"--namespace={namespace}", "--now", "--wait=false")
    assert "not found" in message
