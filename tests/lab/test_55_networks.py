"""Networks and proxies change on a living cluster: pods stay, packets of every size pass, nothing of the former is left."""

import json

import pytest
from polling import Loop, eventually
from test_50_network import container, pod, wait_ready

# Pods on three nodes, and few objects: cheap to change.
CLUSTERS = {"split"}

# What a network has in the kernel of a machine.
KERNEL = r"""
ip -oneline link show | grep -oE ': (flannel[^:@]*|cni0)' | sort
nft list tables | grep -E 'flannel|kaas|kube-proxy' | sort
iptables-save | grep -oE '^:KUBE-(SVC|SEP|SERVICES|NODEPORTS|POSTROUTING)' | sort -u
"""
VXLAN = {"plugin": "flannel", "flannel": {"backend": "vxlan"}}
HOST_GW = {"plugin": "flannel", "flannel": {"backend": "host-gw"}}
# `split` has both address families (test_51_dual_stack); flannel makes its tables for both in any case.
LINKS = {
    "flannel vxlan": [": cni0", ": flannel-v6.1", ": flannel.1"],
    "flannel host-gw": [": cni0"],
    "routes": [": cni0"],
}
TABLES = {
    "flannel": ["table ip flannel-ipv4", "table ip6 flannel-ipv6"],
    "routes": ["table ip kaas-routes", "table ip6 kaas-routes"],
}
# More than any first window of TCP, in segments as large as the sender's MTU lets them be.
UPLOAD = "head -c 200000 /dev/zero | nsenter --net=$1 curl -sS -m 15 -o /dev/null -w '%{http_code}' --data-binary @- http://$2:8080/api"


def given(cluster):
    """``{node: its pods' networks}`` as Kubernetes has them."""
    return {item["metadata"]["name"]: item["spec"]["podCIDRs"] for item in cluster.get("nodes")["items"]}


def routed(cluster):
    """The change to the network `routes` that lets pods stay: with the pod networks that the nodes have."""
    own = {node: {"pods": networks[0] if len(networks) == 1 else networks} for node, networks in given(cluster).items()}
    return {"network": {"plugin": "routes", "flannel": None}, "nodes": own}


def kernel(cluster, node):
    """Lines of KERNEL on a node."""
    return cluster.shell(node, KERNEL, check=False).splitlines()


def space(cluster, namespace, name, node):
    """Path, in the machine, of a pod's network namespace."""
    found = cluster.exec(node, "crictl", "pods", "--quiet", "--state=Ready", f"--namespace={namespace}", f"--name=^{name}$")
    described = json.loads(cluster.exec(node, "crictl", "inspectp", found.stdout.split()[0]).stdout)
    spaces = described["info"]["runtimeSpec"]["linux"]["namespaces"]
    return next(one["path"] for one in spaces if one["type"] == "network")


def serve(cluster, namespace, age):
    """A pod of this age on each node."""
    frontend = cluster.get("deployment", "frontend", "--namespace=demo")
    image = frontend["spec"]["template"]["spec"]["containers"][0]["image"]
    one = container("server", image, "backend", port=8080)
    cluster.create(*[pod(namespace, f"{age}-{node}", node, one) for node in cluster.kubelets])


def mtus(cluster, namespace, pods):
    """``{pod: MTU of its interface}``."""
    found = {}
    for name in pods:
        node = name.split("-", 1)[1]
        words = ["nsenter", f"--net={space(cluster, namespace, name, node)}", "ip", "-json", "link", "show", "eth0"]
        found[name] = json.loads(cluster.exec(node, *words).stdout)[0]["mtu"]
    return found


def everyone_reaches_everyone(cluster, namespace, pods):
    """From each pod to each pod of another node, small and large; and none was started anew."""
    for name in pods:
        node = name.split("-", 1)[1]
        own = space(cluster, namespace, name, node)
        for other, address in pods.items():
            if other.split("-", 1)[1] != node:
                said = cluster.shell(node, UPLOAD, own, address, check=False)
                assert said.strip() in ("200", "405"), f"{name} to {other}: {said!r}"
    restarts = {p["metadata"]["name"]: p["status"]["containerStatuses"][0]["restartCount"] for p in cluster.pods(namespace)}
    assert set(restarts.values()) == {0}, restarts


def test_routes_into_other_networks_are_refused_before_anything_changes(cluster):
    """Without the pod networks that the nodes have: each node says which line is missing, and stays as it is."""
    before, networks = cluster.fingerprint(), given(cluster)
    with cluster.edited({"network": {"plugin": "routes", "flannel": None}}):
        failures = "\n".join(cluster.highstate().failures())
    for node in cluster.kubelets:
        assert f"write `pods: [{', '.join(networks[node])}]` into nodes.{node}" in failures
    assert cluster.fingerprint() == before
    cluster.highstate().assert_clean()


