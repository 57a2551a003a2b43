"""From a validated cluster file to what one node needs. Pure functions; no Salt, no I/O.

cluster
    The value of the key ``cluster`` of ``pillar/clusters/<name>.sls`` merged over its defaults, with its ``plugins``
    (``kaas_clusterfile.complete``).
topology
    The public part of a cluster that the CA minion needs as well (see :func:`topology`).
"""

import ipaddress

ROLES = ("etcd", "master", "worker", "loadbalancer")

# The API reaches pods through the masters' own pod network, so these run a kubelet too.
KUBELET_ROLES = {"master", "worker"}

# Which components a role installs: artifact name -> files of that artifact. Data, so that a node downloads only what
# its roles run.
CNI_PLUGINS = ["bridge", "firewall", "host-local", "loopback", "portmap"]
ROLE_ARTIFACTS = {
    "etcd": {"etcd": ["etcd", "etcdctl", "etcdutl"]},
    "master": {
        "etcd": ["etcdctl"],
        "kube-apiserver": ["kube-apiserver"],
        "kube-controller-manager": ["kube-controller-manager"],
        "kube-scheduler": ["kube-scheduler"],
        "kubectl": ["kubectl"],
    },
    "kubelet": {
        "containerd": ["containerd", "containerd-shim-runc-v2", "ctr"],
        "runc": ["runc"],
        "cni-plugins": CNI_PLUGINS,
        "crictl": ["crictl"],
        "kubelet": ["kubelet"],
        "kube-proxy": ["kube-proxy"],
    },
}
# The Kubernetes release is one artifact; its programs are components of their own, so that each can be restarted alone.
KUBERNETES_PROGRAMS = {
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "kube-proxy",
}
# TLS 1.2 with forward secrecy and authenticated encryption only, by Go's names; those of TLS 1.3 are not to be chosen.
TLS_CIPHER_SUITES = [
    f"TLS_ECDHE_{key}_WITH_{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")
]
CONTROL_PLANE_TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
IMAGES = {
    "pause": "registry.k8s.io/pause:{pause}",
    "coredns": "registry.k8s.io/coredns/coredns:v{coredns}",
    "metrics-server": "registry.k8s.io/metrics-server/metrics-server:v{metrics-server}",
    "demo": "registry.kaas.local/demo:{demo}",
    "demo-next": "registry.kaas.local/demo:{demo-next}",
    "redis": "registry.kaas.local/redis:{redis}",
}
# The images of an add-on that has more than the one of its own name.
ADDON_IMAGES = {"demo": ["demo", "demo-next", "redis"]}


