"""The contract of plug-ins on a living cluster: built, nothing to do the second time, taken away, nothing left."""

import kaas_schema
import pytest
from clusterfiles import choosing, known
from laboratory import difference

# Several machines show no more of this; what they do show is in test_55_networks and test_66_balancers.
CLUSTERS = {"mini"}
# What the lab has no images or no kernel for (docs/networks.md): {kind/name: why}.
NOT_HERE = {
    "sdn/calico": "its images cannot be had in the lab",
    "sdn/cilium": "its images cannot be had in the lab",
}
# Which other plug-in of a kind a network is changed to and back: a cluster without one has no pods.
PLUGINS = {f"{kind}/{name}": data for kind, all_ in known()["plugins"].items() for name, data in all_.items()}
LIVE = [name for name, data in PLUGINS.items() if data["states"] and name not in NOT_HERE]

# Everything that a plug-in could leave in the kernel or on the disk of a machine, besides what `fingerprint` has.
TRACES = r"""
ip -oneline link show | grep -vE ': (veth|lo|eth)' | sed -E 's/^[0-9]+: ([^:@]+).*/link \1/' | sort
ip -4 route show table all | grep -vE 'dev (veth|lo|eth)|^(local|broadcast|multicast)' | sed -E 's/ (linkdown|dead|onlink)//g; s/^/route /' | sort
nft list tables 2>/dev/null | sort
iptables-save 2>/dev/null | grep -E '^:' | grep -vE 'KUBE|(INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING)' | cut -d' ' -f1 | sort
find /etc/cni /opt/cni /run/flannel /var/lib/cni /etc/systemd/system -type f,l 2>/dev/null | grep -v '^/var/lib/cni/results/' | sort
ss -lntuH | awk '{print "listens", $1, $5}' | grep -vE ':(3[0-2][0-9]{3})$' | grep -vE '127\.0\.0\.1:[345][0-9]{4}$' | sort -u
"""
# Kinds of which the cluster itself makes and removes some all the time, or that it names anew (a Service that comes back).
PASSING = ("Event", "Lease", "Pod", "EndpointSlice", "ReplicaSet", "ControllerRevision", "PodMetrics", "NodeMetrics", "Endpoints", "IPAddress", "ServiceL2Status")


def objects(cluster):
    """``{"Kind namespace/name"}`` of everything in the API that lasts."""
    kinds = []
    for scope in ("true", "false"):
        listed = cluster.kubectl("api-resources", "--verbs=list", f"--namespaced={scope}", "--output=name").stdout
        kinds += [kind for kind in listed.split() if not kind.startswith("events") and ".metrics.k8s.io" not in kind]
    form = "custom-columns=K:.kind,N:.metadata.namespace,A:.metadata.name"
    text = cluster.kubectl("get", ",".join(kinds), "--all-namespaces", f"--output={form}", "--no-headers", check=False, timeout=120).stdout
    found = {" ".join(line.split()) for line in text.splitlines() if line.split()}
    return {line for line in found if not line.startswith(PASSING)}


def traces(cluster):
    """What can be seen of a plug-in on machines and in the API."""
    found = cluster.everywhere(lambda node: cluster.shell(node, TRACES, check=False).splitlines(), cluster.nodes)
    return {**found, "API": sorted(objects(cluster))}


def suits(cluster, name):
    """Whether this cluster can have the plug-in: some of its machines do something for it."""
    groups = {role for node in cluster.file.nodes for role in node.roles} | {"kubelet", "deployer"}
    return all(groups & set(where) for where in PLUGINS[name]["states"].values())


def test_every_plug_in_is_tried_or_has_a_reason():
    assert set(NOT_HERE) <= {name for name, data in PLUGINS.items() if data["states"]}


@pytest.mark.parametrize("name", LIVE)
def test_a_plug_in_comes_and_goes(cluster, name):
    """Chosen where it was not, or left out where it was: each way one highstate, then none has work; at the end all is as before."""
    kind, _, plugin = name.partition("/")
    place, key = kaas_schema.PLUGINS[kind]
    now = cluster.spec.get(place, {}).get(key, {"sdn": "flannel"}.get(kind))
    if not suits(cluster, name):
        pytest.skip(f"{cluster.name} has no machine for {name}")
    if kind == "sdn" and now == plugin:
        return  # what the cluster runs on all the time; the other networks' cases leave it and come back
    change = {place: {key: None}} if now == plugin else choosing(cluster.spec, place, key, plugin)
    if PLUGINS[name].get("facts", {}).get("node_networks") == "topology":
        # Kubernetes never lets go of a node's pod network (docs/networks.md).
        listed = cluster.get("nodes")["items"]
        change["nodes"] = {item["metadata"]["name"]: {"pods": item["spec"]["podCIDR"]} for item in listed}
    before = traces(cluster)
    with cluster.edited(change):
        cluster.highstate().assert_fine()
        cluster.highstate().assert_clean()
        assert difference(before, traces(cluster)) != {}, "nothing of it could be seen"
    cluster.highstate().assert_fine()
    cluster.highstate().assert_clean()
    cluster.wait_workloads()
    assert difference(before, traces(cluster)) == {}
