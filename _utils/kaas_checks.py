"""What is wrong with a cluster although each of its values is allowed: cross-checks, each a small function with a name.

A check is called with the cluster (valid by the schema, merged over its defaults) and ``facts``, and yields
``(path, message)``; the path is relative to the key ``cluster``, the message ends with what to do. Its first paragraph
of documentation is what the reference says about it. All checks run, whatever the others find.

facts
    ``versions`` the version table, ``fields`` the programs' configuration fields (``component-fields.json``), ``file``
    the file's name without suffix (or None), ``others`` ``{name: cluster}`` of the clusters that may touch this one,
    ``found`` the names of the checks that found something so far, ``derived`` functions of ``kaas_topology`` by name.

A finding is ``{"path", "message", "check", "severity"}`` with severity ``error`` or ``warning``. Whoever knows better
names the check in ``cluster.acknowledge``: a warning is silent then, an error that may be acknowledged a warning.
"""

import difflib
import ipaddress
import itertools
import re
import ssl
from typing import Any

# All that Salt offers of this module: its loader takes time for each name.
__load__ = ["findings"]

CHECKS: dict[str, dict] = {}


def check(severity="error", acknowledgeable=False):
    """Make a function one of :data:`CHECKS`. Warnings can always be acknowledged."""

    def register(function):
        CHECKS[function.__name__.replace("_", "-")] = {
            "severity": severity,
            "acknowledgeable": acknowledgeable or severity == "warning",
            "looks_at": " ".join(function.__doc__.split("\n\n")[0].split()),
            "function": function,
        }
        return function

    return register


# The file itself


@check()
def name_is_the_files_name(cluster, facts):
    """The cluster's name and the file's name: minion ids lead to the file by it."""
    if facts["file"] not in (None, cluster["name"]):
        yield "name", f"'{cluster['name']}' must be the file's name '{facts['file']}'"


@check()
def acknowledgements_are_possible(cluster, _facts):
    """The names in `acknowledge`: each is a check whose findings may be acknowledged."""
    for index, name in enumerate(cluster["acknowledge"]):
        path = f"acknowledge[{index}]"
        if name not in CHECKS:
            near = difflib.get_close_matches(name, CHECKS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else "docs/reference/pillar.md lists them"
            yield path, f"'{name[:80]}' is no check; {hint}"
        elif not CHECKS[name]["acknowledgeable"]:
            yield path, f"'{name}' finds errors that cannot be acknowledged: correct what it finds"


# Networks and addresses


NETWORKS = ("nodes", "pods", "services")
POD_PREFIX = {4: 24, 6: 64}  # IP version -> each node's share of the pod network
USABLE_POD_ADDRESSES = 253  # of a /24: without network, broadcast and the bridge
# What Kubernetes itself takes: services of 20 bits at most, node shares at most 16 bits below the pod network.
SERVICE_BITS = 20
POD_NETWORK_BITS = 16
# A network of each IP version that nobody else has, for messages.
PRIVATE = {4: "10.0.0.0/16", 6: "fd00:10::/48"}


def _network(text):
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _written(cluster, key):
    """Return ``{path: text}`` of the networks under ``key`` of ``network``: one, or one of each address family."""
    one = cluster["network"][key]
    if isinstance(one, str):
        return {f"network.{key}": one}
    return {f"network.{key}[{index}]": text for index, text in enumerate(one)}


def _networks(cluster, *keys):
    """Return ``{path: network}`` of the networks under ``keys`` (all without any) that are networks."""
    nets = {path: _network(text) for key in keys or NETWORKS for path, text in _written(cluster, key).items()}
    return {path: net for path, net in nets.items() if net}


def _is_dual(cluster):
    """Whether any network of the cluster has a second address family."""
    return any(not isinstance(cluster["network"][key], str) for key in NETWORKS)


def _claimed(cluster):
    """Return ``{path: address}`` of everything that has an address in the node networks."""
    claimed = {"api.address": cluster["api"]["address"]} if cluster["api"].get("address") else {}
    for name, node in cluster["nodes"].items():
        claimed.update({f"nodes.{name}.{key}": node[key] for key in ("address", "address6") if key in node})
    return {path: ipaddress.ip_address(text) for path, text in claimed.items()}


@check()
def networks_are_networks(cluster, _facts):
    """Each network: its address is the first of the network (10.0.0.1/16 is a host)."""
    limits = {4: "its numbers go up to 255, its prefix up to 32", 6: "write one such as fd00:10:244::/56"}
    for path, text in [item for key in NETWORKS for item in _written(cluster, key).items()]:
        version = 6 if ":" in text else 4
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            if "host bits" in str(error):
                yield path, f"{error}: write {ipaddress.ip_network(text, strict=False)}"
            else:
                yield path, f"{text} is no IPv{version} network: {limits[version]}"


@check()
def ipv6_is_written_shortest(cluster, _facts):
    """IPv6 networks and addresses: lower case and shortest form (RFC 5952), as Kubernetes writes them."""
    texts = {path: text for key in NETWORKS for path, text in _written(cluster, key).items() if _network(text)}
    texts.update(
        {f"nodes.{n}.address6": node["address6"] for n, node in cluster["nodes"].items() if "address6" in node}
    )
    for path, text in texts.items():
        shortest = str(ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text))
        if text != shortest:
            yield path, f"{text} has a shorter form: write {shortest}"


@check()
def address_families_agree(cluster, _facts):
    """Node, pod and service network: all three have an IPv6 network, or none has."""
    single = [key for key in NETWORKS if isinstance(cluster["network"][key], str)]
    for key in single if len(single) < len(NETWORKS) else []:
        dual = next(other for other in NETWORKS if other not in single)
        yield f"network.{key}", f"has no IPv6 network, network.{dual} has one: give all of them one, or none"


@check()
def nodes_have_both_addresses(cluster, _facts):
    """`address6`: with IPv6 networks, each Kubernetes node has an IPv6 address."""
    for name, node in cluster["nodes"].items():
        if _is_dual(cluster) and _has_kubelet(node) and "address6" not in node:
            yield f"nodes.{name}.address6", "is missing: the cluster's networks are IPv4 and IPv6"


@check()
def plugins_join_both_families(cluster, _facts):
    """`network.plugin`: with IPv6 networks, one that joins the pods of both address families."""
    chosen = cluster["plugins"]["sdn"]
    if _is_dual(cluster) and not chosen["known"][chosen["name"]].get("facts", {}).get("dual_stack"):
        able = " or ".join(name for name, data in chosen["known"].items() if data.get("facts", {}).get("dual_stack"))
        yield (
            "network.plugin",
            f"{chosen['name']} joins pods by IPv4 alone: leave the IPv6 networks out{able and f', or use {able}'}",
        )