def merge(base, over):
    """Return ``over`` merged into ``base``: dictionaries key by key, anything else replaced. Changes neither."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    merged = dict(base)
    for key, value in over.items():
        merged[key] = merge(base[key], value) if key in base else value
    return merged


def plugins(cluster):
    """Yield ``(kind, name, content of its file)`` of the plug-ins that the cluster has chosen."""
    for kind, one in cluster["plugins"].items():
        if one["name"] is not None:
            yield kind, one["name"], one["known"][one["name"]]


# State files of a plug-in, for each the file that undoes it. `running` is what lives on a machine, `deployed` what
# lives in the Kubernetes API; `available` only waits.
UNDO = {"running": "absent", "deployed": "undeployed", "available": None}


def plugin_states(cluster, node):
    """Return ``{step: [state file, ...]}``: what ``node`` includes of plug-ins, in the steps of a highstate.

    ``undone`` takes away what the other plug-ins of a kind may have left here, so that a change of plug-in needs no
    hand. ``network`` is what the network has in the API, which comes before everything else; ``running``, ``deployed``
    and ``available`` are the files of these names. A plug-in's file says which of its state files belong to which
    groups of :func:`node_groups`.
    """
    groups = node_groups(cluster, node)
    found: dict[str, list[str]] = {"undone": [], "network": [], "running": [], "deployed": [], "available": []}
    for kind, one in cluster["plugins"].items():
        for name, data in one["known"].items():
            for state in [state for state, holders in data["states"].items() if groups & set(holders)]:
                if name == one["name"]:
                    step = "network" if (kind, state) == ("sdn", "deployed") else state
                    found[step].append(f"{kind}.{name}.{state}")
                elif UNDO[state]:
                    found["undone"].append(f"{kind}.{name}.{UNDO[state]}")
        if kind == "sdn" and "kubelet" in groups and not one["known"][one["name"]].get("facts", {}).get("bridge"):
            # What networks with the same bridge share is none of theirs alone to take away.
            found["undone"].append("cni-plugins.unbridged")
    return found


def minion_ids(cluster):
    """Return ``{minion id: node name}`` of a cluster; the id is ``<node>.<cluster>`` unless the node names its own."""
    return {node.get("id", f"{name}.{cluster['name']}"): name for name, node in cluster["nodes"].items()}


def with_role(cluster, role):
    """Return ``{node name: address}`` of the nodes with ``role``, in the order of the cluster file."""
    return {name: node["address"] for name, node in cluster["nodes"].items() if role in node["roles"]}


def versions(cluster, table, node=None):
    """Return ``{component: version}`` for the Kubernetes version of the cluster, or of one of its nodes.

    The key ``kubernetes`` of the cluster, and of a node that stays behind while an upgrade goes from node to node, is
    a minor (``"1.36"``) or a full version that stands in ``table`` (``pillar/data/versions.yaml``).
    """
    wanted = str(cluster["nodes"].get(node, {}).get("kubernetes", cluster["kubernetes"]))
    for minor, row in table["kubernetes"].items():
        if wanted in (minor, row["kubernetes"]):
            return dict(row)
    known = ", ".join(f"{minor} ({row['kubernetes']})" for minor, row in table["kubernetes"].items())
    raise ValueError(f"kubernetes {wanted} is not in the version table; choose one of: {known}")


def api(cluster):
    """Return ``{address, port, url, vip}``: where clients reach the API.

    Without ``api.address`` it is the first master's own apiserver; with it, an address that keepalived moves among the
    :func:`api_holders`.
    """
    masters = with_role(cluster, "master")
    vip = bool(cluster["api"].get("address"))
    address = cluster["api"].get("address") or next(iter(masters.values()))
    port = cluster["api"].get("port", 8443 if vip else 6443)
    host = f"[{address}]" if ":" in address else address
    return {"address": address, "port": port, "url": f"https://{host}:{port}", "vip": vip}


def api_holders(cluster):
    """Return ``{node name: address}`` of the nodes among which the API address moves; empty without such an address.

    These are the load balancers, or the masters of a cluster that has none.
    """
    if not api(cluster)["vip"]:
        return {}
    return with_role(cluster, "loadbalancer") or with_role(cluster, "master")


def balancer(cluster):
    """Return the balancer's settings with what follows for the load balancers in front of the cluster: ``address``,
    ``shared`` (whether it is the API's), ``reserved`` (``{port: what it is for}``) and ``backends`` (``{node name:
    address}`` of the nodes that lead to pods: the workers, or the masters of a cluster without any)."""
    settings = dict(cluster["balancer"])
    if settings.get("plugin") != "haproxy":
        return settings
    endpoint = api(cluster)
    own = settings["haproxy"]
    address = own.get("address", endpoint["address"])
    reserved = dict.fromkeys(own["reserved_ports"], "reserved in the cluster file")
    settings["haproxy"] = {
        **own,
        "address": address,
        "shared": address == endpoint["address"],
        "reserved": {**reserved, endpoint["port"]: "the API's", 22: "of SSH"},
        "backends": with_role(cluster, "worker") or with_role(cluster, "master"),
    }
    return settings


NETWORKS = ("nodes", "pods", "services")


def networks(cluster):
    """Return ``{"nodes": [IPv4 network], "pods": [...], "services": [...]}``, with the IPv6 network behind each of a
    cluster that has both address families."""
    wanted = {key: cluster["network"][key] for key in NETWORKS}
    return {key: [one] if isinstance(one, str) else list(one) for key, one in wanted.items()}


def network(cluster):
    """Return the cluster's network as whoever knows one address family reads it: ``nodes``, ``pods`` and ``services``
    are the IPv4 networks (:func:`networks` has all).

    With it come the derived service addresses ``service`` (first) and ``dns`` (tenth), and ``dual``: whether there is
    IPv6 too, with the DNS service's second address ``dns6`` then; ``pod_mtu`` (:func:`pod_mtu`), ``bridge``: whether
    the pods of a node are on the bridge cni0, and ``allocated``: whether kube-controller-manager gives nodes their pod
    networks.
    """
    every = networks(cluster)
    net = {**cluster["network"], **{key: first for key, (first, *_) in every.items()}}
    services, *services6 = [ipaddress.ip_network(one) for one in every["services"]]
    net.setdefault("dns", str(services[10]))
    net["service"] = str(services[1])
    net["dual"] = bool(services6)
    if services6:
        net["dns6"] = str(services6[0][10])
    net.setdefault("mtu", None)
    net["pod_mtu"] = pod_mtu(cluster)
    net["bridge"] = bool(sdn(cluster).get("bridge"))
    net["allocated"] = sdn(cluster).get("node_networks") != "topology"
    return net


def sdn(cluster):
    """Return the facts about the chosen network, from its file (docs/development/plugins.md)."""
    chosen = cluster["plugins"]["sdn"]
    return chosen["known"][chosen["name"]].get("facts", {})


def by_backend(cluster, fact, otherwise):
    """Return a fact about the chosen network that its file gives for each back end, or once for all."""
    value = sdn(cluster).get(fact, otherwise)
    backend = cluster["network"].get(cluster["plugins"]["sdn"]["name"], {}).get("backend")
    return value.get(backend, otherwise) if isinstance(value, dict) else value


def pod_mtu(cluster):
    """Return the largest packet of a pod, in bytes; None where `network.mtu` is left to the machines' interfaces."""
    mtu = cluster["network"].get("mtu")
    return mtu - by_backend(cluster, "overhead", 0) if mtu else None


