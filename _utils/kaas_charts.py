"""What the networks' own Helm charts are given: from a cluster to the values of a chart. Pure; no Salt, no I/O.

The keys are those of the charts (``values.yaml`` of the versions in ``pillar/data/versions.yaml``);
docs/networks-calico-cilium.md lists them with their source. ``network.NAME.values`` of the cluster file is merged last,
so that nothing of a chart is out of reach.
"""

# Settings of the cluster file -> the encapsulation of Calico's IP pool, and whether BGP tells the routes.
CALICO = {"vxlan": ("VXLAN", False), "vxlan-cross-subnet": ("VXLANCrossSubnet", True), "bgp": ("None", True)}
# kube-proxy and Calico must program the same part of the kernel.
DATAPLANES = {"nftables": "Nftables"}


def calico(cluster, network, api):
    """Return the values of the chart tigera-operator.

    cluster
        The cluster over its defaults. ``network`` and ``api`` as ``kaas_topology`` derives them.
    """
    settings = network["calico"]
    encapsulation, bgp = CALICO[settings["backend"]]
    pool = {
        "name": "default-ipv4-ippool",
        "cidr": network["pods"],
        "blockSize": settings["block_size"],
        "encapsulation": encapsulation,
        "natOutgoing": "Enabled",
        "nodeSelector": "all()",
    }
    calico_network = {
        "bgp": "Enabled" if bgp else "Disabled",
        "ipPools": [pool],
        # The interface that has the node's address, whatever else the machine has.
        "nodeAddressAutodetectionV4": {"cidrs": [network["nodes"]]},
        "linuxDataplane": DATAPLANES.get(network["proxy"], "Iptables"),
    }
    if network["pod_mtu"]:
        calico_network["mtu"] = network["pod_mtu"]
    return {
        "installation": {"enabled": True, "cni": {"type": "Calico"}, "calicoNetwork": calico_network},
        "apiServer": {"enabled": True},
        # Flow logs and their web page are for whoever asks for them.
        "goldmane": {"enabled": False},
        "whisker": {"enabled": False},
        # The operator and Calico need the API before there are services.
        "kubernetesServiceEndpoint": {"host": api["address"], "port": str(api["port"])},
    }


def cilium(cluster, network, api):
    """Return the values of the chart cilium; arguments as for :func:`calico`."""
    settings = network["cilium"]
    native = settings["backend"] == "native"
    values = {
        "cluster": {"name": cluster["name"], "id": 0},
        "ipam": {"mode": "kubernetes"},
        "k8sServiceHost": api["address"],
        "k8sServicePort": str(api["port"]),
        "kubeProxyReplacement": "true" if network["proxy"] == "none" else "false",
        "routingMode": "native" if native else "tunnel",
        "cni": {"exclusive": True},
        "operator": {"replicas": 2 if sum(map(_runs_pods, cluster["nodes"].values())) > 1 else 1},
        # It would need certificates that the chart makes anew at each rendering.
        "hubble": {"enabled": False},
    }
    if native:
        values.update(ipv4NativeRoutingCIDR=network["pods"], autoDirectNodeRoutes=True)
    else:
        values["tunnelProtocol"] = settings["backend"]
    if network["mtu"]:
        values["MTU"] = network["mtu"]  # the underlay's: Cilium takes its own overhead off
    return values


def _runs_pods(node):
    return bool({"master", "worker"} & set(node["roles"]))


VALUES = {"calico": calico, "cilium": cilium}


def merged(base, over):
    """Return ``over`` merged into ``base``: dictionaries key by key, anything else replaced. Changes neither."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{key: merged(base[key], value) if key in base else value for key, value in over.items()}}


def values(cluster, network, api):
    """Return ``{plug-in: values of its chart}`` of the chosen network; empty where it has no chart."""
    name = cluster["plugins"]["sdn"]["name"]
    if name not in VALUES:
        return {}
    return {name: merged(VALUES[name](cluster, network, api), network[name].get("values", {}))}