@check()
def networks_are_ordinary(cluster, _facts):
    """Each network: no loopback, link-local, multicast, reserved or unspecified addresses: no packet travels there."""
    for path, net in _networks(cluster).items():
        kinds = ("is_loopback", "is_link_local", "is_multicast", "is_reserved", "is_unspecified")
        special = next((kind for kind in kinds if getattr(net, kind) or getattr(net.network_address, kind)), None)
        if special:
            yield (
                path,
                f"{net} is {special[3:].replace('_', '-')}: use a private network such as {PRIVATE[net.version]}",
            )


@check()
def networks_do_not_overlap(cluster, _facts):
    """Pod, service and node network: they are disjoint, or traffic goes to the wrong one."""
    nets = list(_networks(cluster).items())
    for index, (path, net) in enumerate(nets):
        for other_path, other in nets[:index]:
            if net.overlaps(other):
                yield path, f"{net} overlaps {other_path} {other}: choose disjoint networks"


@check()
def pods_fit_the_nodes(cluster, _facts):
    """The pod network: it has a /24 (IPv6: a /64) for each node."""
    for path, pods in _networks(cluster, "pods").items():
        share = POD_PREFIX[pods.version]
        room = 2 ** (share - pods.prefixlen) if pods.prefixlen <= share else 0
        if room < len(cluster["nodes"]):
            yield (
                path,
                f"{pods} has room for {room} nodes (a /{share} each), the cluster has {len(cluster['nodes'])}: "
                "use a larger network",
            )
        elif pods.prefixlen < share - POD_NETWORK_BITS:
            widest = share - POD_NETWORK_BITS
            yield path, f"{pods} is too large: kube-controller-manager takes a /{widest} or smaller"


@check()
def pods_fit_a_node(cluster, _facts):
    """`kubelet.maxPods`: a node's /24 has an address for each pod."""
    wanted = cluster["kubelet"].get("maxPods")
    if isinstance(wanted, int) and wanted > USABLE_POD_ADDRESSES:
        yield "kubelet.maxPods", f"{wanted} pods need more than a /24 has: use at most {USABLE_POD_ADDRESSES}"


@check()
def services_are_large_enough(cluster, _facts):
    """The service network: it holds the addresses of API and DNS server, and kube-apiserver takes its size."""
    for path, services in _networks(cluster, "services").items():
        smallest, widest = services.max_prefixlen - 4, services.max_prefixlen - SERVICE_BITS
        if services.prefixlen > smallest:
            yield path, f"{services} is too small: use a /{smallest} or larger"
        elif services.prefixlen < widest:
            yield path, f"{services} is too large: kube-apiserver takes a /{widest} or smaller"


@check()
def dns_is_a_service_address(cluster, _facts):
    """`network.dns`: it lies in the service network, and is neither the API's address nor the first or last one."""
    path, services = next(iter(_networks(cluster, "services").items()), (None, None))
    if services is None or services.version != 4 or "dns" not in cluster["network"]:
        return
    dns = ipaddress.ip_address(cluster["network"]["dns"])
    if dns not in services:
        yield "network.dns", f"{dns} is not inside {path} {services}"
    elif services.num_addresses > 2 and dns in (services[0], services[1], services[-1]):
        owner = "the API's service address" if dns == services[1] else "the first or last address"
        yield "network.dns", f"{dns} is {owner} of {services}: leave the key out, or use another"


@check()
def addresses_are_unique(cluster, _facts):
    """Addresses of nodes and API: two machines with one address take each other's traffic."""
    owners: dict = {}
    for path, address in _claimed(cluster).items():
        if address in owners:
            yield path, f"{address} is already {owners[address]}: give each its own"
        owners.setdefault(address, path)


@check()
def addresses_lie_in_the_node_network(cluster, _facts):
    """Addresses of nodes and API: they lie in `network.nodes`, and are not its first or last."""
    nets = {net.version: (where, net) for where, net in _networks(cluster, "nodes").items()}
    for path, address in _claimed(cluster).items():
        where, net = nets.get(address.version, (None, None))
        if net is None:
            continue
        if address not in net:
            yield path, f"{address} is not inside {where} {net}"
        elif net.num_addresses > 2 and address in (net.network_address, net.broadcast_address):
            edge = "network or broadcast" if net.version == 4 else "first or last"
            yield path, f"{address} is the {edge} address of {net}: use one between them"


# The network and its plug-in


def _sdn(cluster):
    """Return the name of the chosen network and the facts about it."""
    chosen = cluster["plugins"]["sdn"]
    return chosen["name"], chosen["known"][chosen["name"]].get("facts", {})


def _pod_network_problem(network, share, wholes, owners):
    """Return what is wrong with one node's pod network, or None."""
    whole = next((one for one in wholes if one.version == network.version), None)
    if whole is None or not network.subnet_of(whole):
        return f"{network} is not inside network.pods {whole or wholes[0]}"
    if network.prefixlen != share:
        return f"{network} is no /{share}, which each node gets"
    owner = next((name for name, taken in owners if taken.version == network.version and taken.overlaps(network)), None)
    return f"{network} is already that of {owner}" if owner else None


@check()
def node_networks_are_apart(cluster, facts):
    """`nodes.NAME.pods`, or what follows from the address, with the network `routes`: inside `network.pods`, each
    node's own."""
    wholes = list(_networks(cluster, "pods").values())
    known = _sdn(cluster)[1].get("node_networks") == "topology" and _networks(cluster, "nodes") and wholes
    owners: list = []
    for name, node in cluster["nodes"].items() if known else ():
        if not _has_kubelet(node):
            continue
        path = f"nodes.{name}.pods"
        advice = "write a free /24 of network.pods (IPv6: a /64)"
        try:
            found = [ipaddress.ip_network(text) for text in facts["derived"]["pod_networks"](cluster, name)]
        except ValueError as error:
            yield path, f"no network for the pods of {node['address']} ({error}): {advice}"
            continue
        if len(found) != len(wholes):
            yield path, f"has {len(found)} networks, network.pods has {len(wholes)}: give one of each address family"
            continue
        for network in found:
            problem = _pod_network_problem(network, POD_PREFIX[network.version], wholes, owners)
            if problem:
                yield path, f"{problem}: {advice}"
            owners.append((name, network))


SMALLEST_MTU = {4: 576, 6: 1280}  # that every host of the Internet takes (RFC 791, RFC 8200)


@check()
def mtu_leaves_room_for_pods(cluster, facts):
    """`network.mtu`: less what the plug-in adds to each packet, IPv4 (576 bytes) and IPv6 (1280) can do with it."""
    mtu = cluster["network"].get("mtu")
    smallest = SMALLEST_MTU[6 if _is_dual(cluster) else 4]
    overhead = facts["derived"]["by_backend"](cluster, "overhead", 0)
    if mtu and mtu - overhead < smallest:
        yield "network.mtu", f"{mtu} leaves {mtu - overhead} bytes for pods: use at least {smallest + overhead}"