# A node's share of the pod network, by IP version: the prefix that kube-controller-manager uses by default, too.
POD_SHARE = {4: 24, 6: 64}


def pod_networks(cluster, node):
    """Return the networks of a node's pods, one of each address family, where the cluster file decides about them.

    Without `nodes.NAME.pods` they follow from the node's address, and so stay when other nodes come and go: 172.28.0.11
    of 172.28.0.0/24 is number 11, and so are its pods' networks. Raises ValueError for a number that leads beyond all
    addresses.
    """
    mine = cluster["nodes"][node]
    if "pods" in mine:
        return [mine["pods"]] if isinstance(mine["pods"], str) else list(mine["pods"])
    every = networks(cluster)
    number = int(ipaddress.ip_address(mine["address"])) - int(ipaddress.ip_network(every["nodes"][0])[0])
    found = []
    for whole in [ipaddress.ip_network(text) for text in every["pods"]]:
        share = POD_SHARE[whole.version]
        first = int(whole[0]) + (number << (whole.max_prefixlen - share))
        found.append(str(ipaddress.ip_network((first, share))))
    return found


def decided_pod_networks(cluster):
    """Return ``{node: its pods' networks}`` where the cluster file decides and not kube-controller-manager; else {}."""
    if sdn(cluster).get("node_networks") != "topology":
        return {}
    kubelets = [name for name, node in cluster["nodes"].items() if KUBELET_ROLES & set(node["roles"])]
    return {name: pod_networks(cluster, name) for name in kubelets}