def test_the_network_changes_while_pods_stay(cluster, namespace):
    """vxlan, host-gw, routes and back to vxlan: the pods made under one reach those made under the next, and answer all the while."""
    networks, nodes = given(cluster), cluster.kubelets
    sizes = {"vxlan": 1450, "gw": 1500, "routes": 1500, "back": 1450}
    steps = [
        ("vxlan", "gw", "flannel host-gw", {"network": HOST_GW}),
        ("gw", "routes", "routes", routed(cluster)),
        ("routes", "back", "flannel vxlan", {"network": VXLAN}),
    ]
    serve(cluster, namespace, "vxlan")
    pods = wait_ready(cluster, namespace, len(nodes))
    for before, age, name, change in steps:
        target = pods[f"{before}-{nodes[-1]}"]

        def ask(target=target):
            cluster.exec(nodes[0], "curl", "-sf", "-m", "5", "-o", "/dev/null", f"http://{target}:8080/healthz")

        with cluster.edited(change):
            with Loop(ask, every=0.5) as loop:
                cluster.highstate().assert_fine()
                eventually(lambda loop=loop: len(loop.attempts) > 3, 30, "some requests")
            assert loop.longest_gap() < 15, loop.report()
            cluster.highstate().assert_clean()
            for node in nodes:
                lines = kernel(cluster, node)
                assert sorted(line for line in lines if line.startswith(": ")) == LINKS[name], node
                assert [line for line in lines if line.startswith("table") and "kube-proxy" not in line] == TABLES[name.split()[0]], node
            assert given(cluster) == networks
            serve(cluster, namespace, age)
            pods = wait_ready(cluster, namespace, 2 * len(nodes))
            everyone_reaches_everyone(cluster, namespace, pods)
            assert mtus(cluster, namespace, pods) == {pod: sizes[pod.split("-")[0]] for pod in pods}
            if name == "routes":
                drift_is_repaired(cluster, nodes[0])
        cluster.kubectl("delete", "pod", f"--namespace={namespace}", *[f"{before}-{node}" for node in nodes])
    # The last step was a change of nothing: the cluster file's own network.
    cluster.highstate().assert_clean()


def drift_is_repaired(cluster, node):
    """A route and the rules that someone took away are back after a highstate; at boot the unit alone brings all."""
    routes = "ip -4 route show proto 75 | sed 's/ *$//'"
    before = cluster.shell(node, routes)
    assert len(before.splitlines()) == len(cluster.kubelets) - 1
    cluster.shell(node, "ip route delete $(ip -4 route show proto 75 | head -n 1); nft delete table ip kaas-routes")
    found = cluster.highstate(node).assert_fine()
    assert len(found.changed()) == 1 and "loaded" in found.changed()[0], found.changed()
    assert cluster.shell(node, routes) == before
    cluster.shell(node, "ip route flush proto 75; nft delete table ip kaas-routes; systemctl restart kaas-routes")
    assert cluster.shell(node, routes) == before
    cluster.highstate(node).assert_clean()


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_the_proxy_changes(cluster, mode):
    """To iptables, and back by the cluster file: NodePorts answer on each node, the rules of the other mode are gone."""
    with cluster.edited({"network": {"proxy": mode}}):
        cluster.highstate().assert_fine()
        for node in cluster.kubelets:
            eventually(lambda node=node: cluster.demo(node), 30, f"the demo to answer on {node}")
            lines = kernel(cluster, node)
            assert ("table ip kube-proxy" in lines) is (mode == "nftables"), node
            assert (":KUBE-SVC" in lines) is (mode == "iptables"), node
        cluster.highstate().assert_clean()


@pytest.mark.parametrize(
    ("change", "needs", "reason"),
    [
        ({"network": {"proxy": "ipvs"}}, "ip_vs", "needed for network.proxy: ipvs"),
        ({"network": {"flannel": {"backend": "wireguard"}}}, "wireguard", "needed for network.flannel.backend: wireguard"),
        ({"network": {"mtu": 9000}}, None, "has an MTU of 1500, network.mtu is 9000"),
    ],
)
def test_what_the_machine_lacks_is_told_before_anything_changes(cluster, change, needs, reason):
    """A kernel without a feature, an interface with a smaller MTU: refused with the line of the cluster file."""
    node = cluster.kubelets[-1]
    if needs and cluster.exec(node, "modprobe", needs, check=False).returncode == 0:
        pytest.skip(f"this kernel has {needs}")
    before = cluster.fingerprint([node])
    with cluster.edited(change):
        assert reason in "\n".join(cluster.highstate(node).failures())
    assert cluster.fingerprint([node]) == before
    cluster.highstate(node).assert_clean()