@check("warning")
def network_policies_are_enforced(cluster, _facts):
    """`network.policies: required`: the network's plug-in enforces NetworkPolicies, or they are only words."""
    name, about = _sdn(cluster)
    if cluster["network"]["policies"] == "required" and not about.get("network_policy"):
        known = cluster["plugins"]["sdn"]["known"].items()
        able = [other for other, data in known if data.get("facts", {}).get("network_policy")]
        advice = f"use one of: {', '.join(able)}" if able else "none here does; write optional"
        yield "network.policies", f"{name} does not enforce NetworkPolicies: {advice}"


@check(acknowledgeable=True)
def services_have_a_proxy(cluster, _facts):
    """`network.proxy: none`: the network's plug-in does kube-proxy's work.

    Acknowledge it when something of your own does.
    """
    name, about = _sdn(cluster)
    if cluster["network"]["proxy"] == "none" and not about.get("replaces_proxy"):
        yield "network.proxy", f"none, and {name} does not do kube-proxy's work: no Service would work; use nftables"


@check("warning")
def proxy_has_a_future(cluster, _facts):
    """`network.proxy: ipvs`: Kubernetes has deprecated it in 1.35."""
    if cluster["network"]["proxy"] == "ipvs":
        yield "network.proxy", "ipvs is deprecated since Kubernetes 1.35: use nftables"


@check()
def sources_are_outside_the_cluster(cluster, _facts):
    """Repository and mirrors: machines cannot reach an address that lies in the pod or service network."""
    urls = {"artifacts.url": cluster["artifacts"].get("url", "")}
    urls.update({f"registries.{host}": url for host, url in cluster["registries"].items()})
    for path, url in urls.items():
        match = re.match(r"https?://([0-9.]+)(?:[:/]|$)", url)
        if not match:
            continue
        try:
            address = ipaddress.ip_address(match.group(1))
        except ValueError:
            yield path, f"{match.group(1)} is no IPv4 address"
            continue
        for where, net in _networks(cluster, "pods", "services").items():
            if address in net:
                yield path, f"{address} lies in {where} {net}: move one of the two"


# The clusters around it


def _near_clusters(cluster, facts):
    """Yield ``(name, cluster)`` of the clusters whose node network touches this one's."""
    own = _networks(cluster, "nodes").values()
    for name, other in sorted(facts["others"].items()):
        nets = _networks(other, "nodes").values()
        if any(one.overlaps(net) for one in own for net in nets):
            yield name, other


@check(acknowledgeable=True)
def addresses_are_unique_across_clusters(cluster, facts):
    """Addresses of nodes and API: no other cluster on the same network has them.

    Acknowledge it where two sites use the same numbers apart from each other.
    """
    for name, other in _near_clusters(cluster, facts):
        owners = {address: path for path, address in _claimed(other).items()}
        for path, address in _claimed(cluster).items():
            if address in owners:
                yield path, f"{address} is already {owners[address]} of the cluster {name}: use another"


@check(acknowledgeable=True)
def router_ids_are_unique(cluster, facts):
    """`api.virtual_router_id`: two clusters on one network with one id fight for their virtual addresses."""
    for name, other in _near_clusters(cluster, facts):
        ids = [one["api"].get("virtual_router_id") for one in (cluster, other) if one["api"].get("address")]
        if len(ids) == 2 and ids[0] == ids[1]:
            yield "api.virtual_router_id", f"{ids[0]} is the cluster {name}'s too, on the same network: use another"


def _minion_ids(cluster):
    """Return ``{path: minion id}`` of the CA minion and the nodes."""
    nodes = cluster["nodes"].items()
    return {"ca": cluster["ca"], **{f"nodes.{n}.id": node.get("id", f"{n}.{cluster['name']}") for n, node in nodes}}


@check()
def minion_ids_are_unique(cluster, facts):
    """Minion ids: one machine is one node of one cluster, and no node is a CA minion."""
    owners: dict = {}
    for path, minion in _minion_ids(cluster).items():
        if minion in owners:
            yield path, f"{minion} is already the minion id of {owners[minion]}: one machine has one place"
        owners.setdefault(minion, path.removesuffix(".id"))
    for name, other in sorted(facts["others"].items()):
        for other_path, minion in _minion_ids(other).items():
            # Clusters may share their CA minion, and nothing else.
            if minion in owners and (owners[minion], other_path) != ("ca", "ca"):
                own = owners[minion] if owners[minion] == "ca" else f"{owners[minion]}.id"
                yield (
                    own,
                    f"{minion} is {other_path.removesuffix('.id')} of the cluster {name}: one machine has one place",
                )


# Nodes and roles


def _with(cluster, role):
    return [name for name, node in cluster["nodes"].items() if role in node["roles"]]


def _has_kubelet(node):
    return bool({"master", "worker"} & set(node["roles"]))


LONGEST_NODE_NAME = 64 - len("system:node:")  # X.509 allows 64 characters in a common name


@check()
def node_names_fit_certificates(cluster, _facts):
    """Node names: `system:node:NAME` fits the 64 characters of a certificate's common name."""
    for name in cluster["nodes"]:
        if len(name) > LONGEST_NODE_NAME:
            yield f"nodes.{name}", f"the name has {len(name)} characters: use at most {LONGEST_NODE_NAME}"


@check()
def roles_are_held(cluster, _facts):
    """The roles etcd and master: at least one node holds each."""
    for role in ("etcd", "master"):
        if not _with(cluster, role):
            yield "nodes", f"no node has the role {role}: give it to 1, 3 or 5 nodes"


@check(acknowledgeable=True)
def etcd_is_odd(cluster, _facts):
    """The number of etcd members: an even number survives no more failures than one fewer, and can split in halves.

    Acknowledge it while members are added or taken away.
    """
    members = _with(cluster, "etcd")
    if members and len(members) % 2 == 0:
        yield "nodes", f"{len(members)} nodes have the role etcd ({', '.join(members)[:200]}): use an odd number"


@check("warning")
def etcd_is_small(cluster, _facts):
    """The number of etcd members: each write waits for more than half of them."""
    members = _with(cluster, "etcd")
    if len(members) > 7:
        yield "nodes", f"{len(members)} nodes have the role etcd: 3 or 5 are faster and survive enough"


@check("warning")
def control_plane_is_redundant(cluster, _facts):
    """Single etcd members and masters in clusters of several nodes: losing that one machine stops the whole cluster."""
    if len(cluster["nodes"]) == 1:
        return
    for role in ("etcd", "master"):
        nodes = _with(cluster, role)
        if len(nodes) == 1:
            yield f"nodes.{nodes[0]}", f"is the only node with the role {role}: use 3 to survive the loss of one"