def routes(cluster, node):
    """Return ``{network: gateway}``: the ways from a node to the pods of all others, where the cluster file decides."""
    return {
        network: gateway
        for peer, networks_ in decided_pod_networks(cluster).items()
        if peer != node
        for network, gateway in zip(networks_, addresses(cluster, peer), strict=True)
    }


def kernel(cluster, node):
    """Return ``{what needs them: [kernel module, ...]}`` of a node that runs pods."""
    name = cluster["plugins"]["sdn"]["name"]
    found = {"containers": ["overlay", "br_netfilter"]}
    if cluster["network"]["proxy"] == "ipvs":
        found["network.proxy: ipvs"] = ["ip_vs"]
    modules = by_backend(cluster, "kernel", [])
    if modules:
        backend = cluster["network"].get(name, {}).get("backend")
        found[f"network.{name}.backend: {backend}" if backend else f"network.plugin: {name}"] = modules
    return found if KUBELET_ROLES & set(cluster["nodes"][node]["roles"]) else {}


def conflists(cluster):
    """Return ``{network plug-in: name of the CNI configuration that its pods are made with}`` of all that there are."""
    known = cluster["plugins"]["sdn"]["known"]
    return {name: data["facts"]["conflist"] for name, data in known.items() if "conflist" in data.get("facts", {})}


def unused(cluster):
    """Return the components that this cluster does without: no program, certificate or kubeconfig of theirs."""
    return ["kube-proxy"] if cluster["network"]["proxy"] == "none" else []


def purposes(cluster):
    """Return ``{purpose: row}``: the certificates that the chosen plug-ins add to those of Kubernetes itself."""
    return {purpose: row for _, _, data in plugins(cluster) for purpose, row in data.get("certificates", {}).items()}


def addresses(cluster, node):
    """Return the addresses by which Kubernetes knows a node: IPv4, and IPv6 in a cluster that has such networks."""
    mine = cluster["nodes"][node]
    dual = len(networks(cluster)["services"]) > 1
    return [mine["address"], *([mine["address6"]] if dual and "address6" in mine else [])]


def topology(cluster):
    """Return what both the CA minion and the nodes derive certificates from; holds no secret."""
    ids = {name: minion for minion, name in minion_ids(cluster).items()}
    return {
        "name": cluster["name"],
        "domain": cluster["domain"],
        "ca": cluster["ca"],
        "api": api(cluster),
        "network": network(cluster),
        "networks": networks(cluster),
        "certificates": cluster["certificates"],
        "purposes": purposes(cluster),
        "unused": unused(cluster),
        "nodes": {
            name: {
                "id": ids[name],
                "address": node["address"],
                "addresses": addresses(cluster, name),
                "roles": list(node["roles"]),
            }
            for name, node in cluster["nodes"].items()
        },
    }


def node_groups(cluster, node):
    """Return what tables call a node: its roles, ``kubelet`` where one runs, ``deployer`` for the first master."""
    groups = set(cluster["nodes"][node]["roles"])
    if groups & KUBELET_ROLES:
        groups.add("kubelet")
    if node == next(iter(with_role(cluster, "master")), None):
        groups.add("deployer")
    return groups


def node_artifacts(cluster, node):
    """Return ``{component: [file, ...]}`` that ``node`` installs."""
    groups = node_groups(cluster, node)
    wanted: dict[str, list[str]] = {}
    tables = [ROLE_ARTIFACTS[group] for group in ROLE_ARTIFACTS if group in groups]
    for _, _, data in plugins(cluster):
        tables += [table for group, table in data.get("artifacts", {}).items() if group in groups]
    for table in tables:
        for component, files in table.items():
            if component in unused(cluster):
                continue
            wanted[component] = sorted({*wanted.get(component, []), *files})
    if "cni-plugins" in wanted:
        # A file that the network's own installer puts there would be ours and its in turns.
        wanted["cni-plugins"] = sorted(set(wanted["cni-plugins"]) - set(sdn(cluster).get("brings", [])))
    return wanted


