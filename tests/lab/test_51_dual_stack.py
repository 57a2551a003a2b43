"""IPv6 beside IPv4: addresses of nodes, pods and services, and every way over IPv6 that test_50_network goes over IPv4."""

import concurrent.futures
import ipaddress
import json

import pytest
from polling import eventually
from test_50_network import container, pod, wait_statuses

CLUSTERS = {"split"}

# Ask the DNS server $1 for the AAAA record of $2; print the addresses of the answer.
RESOLVE = """
import ipaddress, socket, struct, sys
server, name = sys.argv[1:]
query = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0)
query += b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + struct.pack(">BHH", 0, 28, 1)
link = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
link.settimeout(5)
link.sendto(query, (server, 53))
answer = link.recv(1500)
# A record ends with its length and its 16 bytes; CoreDNS writes names in full.
at = len(query)
for _ in range(struct.unpack(">H", answer[6:8])[0]):
    while answer[at] and answer[at] < 192:
        at += answer[at] + 1
    at += 2 if answer[at] else 1
    kind, length = struct.unpack(">H6xH", answer[at:at + 10])
    if kind == 28:
        print(ipaddress.ip_address(answer[at + 10:at + 10 + length]))
    at += 10 + length
"""
# Serve one request to port $1 over IPv6, and print who asked.
WHO_ASKS = """
import http.server, socket, sys
class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.client_address[0], flush=True)
        self.send_error(404)
    def log_message(self, *args):
        pass
server = Server(("::", int(sys.argv[1])), Handler)
server.timeout = 30
server.handle_request()
"""
PORT = 8099


def after(nodes):
    """Pairs of each node and the next one."""
    return list(zip(nodes, [*nodes[1:], nodes[0]], strict=True))


def address6(cluster, node):
    return cluster.spec["nodes"][node]["address6"]


def networks(cluster, kind):
    """The IPv4 and the IPv6 network of pods, services or nodes."""
    return [ipaddress.ip_network(text) for text in cluster.spec["network"][kind]]


def in_order(addresses, nets):
    """Whether there is one address of each network, in the networks' order."""
    found = [ipaddress.ip_address(text) for text in addresses]
    return len(found) == len(nets) and all(one in net for one, net in zip(found, nets, strict=True))


def ask(cluster, machine, host, port, path="/api", check=True):
    """GET over IPv6 from a machine; the parsed answer, None when there is none and `check` is off."""
    url = f"http://[{host}]:{port}{path}"
    done = cluster.exec(machine, "curl", "-6", "--globoff", "-sS", "--fail", "--max-time", "8", url, check=check)
    return json.loads(done.stdout) if done.returncode == 0 else None


def service(namespace, name, **spec):
    ports = [{"port": 80, "targetPort": 8080}]
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": "server"}, "ports": ports, **spec},
    }  # fmt: skip


def wait_ready(cluster, namespace, count):
    """Wait until `count` pods are ready; return ``{pod name: [address, ...]}``."""
    statuses = wait_statuses(cluster, namespace, count).items()
    return {name: [entry["ip"] for entry in status["podIPs"]] for name, status in statuses}


@pytest.fixture(scope="module")
def services(cluster, namespace):
    """Two services of the pods `server-NODE`, as the API has them: `both` with two addresses, `six` with an IPv6 address alone."""
    cluster.create(
        service(namespace, "both", type="NodePort", ipFamilyPolicy="PreferDualStack"),
        service(namespace, "six", ipFamilyPolicy="SingleStack", ipFamilies=["IPv6"]),
    )
    return {name: cluster.get("service", name, f"--namespace={namespace}")["spec"] for name in ("both", "six")}


@pytest.fixture(scope="module")
def servers(cluster, namespace, image, services):
    """``{pod name: [address, ...]}`` of a server on each node."""
    nodes = cluster.kubelets
    cluster.create(*(pod(namespace, f"server-{n}", n, container("server", image, "backend", port=8080)) for n in nodes))
    return wait_ready(cluster, namespace, len(nodes))


@pytest.fixture(scope="module")
def clients(cluster, namespace, image, servers, services):
    """
    ``{pod name: [address, ...]}`` of a client on each node.

    It asks, each time that it is asked itself, on port 8081 the server of the next node by its IPv6 address, on 8082 the IPv6 service by
    name, on 8083 the other service by its IPv6 address, on 8084 the first machine that is no Kubernetes node.
    """
    pods = []
    for node, following in after(cluster.kubelets):
        ways = {
            "by-ip": (8081, f"http://[{servers[f'server-{following}'][1]}]:8080"),
            "by-name": (8082, "http://six"),
            "by-virtual-ip": (8083, f"http://[{services['both']['clusterIPs'][1]}]"),
            "outside": (8084, f"http://[{address6(cluster, outside(cluster))}]:{PORT}"),
        }
        containers = [
            container(way, image, "frontend", "-backend", url, port=port) for way, (port, url) in ways.items()
        ]
        pods.append(pod(namespace, f"client-{node}", node, *containers))
    cluster.create(*pods)
    return wait_ready(cluster, namespace, 2 * len(pods))


def outside(cluster):
    """A machine with an IPv6 address that is no Kubernetes node."""
    return next(n for n, spec in cluster.spec["nodes"].items() if "address6" in spec and n not in cluster.kubelets)