@check("warning")
def pods_have_a_node(cluster, _facts):
    """The role worker: without it, only pods that tolerate the control-plane taint run."""
    if not _with(cluster, "worker"):
        yield "nodes", "no node has the role worker: give it to a node, of a master too if need be"


@check()
def masters_have_an_address(cluster, _facts):
    """`api.address`: more than one master, or a load balancer, needs one address for all."""
    masters, balancers = _with(cluster, "master"), _with(cluster, "loadbalancer")
    if cluster["api"].get("address"):
        return
    if len(masters) > 1:
        yield "api.address", f"is missing: {len(masters)} masters need one virtual address in network.nodes"
    elif balancers:
        yield "api.address", f"is missing: the load balancer {balancers[0]} needs a virtual address to hold"


# What listens where the virtual address may be, by role: haproxy binds the port on all addresses.
PORTS = {
    "etcd": {2379: "etcd's port", 2380: "the port of etcd's peers", 2381: "etcd's port for metrics"},
    "master": {
        6443: "the apiserver's own port",
        10257: "kube-controller-manager's port",
        10259: "kube-scheduler's port",
    },
    "kubelet": {
        10248: "the kubelet's port for its health",
        10249: "kube-proxy's port for metrics",
        10250: "the kubelet's port",
        10256: "kube-proxy's port for its health",
    },
}
SSH = {22: "ssh's port"}
NODE_PORTS = range(30000, 32768)


@check()
def api_port_is_free(cluster, _facts):
    """`api.port`: nothing else listens on it where haproxy does; without a virtual address it is 6443."""
    port = cluster["api"].get("port")
    if port is None:
        return
    if not cluster["api"].get("address"):
        if port != 6443:
            yield (
                "api.port",
                f"{port} without api.address: the apiserver listens on 6443; leave the key out, or set api.address",
            )
        return
    for name in _with(cluster, "loadbalancer") or _with(cluster, "master"):
        node = cluster["nodes"][name]
        taken = dict(SSH)
        for role in [*node["roles"], *(["kubelet"] if _has_kubelet(node) else [])]:
            taken.update(PORTS.get(role, {}))
        if _has_kubelet(node) and port in NODE_PORTS:
            taken[port] = "one of the NodePorts (30000–32767)"
        if port in taken:
            yield "api.port", f"{port} is {taken[port]} on {name}: choose another, for example 8443"
            return


def _domain_is_reserved(domain):
    return domain in ("kubernetes.io", "k8s.io") or domain.endswith((".kubernetes.io", ".k8s.io"))


# Labels below Kubernetes' own domains that are an administrator's to set.
OPEN_DOMAINS = ("node-restriction.kubernetes.io", "node-role.kubernetes.io")
OPEN_LABELS = {
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "node.kubernetes.io/exclude-from-external-load-balancers",
}


def _is_open(domain, key):
    return key in OPEN_LABELS or any(domain == one or domain.endswith(f".{one}") for one in OPEN_DOMAINS)


# Set by the formula itself, by a node's roles.
ROLE_KEYS = {"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"}


@check(acknowledgeable=True)
def labels_are_not_reserved(cluster, _facts):
    """Labels: those below kubernetes.io and k8s.io are Kubernetes' own, but for zones, roles and node-restriction."""
    for name, node in cluster["nodes"].items():
        for key in node.get("labels", {}):
            domain, slash, _ = key.rpartition("/")
            path = f"nodes.{name}.labels.{key}"
            if key in ROLE_KEYS:
                yield path, "comes from the role master: leave it out"
            elif slash and _domain_is_reserved(domain) and not _is_open(domain, key):
                yield path, f"labels of {domain} are set by Kubernetes: use a domain of your own"


@check()
def taints_are_not_reserved(cluster, _facts):
    """Taints: the control plane's comes from the roles, those below kubernetes.io and k8s.io from Kubernetes itself."""
    for name, node in cluster["nodes"].items():
        for index, taint in enumerate(node.get("taints", [])):
            path = f"nodes.{name}.taints[{index}]"
            if taint["key"] in ROLE_KEYS:
                yield path, f"{taint['key']} comes from the roles (a master that is no worker has it): leave it out"
            elif _domain_is_reserved(taint["key"].rpartition("/")[0]):
                yield path, f"{taint['key']} is set by Kubernetes: use a key of your own"


@check()
def taints_are_unique(cluster, _facts):
    """Taints: the API takes one taint of a key and effect per node."""
    for name, node in cluster["nodes"].items():
        seen = set()
        for index, taint in enumerate(node.get("taints", [])):
            pair = (taint["key"], taint["effect"])
            if pair in seen:
                yield f"nodes.{name}.taints[{index}]", f"{pair[0]} with {pair[1]} stands twice: one of them is enough"
            seen.add(pair)


@check("warning")
def settings_have_an_effect(cluster, _facts):
    """Settings that nothing reads: labels and taints of machines that are no Kubernetes nodes, pod networks of nodes
    where Kubernetes gives them, IPv6 addresses without IPv6 networks, a URL with upstream."""
    for name, node in cluster["nodes"].items():
        for key in ("labels", "taints"):
            if node.get(key) and not _has_kubelet(node):
                roles = ", ".join(node["roles"])
                yield f"nodes.{name}.{key}", f"has no effect: {name} ({roles}) is no Kubernetes node; leave it out"
        if "pods" in node and not (_has_kubelet(node) and _sdn(cluster)[1].get("node_networks") == "topology"):
            yield f"nodes.{name}.pods", "has no effect: Kubernetes gives nodes their pod networks; leave it out"
        if "address6" in node and not _is_dual(cluster):
            yield f"nodes.{name}.address6", "has no effect: the cluster has no IPv6 networks; leave it out"
    if cluster["artifacts"]["source"] == "upstream" and "url" in cluster["artifacts"]:
        yield "artifacts.url", "has no effect with source: upstream; leave it out, or set source: repository"


# Versions


def _number(text):
    return tuple(int(part) for part in str(text).split("."))


def _rank(wanted, table):
    """Return a version as numbers; a minor stands for its patch in the table."""
    row = table["kubernetes"].get(wanted)
    return _number(row["kubernetes"] if row else wanted)


def _wanted(cluster):
    """Return ``{path: version}`` of the cluster and of the nodes that name their own."""
    own = {f"nodes.{n}.kubernetes": node["kubernetes"] for n, node in cluster["nodes"].items() if "kubernetes" in node}
    return {"kubernetes": cluster["kubernetes"], **own}


@check()
def versions_are_supported(cluster, facts):
    """Kubernetes versions: only those of pillar/data/versions.yaml are tested."""
    known = facts["versions"]["kubernetes"]
    for path, wanted in _wanted(cluster).items():
        if not any(wanted in (minor, row["kubernetes"]) for minor, row in known.items()):
            choices = ", ".join(f"{minor} ({row['kubernetes']})" for minor, row in known.items())
            yield path, f"{wanted} is not supported; choose one of: {choices}"