def verified(source, sums):
    """Return ``source`` (see :func:`artifacts`) with the cluster file's own sha256 before any other checksum.

    ``sums`` is ``{component: {file: sha256}}``. A file that nobody gives a checksum raises ValueError.
    """

    def found(artifact, version, name):
        entry = dict(source(artifact, version, name))
        own = sums.get(artifact, {}).get(name)
        if own:
            entry.pop("checksum", None)
            entry["sha256"] = own
        if not {"sha256", "checksum"} & set(entry):
            raise ValueError(
                f"artifacts: {entry['url']} has no published checksum: download it, convince yourself, and put its "
                f"sha256 into artifacts.sha256.{artifact} as '{name}'"
            )
        return entry

    return found


def artifacts(cluster, node, component_versions, source):
    """Return ``{component: {version, files: [{name, url, sha256, ...}]}}`` for ``node``.

    ``source(artifact, version, file)`` says where a file comes from and how it is verified.
    """
    found = {}
    for component, files in node_artifacts(cluster, node).items():
        artifact = "kubernetes" if component in KUBERNETES_PROGRAMS else component
        version = component_versions[artifact]
        found[component] = {
            "version": version,
            "files": [{"name": name, **source(artifact, version, name)} for name in files],
        }
    return found


def taints(node):
    """Return the node's taints: its own, and the control plane's for a master that is no worker."""
    control_plane = "master" in node["roles"] and "worker" not in node["roles"]
    return [*([dict(CONTROL_PLANE_TAINT)] if control_plane else []), *node.get("taints", [])]


def labels(node):
    """Return the labels the deployer puts on the Node object (a kubelet may not set ``node-role.kubernetes.io``)."""
    role = {"node-role.kubernetes.io/control-plane": ""} if "master" in node["roles"] else {}
    return {**role, **node.get("labels", {})}


# user -> (roles that hold it, certificate's path without suffix, reaches the node's own apiserver rather than the API
# address)
PKI = "/etc/kubernetes/pki"
KUBECONFIGS = {
    "admin": ({"master"}, f"{PKI}/admin", False),
    "super-admin": ({"master"}, f"{PKI}/super-admin", True),
    "controller-manager": ({"master"}, f"{PKI}/controller-manager", True),
    "scheduler": ({"master"}, f"{PKI}/scheduler", True),
    "kubelet": (KUBELET_ROLES, "/var/lib/kubelet/pki/kubelet-client", False),
    "kube-proxy": (KUBELET_ROLES, f"{PKI}/kube-proxy", False),
}


def kubeconfigs(cluster, node):
    """Return ``{user: kubeconfig}`` of a node. They name certificates by path, so renewal leaves them be."""
    roles = set(cluster["nodes"][node]["roles"])
    found = {}
    rows = dict(KUBECONFIGS)
    for purpose, row in purposes(cluster).items():
        rows[purpose] = (set(row["roles"]), row["file"], False)
    for user, (holders, certificate, local) in rows.items():
        if not holders & roles or user in unused(cluster):
            continue
        found[user] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": cluster["name"],
                    "cluster": {
                        "server": "https://127.0.0.1:6443" if local else api(cluster)["url"],
                        "certificate-authority": f"{PKI}/ca.crt",
                    },
                }
            ],
            "users": [
                {"name": user, "user": {"client-certificate": f"{certificate}.crt", "client-key": f"{certificate}.key"}}
            ],
            "contexts": [{"name": f"{user}@{cluster['name']}", "context": {"cluster": cluster["name"], "user": user}}],
            "current-context": f"{user}@{cluster['name']}",
        }
    return found