def test_nodes_have_both_addresses_and_both_pod_networks(cluster):
    """Kubernetes knows each node by its two addresses and gave it a part of both pod networks, which no other node has."""
    parts = {}
    for item in cluster.get("nodes")["items"]:
        name = item["metadata"]["name"]
        internal = [entry["address"] for entry in item["status"]["addresses"] if entry["type"] == "InternalIP"]
        assert internal == [cluster.address(name), address6(cluster, name)]
        parts[name] = [ipaddress.ip_network(text) for text in item["spec"]["podCIDRs"]]
        assert [part.prefixlen for part in parts[name]] == [24, 64], name
        for part, whole in zip(parts[name], networks(cluster, "pods"), strict=True):
            assert part.subnet_of(whole), name
    assert sorted(parts) == sorted(cluster.kubelets)
    assert len({part for both in parts.values() for part in both}) == 2 * len(parts)


def test_pods_have_an_address_of_each_pod_network(cluster, servers):
    """The pods of each node have an address in both networks of that node."""
    nodes = {item["metadata"]["name"]: item["spec"]["podCIDRs"] for item in cluster.get("nodes")["items"]}
    for name, addresses in servers.items():
        parts = [ipaddress.ip_network(text) for text in nodes[name.removeprefix("server-")]]
        assert in_order(addresses, parts), f"{name}: {addresses}, not in {parts}"


def test_services_have_the_addresses_that_they_ask_for(cluster, services):
    """Two addresses with `PreferDualStack`; IPv6 alone where a Service wants that; the API's Service has one, IPv4."""
    nets = networks(cluster, "services")
    assert in_order(services["both"]["clusterIPs"], nets)
    assert in_order(services["six"]["clusterIPs"], nets[1:])
    assert in_order(cluster.get("service", "kubernetes")["spec"]["clusterIPs"], nets[:1])


def test_pods_reach_pods_of_other_nodes_over_ipv6(cluster, servers, clients):
    """From a pod on each node to a pod on the next one, and from each node to that pod."""
    for node, following in after(cluster.kubelets):
        reply = ask(cluster, node, clients[f"client-{node}"][1], 8081)
        assert reply["backend"]["pod"] == f"server-{following}", node
        assert ask(cluster, node, servers[f"server-{following}"][1], 8080)["pod"] == f"server-{following}", node


@pytest.mark.parametrize(("way", "port"), [("name, which has an AAAA record alone", 8082), ("IPv6 address", 8083)])
def test_pods_reach_services_over_ipv6(cluster, clients, way, port):
    """From a pod on each node to a Service."""
    for node in cluster.kubelets:
        reply = ask(cluster, node, clients[f"client-{node}"][1], port)
        assert reply["backend"]["pod"].startswith("server-"), f"{node} by {way}"


def test_nodes_reach_services_over_ipv6(cluster, servers, services):
    """A Service's IPv6 address works from every node, and its answers come from pods of several nodes."""
    for node in cluster.kubelets:
        found = {ask(cluster, node, services["both"]["clusterIPs"][1], 80)["pod"] for _ in range(12)}
        assert len(found) > 1, f"{node}: always {found}"


def test_node_ports_answer_over_ipv6(cluster, servers, services):
    """A NodePort answers on each node's IPv6 address, from a machine outside the cluster; and on no other address of a node."""
    port = services["both"]["ports"][0]["nodePort"]
    for node in cluster.kubelets:
        assert ask(cluster, outside(cluster), address6(cluster, node), port)["pod"] in servers, node
    own = servers[f"server-{cluster.workers[0]}"][1]
    bridge = ipaddress.ip_network(f"{own}/64", strict=False)[1]
    for other in ("::1", bridge):
        assert ask(cluster, cluster.workers[0], other, port, check=False) is None, f"the NodePort answers on {other}"


def test_pods_leave_the_cluster_by_their_nodes_address(cluster, clients):
    """What a pod sends to a machine outside over IPv6 comes from its node: nobody there knows the way to pods."""
    machine = outside(cluster)
    for node in cluster.kubelets:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            seen = pool.submit(cluster.exec, machine, "python3", "-c", WHO_ASKS, str(PORT))
            eventually(
                lambda: cluster.shell(machine, f"ss -Htln6 sport = :{PORT}", check=False), 20, "the server to listen"
            )
            ask(cluster, node, clients[f"client-{node}"][1], 8084, check=False)
            assert seen.result(timeout=60).stdout.split() == [address6(cluster, node)], node


def test_dns_has_ipv6_addresses_and_one_itself(cluster, namespace, services):
    """The tenth address of the IPv6 service network is the DNS server's too; it knows services' AAAA records."""
    dns = cluster.get("service", "kube-dns", "--namespace=kube-system")["spec"]["clusterIPs"]
    assert dns == [str(net[10]) for net in networks(cluster, "services")]
    for name, spec in services.items():
        full = f"{name}.{namespace}.svc.cluster.local"
        for node in cluster.kubelets:
            found = cluster.exec(node, "python3", "-c", RESOLVE, dns[1], full).stdout.split()
            assert found == [spec["clusterIPs"][-1]], f"{name} from {node}"


def test_the_demo_answers_over_ipv6(cluster):
    """The demo's services take an IPv6 address where there is one to have."""
    for node in cluster.kubelets:
        assert ask(cluster, outside(cluster), address6(cluster, node), 30080), node