@check()
def versions_are_within_skew(cluster, facts):
    """Versions of nodes: none newer than the cluster's, masters one minor apart, kubelets at most three minors behind.

    Kubernetes' version skew policy. A master's own kubelet may be newer than another master's apiserver while the
    masters are upgraded one by one: they have one version each.
    """
    table = facts["versions"]
    wanted = {name: node.get("kubernetes", cluster["kubernetes"]) for name, node in cluster["nodes"].items()}
    for name, version in wanted.items():
        if _rank(version, table) > _rank(cluster["kubernetes"], table):
            yield (
                f"nodes.{name}.kubernetes",
                f"{version} is newer than the cluster's {cluster['kubernetes']}: raise that first",
            )
    masters = {name: _rank(wanted[name], table)[:2] for name in _with(cluster, "master")}
    if not masters:
        return
    newest, oldest = max(masters.values()), min(masters.values())
    for name, minor in masters.items():
        if newest[1] - minor[1] > 1:
            yield (
                f"nodes.{name}.kubernetes",
                f"{wanted[name]} is more than one minor behind the newest master's: upgrade it first",
            )
    for name in _with(cluster, "worker"):
        minor = _rank(wanted[name], table)[:2]
        if name in masters:
            continue
        if minor > oldest:
            yield (
                f"nodes.{name}.kubernetes",
                f"{wanted[name]} is newer than the oldest master's: upgrade the masters first",
            )
        elif newest[1] - minor[1] > 3:
            yield (
                f"nodes.{name}.kubernetes",
                f"{wanted[name]} is more than three minors behind the newest master's: upgrade it",
            )


# Settings


@check()
def renewal_comes_before_expiry(cluster, _facts):
    """`certificates`: renewing earlier than the lifetime would renew at every run."""
    times = cluster["certificates"]
    if times["renew_before_days"] >= times["days"]:
        yield (
            "certificates.renew_before_days",
            f"{times['renew_before_days']} must be less than certificates.days {times['days']}",
        )


@check()
def addons_have_their_needs(cluster, _facts):
    """`addons`: the demo's HorizontalPodAutoscaler reads metrics."""
    if "demo" in cluster["addons"] and "metrics-server" not in cluster["addons"]:
        yield "addons", "demo needs metrics-server (its HorizontalPodAutoscaler reads metrics): add it"


_KINDS: dict[str, type | tuple] = {"string": str, "array": list, "object": dict, "boolean": bool, "integer": int}
_KINDS["number"] = (int, float)
MANY = 20  # what more a check would say about one thing helps nobody


def _misfits(settings, fields, path):
    """Yield what a program would not read of its settings; ``fields`` as in component-fields.json."""
    for key, value in settings.items():
        where, kind = f"{path}.{key}", fields.get(key)
        wanted = "object" if isinstance(kind, dict) else kind
        if kind is None:
            near = difflib.get_close_matches(key[:100], fields, n=1)
            yield where, f"is no field of the configuration{f'; did you mean {near[0]!r}?' if near else ''}"
        elif isinstance(kind, dict) and isinstance(value, dict):
            yield from _misfits(value, kind, where)
        elif value is None or kind == "any":
            continue
        elif not isinstance(value, _KINDS[wanted]) or (isinstance(value, bool) and wanted != "boolean"):
            yield where, f"must be of type {wanted}"


@check(acknowledgeable=True)
def component_fields_are_known(cluster, facts):
    """`kubelet` and `kube_proxy`: fields and types are the Kubernetes version's, or the program starts on no node."""
    wanted = {cluster["kubernetes"], *(node.get("kubernetes") for node in cluster["nodes"].values())}
    told = set()
    for minor, row in facts["versions"]["kubernetes"].items():
        if not wanted & {minor, row["kubernetes"]}:
            continue
        for component, fields in facts["fields"].get(minor, {}).items():
            for path, message in itertools.islice(_misfits(cluster[component], fields, component), MANY):
                if path not in told:
                    yield path, f"{message} (Kubernetes {minor}): {component.replace('_', '-')} would not start"
                told.add(path)


# KubeletConfiguration fields whose weaker values open a node: (path, values that keep it closed).
KUBELET_LOCKS = (
    (("authentication", "anonymous", "enabled"), (False,)),
    (("authentication", "webhook", "enabled"), (True,)),
    (("authorization", "mode"), ("Webhook",)),
    (("readOnlyPort",), (0,)),
    (("tlsMinVersion",), ("VersionTLS12", "VersionTLS13")),
)


def _setting(settings, path, default):
    """Return what ``path`` leads to; the default when it is not there, None when something else is in the way."""
    for key in path:
        if not isinstance(settings, dict):
            return None
        if key not in settings:
            return default
        settings = settings[key]
    return settings


@check(acknowledgeable=True)
def kubelets_stay_closed(cluster, _facts):
    """`kubelet`: settings that let strangers call kubelets, or old TLS versions."""
    for path, closed in KUBELET_LOCKS:
        if _setting(cluster["kubelet"], path, closed[0]) not in closed:
            words = " or ".join(str(one).lower() if isinstance(one, bool) else str(one) for one in closed)
            yield f"kubelet.{'.'.join(path)}", f"opens the kubelets to strangers: leave it out ({words})"


# Users


def _issuers(cluster):
    for index, entry in enumerate(cluster["authentication"]["jwt"]):
        yield f"authentication.jwt[{index}]", entry


@check()
def issuers_are_unique(cluster, _facts):
    """JWT issuers: kube-apiserver takes each URL once, and its own service account issuer never."""
    owners = {f"https://kubernetes.default.svc.{cluster['domain']}": "the cluster's own service account issuer"}
    for path, entry in _issuers(cluster):
        for key in ("url", "discoveryURL"):
            url = entry["issuer"].get(key)
            if url in owners:
                yield f"{path}.issuer.{key}", f"{url} is already {owners[url]}: use each URL once"
            elif url:
                owners[url] = f"{path}.issuer.{key}"


@check()
def issuers_match_their_audiences(cluster, _facts):
    """JWT audiences: with more than one, kube-apiserver wants `audienceMatchPolicy: MatchAny` said."""
    for path, entry in _issuers(cluster):
        if len(entry["issuer"]["audiences"]) > 1 and "audienceMatchPolicy" not in entry["issuer"]:
            yield f"{path}.issuer.audienceMatchPolicy", "is missing: with several audiences write MatchAny"