def images(cluster, words, digests):
    """Return ``{name: reference}`` of the cluster's images, by digest where ``digests`` (``{image: digest}``) knows it.

    A registry may serve anything under a tag; under a digest only that very image. The tag stays for people, but not in
    ``pause``: containerd protects that image from garbage collection by its reference, which it keeps without the tag.
    """
    found = {}
    wanted = {"pause", "coredns"}.union(*(ADDON_IMAGES.get(addon, [addon]) for addon in cluster["addons"]))
    templates = {name: text for name, text in IMAGES.items() if name in wanted}
    for _, _, data in plugins(cluster):
        templates.update(data.get("images", {}))
    for name, template in templates.items():
        tagged = template.format(**words)
        digest = digests.get(tagged)
        name_kept = tagged.rpartition(":")[0] if name == "pause" else tagged
        found[name] = f"{name_kept}@{digest}" if digest else tagged
    return found


def demo(cluster):
    """Return the demo's settings, and ``node``: the worker on whose disk its database lies (the first of the file).

    Without any worker (a warning of the checks) it is a master, where its pods wait like all others.
    """
    return {**cluster["demo"], "node": next(iter(with_role(cluster, "worker") or with_role(cluster, "master")))}


def derive(cluster, node, table, source, digests=()):
    """Return the node's pillar without secrets and certificates (the ext_pillar adds those).

    ``cluster`` merged cluster, ``node`` its name, ``table`` the version table, ``source`` as for :func:`artifacts`,
    ``digests`` as for :func:`images`.
    """
    mine = cluster["nodes"][node]
    roles = [role for role in ROLES if role in mine["roles"]]
    component_versions = versions(cluster, table, node)
    # What runs once in the cluster belongs to the cluster's version, what runs on the node to the node's.
    image_versions = {**versions(cluster, table), "pause": component_versions["pause"], **table["own"]}
    masters = with_role(cluster, "master")
    public = topology(cluster)
    data = {
        "roles": roles,
        "cluster": {key: public[key] for key in ("name", "domain", "ca", "api", "network", "networks")},
        "node": {
            "name": node,
            "id": public["nodes"][node]["id"],
            "address": mine["address"],
            "addresses": public["nodes"][node]["addresses"],
            "taints": taints(mine),
            "pods": decided_pod_networks(cluster).get(node, []),
            "routes": routes(cluster, node),
        },
        "versions": component_versions,
        "artifacts": artifacts(cluster, node, component_versions, source),
        "images": images(cluster, image_versions, dict(digests)),
        "kernel": kernel(cluster, node),
        "linux": sdn(cluster).get("linux"),
        "conflists": conflists(cluster),
        "registries": cluster["registries"],
        "kubeconfigs": kubeconfigs(cluster, node),
        "settings": {name: cluster[name] for name in ("kubelet", "kube_proxy", "containerd")},
        "plugins": plugin_states(cluster, node),
        "balancer": balancer(cluster),
        "gateway": cluster["gateway"],
        "tls_cipher_suites": TLS_CIPHER_SUITES,
    }
    if "demo" in cluster["addons"] and KUBELET_ROLES & set(roles):
        data["demo"] = demo(cluster)
    if {"etcd", "master"} & set(roles):
        members = with_role(cluster, "etcd")
        # The member on the same machine first: the apiserver prefers it while it answers.
        local_first = sorted(members.items(), key=lambda item: item[0] != node)
        data["etcd"] = {"members": members}
        data["etcd_endpoints"] = [f"https://{address}:2379" for _, address in local_first]
    if node in api_holders(cluster):
        data["api_holders"] = api_holders(cluster)
        data["masters"] = masters
        data["virtual_router_id"] = cluster["api"].get("virtual_router_id", 51)
    if "master" in roles:
        deployer = node == next(iter(masters))
        data.update(
            deployer=deployer,
            authentication=cluster["authentication"],
            admission=cluster["admission"],
        )
        if deployer:
            data["addons"] = cluster["addons"]
            data["rbac"] = cluster["rbac"]
            pods = decided_pod_networks(cluster)
            data["nodes"] = {
                name: {"labels": labels(peer), "taints": taints(peer), "pods": pods.get(name, [])}
                for name, peer in cluster["nodes"].items()
                if KUBELET_ROLES & set(peer["roles"])
            }
    return data