@check()
def issuer_authorities_are_certificates(cluster, _facts):
    """JWT certificate authorities: PEM certificates and nothing else."""
    for path, entry in _issuers(cluster):
        text = entry["issuer"].get("certificateAuthority")
        if text is None:
            continue
        path = f"{path}.issuer.certificateAuthority"
        if "PRIVATE KEY" in text:
            yield (
                path,
                "holds a private key, which belongs to the issuer alone: replace that key, and give the certificate",
            )
            continue
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
        except (ssl.SSLError, ValueError, TypeError):
            yield path, "is not a PEM certificate: begin with -----BEGIN CERTIFICATE----- and keep the line breaks (|)"


def _one_of(path, entry, left, right):
    """Yield a finding unless exactly one of two keys is there."""
    if (left in entry) == (right in entry):
        yield path, f"needs either {left} or {right}, {'and has both' if left in entry else 'and has neither'}"


@check()
def token_rules_are_complete(cluster, _facts):
    """JWT mappings and rules: a claim or an expression, never both; a claim with its prefix or required value."""
    for path, entry in _issuers(cluster):
        for name in ("username", "groups", "uid"):
            mapping = entry["claimMappings"].get(name)
            if mapping is None:
                continue
            where = f"{path}.claimMappings.{name}"
            yield from _one_of(where, mapping, "claim", "expression")
            if name != "uid" and "claim" in mapping and "prefix" not in mapping:
                yield f"{where}.prefix", "is missing: write one such as 'oidc:'"
            if "expression" in mapping and "prefix" in mapping:
                yield f"{where}.prefix", "goes with claim alone: put it into the expression"
        for index, rule in enumerate(entry.get("claimValidationRules", [])):
            where = f"{path}.claimValidationRules[{index}]"
            yield from _one_of(where, rule, "claim", "expression")
            for key, partner in (("requiredValue", "claim"), ("message", "expression")):
                if key in rule and partner not in rule:
                    yield f"{where}.{key}", f"goes with {partner} alone"
            if "claim" in rule and "requiredValue" not in rule:
                yield f"{where}.requiredValue", "is missing: write the value that the claim must have"


@check()
def verified_mail_is_asked_for(cluster, _facts):
    """JWT names made of `claims.email`: kube-apiserver wants an expression to look at `claims.email_verified` too."""
    for path, entry in _issuers(cluster):
        name = entry["claimMappings"]["username"].get("expression", "")
        rules = [rule.get("expression", "") for rule in entry.get("claimValidationRules", [])]
        facts = [fact["valueExpression"] for fact in entry["claimMappings"].get("extra", [])]
        if re.search(r"\bclaims\.email\b", name) and "claims.email_verified" not in " ".join([name, *rules, *facts]):
            yield (
                f"{path}.claimMappings.username.expression",
                "uses claims.email: add a claimValidationRule with the expression claims.email_verified == true",
            )


@check()
def token_facts_are_clear(cluster, _facts):
    """JWT `extra`: each key once, and none of Kubernetes' own domains."""
    for path, entry in _issuers(cluster):
        seen = set()
        for index, fact in enumerate(entry["claimMappings"].get("extra", [])):
            where = f"{path}.claimMappings.extra[{index}].key"
            if _domain_is_reserved(fact["key"].partition("/")[0]):
                yield where, f"{fact['key']} is of a domain of Kubernetes: use a domain of your own"
            if fact["key"] in seen:
                yield where, f"{fact['key']} stands twice: one of them is enough"
            seen.add(fact["key"])


# Beginnings of the names that the cluster gives rights to, besides those of plug-ins.
TRUSTED_NAMES = {"username": ("system:", "kube-apiserver-kubelet-client"), "groups": ("system:", "kubeadm:")}


def _plugins(cluster):
    """Yield ``(name, content of its file)`` of all plug-ins, chosen or not: another may be chosen tomorrow."""
    for one in cluster["plugins"].values():
        yield from one["known"].items()


def _trusted(cluster):
    """Return :data:`TRUSTED_NAMES` with the users and groups of the plug-ins' certificates."""
    rows = [row for _, data in _plugins(cluster) for row in data.get("certificates", {}).values()]
    users = tuple(row["cn"].partition("{node}")[0] for row in rows)
    groups = tuple(group for row in rows for group in row.get("o", []))
    return {"username": TRUSTED_NAMES["username"] + users, "groups": TRUSTED_NAMES["groups"] + groups}


@check(acknowledgeable=True)
def issuers_cannot_name_the_system(cluster, _facts):
    """JWT users and groups: a prefix, or a rule, keeps an issuer from handing out names that the cluster trusts."""
    for path, entry in _issuers(cluster):
        rules = " ".join(rule["expression"] for rule in entry.get("userValidationRules", []))
        for kind, trusted in _trusted(cluster).items():
            mapping = entry["claimMappings"].get(kind)
            if mapping is None:
                continue
            literal = re.match(r"\s*(['\"])([^'\"\\]+)\1\s*\+", mapping.get("expression", ""))
            prefix = mapping.get("prefix") or (literal.group(2) if literal else "")
            open_to = [name for name in trusted if name.startswith(prefix) or prefix.startswith(name)]
            refused = [name for name in open_to if f"user.{kind}" in rules and name in rules]
            if open_to != refused:
                names = ", ".join(f"'{name}'" for name in open_to if name not in refused)
                yield (
                    f"{path}.claimMappings.{kind}",
                    f"lets the issuer hand out names that begin with {names}: "
                    f"use a prefix such as 'oidc:', or refuse them by userValidationRules on user.{kind}",
                )


# Role bindings


def _bindings(cluster):
    for index, binding in enumerate(cluster["rbac"]["bindings"]):
        yield f"rbac.bindings[{index}]", binding


@check()
def bindings_are_unique(cluster, _facts):
    """Role bindings: one name, one binding (in its namespace)."""
    owners: dict = {}
    for path, binding in _bindings(cluster):
        key = (binding.get("namespace"), binding["name"])
        if key in owners:
            yield f"{path}.name", f"{binding['name']} is already {owners[key]}: use another"
        owners.setdefault(key, path)


# Bindings of Kubernetes and of the formula; one of the same name would replace it.
OWN_BINDINGS = ("system:", "kubeadm:", "kaas:", "metrics-server:")
OWN_NAMES = {"cluster-admin", "metrics-server-auth-reader"}


@check()
def bindings_have_names_of_their_own(cluster, _facts):
    """Role bindings: their names are not those of Kubernetes' and the formula's own bindings."""
    plugins = {name for name, _ in _plugins(cluster)}
    for path, binding in _bindings(cluster):
        name = binding["name"]
        if name.startswith(OWN_BINDINGS) or name in OWN_NAMES or name.partition(":")[0] in plugins:
            yield (
                f"{path}.name",
                f"{name} is a binding of the cluster itself, which it would replace: use another",
            )


@check()
def bindings_have_subjects(cluster, _facts):
    """Role bindings: each has a user or a group."""
    for path, binding in _bindings(cluster):
        if not binding.get("users") and not binding.get("groups"):
            yield path, "binds nobody: give it users or groups"


@check()
def bindings_are_for_somebody_known(cluster, _facts):
    """Role bindings: none for system:anonymous or system:unauthenticated, which is everybody on the network."""
    for path, binding in _bindings(cluster):
        for kind, stranger in (("users", "system:anonymous"), ("groups", "system:unauthenticated")):
            if stranger in binding.get(kind, []):
                yield f"{path}.{kind}", f"{stranger} is everybody on the network: bind users or groups that log in"


STRONG_ROLES = {"cluster-admin", "admin", "edit"}
BROAD_GROUPS = {"system:authenticated", "system:serviceaccounts"}


@check(acknowledgeable=True)
def strong_roles_are_for_few(cluster, _facts):
    """Role bindings: cluster-admin, admin and edit are not for all users or all service accounts, that is every pod."""
    for path, binding in _bindings(cluster):
        broad = sorted(BROAD_GROUPS & set(binding.get("groups", [])))
        if broad and binding["cluster_role"] in STRONG_ROLES:
            yield f"{path}.groups", f"{broad[0]} gets {binding['cluster_role']}: bind a group of your own"


# Admission


LEVELS = ("privileged", "baseline", "restricted")


@check("warning")
def pod_security_levels_rise(cluster, _facts):
    """`admission.pod_security`: `audit` and `warn` say something only where they are as strict as `enforce`."""
    levels = cluster["admission"]["pod_security"]
    for key in ("audit", "warn"):
        if LEVELS.index(levels[key]) < LEVELS.index(levels["enforce"]):
            yield (
                f"admission.pod_security.{key}",
                f"{levels[key]} says nothing beside enforce: {levels['enforce']}; use {levels['enforce']} or stricter",
            )


@check("warning")
def pods_are_restrained(cluster, _facts):
    """`admission.pod_security.enforce`: privileged lets whoever may make a pod take over its node."""
    if cluster["admission"]["pod_security"]["enforce"] == "privileged":
        yield (
            "admission.pod_security.enforce",
            "privileged lets pods take over nodes: use baseline, and exempt_namespaces for what needs more",
        )


@check()
def event_limits_are_clear(cluster, _facts):
    """`admission.event_rate_limit`: each type once, and no `cacheSize` for Server, which counts all together."""
    seen = set()
    for index, limit in enumerate(cluster["admission"]["event_rate_limit"]):
        path = f"admission.event_rate_limit[{index}]"
        if limit["type"] in seen:
            yield f"{path}.type", f"{limit['type']} stands twice: one limit of a type is enough"
        seen.add(limit["type"])
        if limit["type"] == "Server" and "cacheSize" in limit:
            yield f"{path}.cacheSize", "has no meaning for Server: leave it out"


# Balancers


def _balancer(cluster, name):
    """Return the settings of the balancer ``name`` if it is the chosen one, else None."""
    return cluster["balancer"].get(name) if cluster["plugins"]["balancers"]["name"] == name else None


def _every_network(cluster):
    """Yield ``(path, network)`` of the cluster's networks, of whatever address family."""
    for key in NETWORKS:
        one = cluster["network"][key]
        for text in [one] if isinstance(one, str) else one:
            net = _network(text)
            if net:
                yield f"network.{key}", net


def _range(text):
    """Return ``(first, last)`` of a network or of a range ``a-b``. Raises ValueError."""
    first: Any
    last: Any
    if "-" in text:
        first, last = (ipaddress.ip_address(one) for one in text.split("-", 1))
    else:
        net = ipaddress.ip_network(text)
        first, last = net[0], net[-1]
    if first.version != last.version:
        raise ValueError("its ends are of two address families")
    if first > last:
        raise ValueError("its end is before its beginning")
    return first, last


def _pools(cluster):
    """Yield ``(path, text, first, last, pool)`` of the address ranges of MetalLB that are ranges."""
    for index, pool in enumerate((_balancer(cluster, "metallb") or {}).get("pools", [])):
        for place, text in enumerate(pool["addresses"]):
            try:
                first, last = _range(text)
            except ValueError:
                continue
            yield f"balancer.metallb.pools[{index}].addresses[{place}]", text, first, last, pool


def _within(address, first, last):
    """Return whether an address (text) lies between two."""
    number = ipaddress.ip_address(address)
    return number.version == first.version and first <= number <= last


@check()
def pools_are_ranges(cluster, _facts):
    """`balancer.metallb.pools`: each has a name of its own, and networks or ranges from lower to higher addresses."""
    names = set()
    for index, pool in enumerate((_balancer(cluster, "metallb") or {}).get("pools", [])):
        path = f"balancer.metallb.pools[{index}]"
        if pool["name"] in names:
            yield f"{path}.name", f"{pool['name']} stands twice: use another"
        names.add(pool["name"])
        for place, text in enumerate(pool["addresses"]):
            try:
                _range(text)
            except ValueError as error:
                yield (
                    f"{path}.addresses[{place}]",
                    f"{text}: {error}: write a network such as 10.0.0.192/28 or a range such as 10.0.0.200-10.0.0.219",
                )


@check()
def pools_are_free(cluster, _facts):
    """`balancer.metallb.pools`: no address of a node, of the API, of the pod or service network, or of another pool."""
    taken = list(_claimed(cluster).items())
    seen: list[tuple] = []
    for path, text, first, last, _ in _pools(cluster):
        for owner, address in taken:
            if _within(str(address), first, last):
                yield path, f"{text} has {address}, which is {owner}: leave it out of the range"
        for where, net in _every_network(cluster):
            if where != "network.nodes" and net.version == first.version and first <= net[-1] and net[0] <= last:
                yield path, f"{text} overlaps {where} {net}: use addresses outside the cluster's own networks"
        for other, begin, end in seen:
            if begin.version == first.version and first <= end and begin <= last:
                yield path, f"{text} overlaps {other}: an address belongs to one pool"
        seen.append((text, first, last))


@check(acknowledgeable=True)
def pools_are_on_the_link(cluster, _facts):
    """`balancer.metallb.pools` with `l2`: they lie in `network.nodes`, where the nodes are asked for them.

    Acknowledge it where routers know that further addresses are on that link.
    """
    nets = [net for where, net in _every_network(cluster) if where == "network.nodes"]
    for path, text, first, last, pool in _pools(cluster):
        if pool.get("mode", "l2") != "l2" or not nets:
            continue
        net = next((one for one in nets if one.version == first.version and first in one and last in one), None)
        if net is None:
            yield path, f"{text} is not inside network.nodes: nobody asks the nodes for it; use addresses of it, or bgp"
        elif net.version == 4 and net.num_addresses > 2 and (first == net[0] or last == net[-1]):
            yield path, f"{text} has the network or broadcast address of {net}: leave it out"


@check(acknowledgeable=True)
def pools_are_unique_across_clusters(cluster, facts):
    """`balancer.metallb.pools`: no other cluster on the same network has an address of them.

    Acknowledge it where two sites use the same numbers apart from each other.
    """
    for name, other in _near_clusters(cluster, facts):
        theirs = list(_pools(other))
        for path, text, first, last, _ in _pools(cluster):
            for _, range_, begin, end, _ in theirs:
                if begin.version == first.version and first <= end and begin <= last:
                    yield path, f"{text} overlaps the pool {range_} of the cluster {name}: use others"
            for owner, address in _claimed(other).items():
                if _within(str(address), first, last):
                    yield path, f"{text} has {address}, which is {owner} of the cluster {name}: use others"
        for owner, address in _claimed(cluster).items():
            for _, range_, begin, end, _ in theirs:
                if _within(str(address), begin, end):
                    yield owner, f"{address} lies in the pool {range_} of the cluster {name}: use another"


@check()
def bgp_has_peers(cluster, _facts):
    """`balancer.metallb.peers`: there are some if a pool has `bgp`, and each is there once."""
    settings = _balancer(cluster, "metallb")
    if settings is None:
        return
    modes = [pool.get("mode", "l2") for pool in settings["pools"]]
    if "bgp" in modes and not settings["peers"]:
        path = f"balancer.metallb.pools[{modes.index('bgp')}].mode"
        yield path, "bgp needs routers: name them in balancer.metallb.peers"
    if settings["peers"] and "bgp" not in modes:
        yield "balancer.metallb.peers", "no pool has the mode bgp: give it to one, or leave the peers out"
    owners = set()
    for index, peer in enumerate(settings["peers"]):
        if (peer["address"], peer.get("port", 179)) in owners:
            yield f"balancer.metallb.peers[{index}].address", f"{peer['address']} stands twice: one session is enough"
        owners.add((peer["address"], peer.get("port", 179)))


@check()
def ipvs_leaves_arp_alone(cluster, _facts):
    """`kube_proxy.ipvs.strictARP`: with `network.proxy: ipvs` and a pool of MetalLB with `l2` it is true.

    Else every node answers for every address of a Service.
    """
    modes = [pool.get("mode", "l2") for pool in (_balancer(cluster, "metallb") or {}).get("pools", [])]
    strict = (cluster["kube_proxy"].get("ipvs") or {}).get("strictARP")
    if "l2" in modes and cluster["network"]["proxy"] == "ipvs" and strict is not True:
        yield "kube_proxy.ipvs.strictARP", "must be true: else all nodes answer for the addresses of MetalLB"


@check()
def announcers_exist(cluster, _facts):
    """`balancer.metallb.nodes`: some node has these labels in the cluster file, or nobody announces anything."""
    wanted = (_balancer(cluster, "metallb") or {}).get("nodes", {})
    kubelets = [node for node in cluster["nodes"].values() if _has_kubelet(node)]
    # These the kubelet gives.
    own = {label: value for label, value in wanted.items() if not label.startswith("kubernetes.io/")}
    if own and not any(own.items() <= node.get("labels", {}).items() for node in kubelets):
        pairs = ", ".join(f"{label}={value}" for label, value in own.items())
        yield "balancer.metallb.nodes", f"no node has the labels {pairs}: put them into nodes.NAME.labels"


@check()
def balancers_have_machines(cluster, _facts):
    """`balancer.plugin: haproxy`: nodes have the role loadbalancer and do nothing else for Kubernetes' traffic."""
    if _balancer(cluster, "haproxy") is None:
        return
    if not _with(cluster, "loadbalancer"):
        yield "balancer.plugin", "haproxy needs machines: give nodes the role loadbalancer, or use metallb"
    for name in _with(cluster, "loadbalancer"):
        if _has_kubelet(cluster["nodes"][name]):
            fix = "use a machine that is no master or worker"
            yield f"nodes.{name}.roles", f"haproxy leads to node ports from outside: {fix}"


@check()
def service_address_is_free(cluster, _facts):
    """`balancer.haproxy.address`: it lies in `network.nodes`, no machine has it, and its router id is its own."""
    settings = _balancer(cluster, "haproxy")
    address = (settings or {}).get("address")
    path = "balancer.haproxy.address"
    if address is None or address == cluster["api"].get("address"):
        return
    number = ipaddress.ip_address(address)
    if not any(number in net for where, net in _every_network(cluster) if where == "network.nodes"):
        yield path, f"{address} is not inside network.nodes: use an address of it"
    for owner, claimed in _claimed(cluster).items():
        if str(claimed) == address:
            yield path, f"{address} is already {owner}: use another"
    if settings["virtual_router_id"] == cluster["api"]["virtual_router_id"]:
        yield (
            "balancer.haproxy.virtual_router_id",
            f"{settings['virtual_router_id']} is api.virtual_router_id: two addresses need two",
        )


# Last, as it looks at what the others found.
@check("warning")
def acknowledgements_are_needed(cluster, facts):
    """The names in `acknowledge`: a check that finds nothing any more would hide its next finding."""
    for index, name in enumerate(cluster["acknowledge"]):
        known = CHECKS.get(name, {"acknowledgeable": False})
        if known["acknowledgeable"] and name not in facts["found"] and name != "acknowledgements-are-needed":
            yield f"acknowledge[{index}]", f"{name} finds nothing: leave it out"


class _Watched(dict):
    """A cluster that remembers which of its sections were read."""

    def __init__(self, cluster):
        super().__init__(cluster)
        self.read = set()

    def __getitem__(self, key):
        self.read.add(key)
        return super().__getitem__(key)


def findings(cluster, versions, fields, file=None, others=(), broken=(), derived=()):
    """Return what the checks find in a cluster that the schema accepts and that has its defaults.

    versions
        ``pillar/data/versions.yaml``.
    fields
        ``pillar/data/component-fields.json``.
    file
        The file's name without its suffix; None checks no name.
    others
        ``{name: cluster}`` of clusters that may share network or machines with this one, with their defaults.
    broken
        Sections of the cluster that the schema refused: what a check says that read one of them does not count. Nor do
        warnings then; errors first.
    derived
        ``{name: function}``: what follows from a cluster, by the names in ``kaas_topology``.
    """
    facts = {"versions": versions, "fields": fields, "file": file, "others": dict(others), "found": set()}
    facts["derived"] = dict(derived)
    found = []
    for name, one in CHECKS.items():
        severity = one["severity"]
        if name in cluster["acknowledge"] and one["acknowledgeable"]:
            severity = "warning" if severity == "error" else "silent"
        watched = _Watched(cluster)
        told = list(one["function"](watched, facts))
        if told:
            facts["found"].add(name)
        if severity == "silent" or (broken and (severity == "warning" or watched.read & set(broken))):
            continue
        found += [{"path": path, "message": message, "check": name, "severity": severity} for path, message in told]
    return found
