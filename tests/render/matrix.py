"""What the state files are rendered for: topologies, each plug-in on clusters of every shape, and each other choice.

A topology is a cluster file of ``pillar/clusters`` or ``pillar/examples``; all of them are found, none is listed here.
A plug-in is tried, as its file's defaults have it, on the clusters of the lab, which have every role alone and together.
Of nodes that differ in name and address alone one is taken: their pillar has the same keys, so the hundred nodes of a
large cluster render as their few kinds do. Choices that one component reads (proxy mode, flannel back end, ...) are
tried on the smallest topology only, whose one node is everything at once: nothing else reads them.
"""

import copy
import functools
import json

import clusterfiles
import formula
import kaas_schema
import kaas_topology
import yaml

FOLDERS = ("clusters", "examples")
LAB = ("demo", "mini", "split")
SMALLEST = "mini"
# Choices that no enumeration of the schema lists: {name: what is merged over the smallest topology's cluster}.
CHOICES = {
    "mtu": {"network": {"mtu": 1400}},
    "no-addons": {"addons": []},
    "gateway-with-certificate": {"gateway": {"plugin": "traefik", "traefik": {"certificate": "wildcard"}}},
    "gateway-without-gateway": {"gateway": {"plugin": "traefik", "traefik": {"gateway": False}}},
    "cilium-without-kube-proxy": {"network": {"plugin": "cilium", "proxy": "none"}},
    "bgp-alone": {
        "balancer": {
            "plugin": "metallb",
            "metallb": {
                "pools": [{"name": "edge", "addresses": ["192.0.2.0/28"], "mode": "bgp"}],
                "peers": [{"address": "172.29.0.2", "asn": 64512, "my_asn": 64513}],
            },
        }
    },
    "no-event-limit": {"admission": {"event_rate_limit": []}},
    "bindings": {
        "rbac": {
            "bindings": [
                {"name": "viewers", "cluster_role": "view", "groups": ["oidc:staff"]},
                {"name": "shop", "cluster_role": "edit", "namespace": "shop", "users": ["oidc:jane"]},
            ]
        }
    },
}


# What a choice of the schema takes besides itself: {(path, value): what is merged over the cluster}.
COMPANIONS: dict = {
    (("network", "proxy"), "none"): {"acknowledge": ["services-have-a-proxy"]},
    # nobody publishes a checksum of the Gateway API's definitions
    (("artifacts", "source"), "upstream"): {"artifacts": {"sha256": {"gateway-api": {"crds.yaml": "0" * 64}}}},
}


def topologies():
    """Return ``{name: cluster}`` of all cluster files, as they are."""
    files = [path for folder in FOLDERS for path in sorted((formula.ROOT / "pillar" / folder).glob("*.sls"))]
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))["cluster"] for path in files}


@functools.cache
def schema():
    """Return the JSON schema of a cluster."""
    document = json.loads((formula.DATA / "cluster.schema.json").read_text(encoding="utf-8"))
    return document, _resolved(document, document["properties"]["cluster"])


def _resolved(document, part):
    while "$ref" in part:
        target = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        part = target
    return part


def enumerations(document, part, path=()):
    """Yield ``(path, values)`` of every property below ``part`` that has one of some fixed values."""
    for key, child in _resolved(document, part).get("properties", {}).items():
        child = _resolved(document, child)
        if "enum" in child:
            yield (*path, key), child["enum"]
        else:
            yield from enumerations(document, child, (*path, key))


def overlay(path, value):
    """Return the nested dictionary that sets one value: ``overlay(("a", "b"), 1) == {"a": {"b": 1}}``."""
    for key in reversed(path):
        value = {key: value}
    return value


def suits(cluster, kind, plugin):
    """Whether a cluster has machines for all states of a plug-in."""
    path = formula.DATA / "plugins" / kind / f"{plugin}.yaml"
    states = yaml.safe_load(path.read_text(encoding="utf-8"))["states"]
    groups = {role for node in cluster["nodes"].values() for role in node["roles"]} | {"kubelet", "deployer"}
    return all(groups & set(where) for where in states.values())


def cases():
    """
    Return ``({topology: cluster}, {choice: cluster})``.

    The name of each cluster is its case's, so that each has its own file and pillar.
    """
    choices = dict(enumerations(*schema()))
    found = dict(topologies())
    for kind, (place, key) in kaas_schema.PLUGINS.items():
        for plugin in choices.pop((place, key)):
            for name in LAB:
                if found[name].get(place, {}).get(key) != plugin and suits(found[name], kind, plugin):
                    own = clusterfiles.choosing(found[name], place, key, plugin)
                    found[f"{name}-{plugin}"] = kaas_topology.merge(found[name], own)
    small, other = topologies()[SMALLEST], {}
    for path, values in choices.items():
        for value in values:
            name = f"{SMALLEST}-{'-'.join(path)}-{value}".lower().replace("_", "-")
            choice = kaas_topology.merge(overlay(path, value), COMPANIONS.get((path, value), {}))
            other[name] = kaas_topology.merge(small, choice)
    for name, choice in CHOICES.items():
        other[f"{SMALLEST}-{name}"] = kaas_topology.merge(small, choice)
    return tuple(
        {name: {**copy.deepcopy(cluster), "name": name} for name, cluster in group.items()} for group in (found, other)
    )


def kinds(cluster):
    """Return ``{kind: minion id}``: the first node of each kind.

    Two nodes are of one kind when they have the same roles and settings, and both or none of them is the deployer.
    """
    first_master = next(iter(kaas_topology.with_role(cluster, "master")), None)
    found = {}
    for minion_id, name in kaas_topology.minion_ids(cluster).items():
        node = {key: value for key, value in cluster["nodes"][name].items() if key not in ("address", "id")}
        settings = json.dumps({key: value for key, value in node.items() if key != "roles"}, sort_keys=True)
        words = [*sorted(node["roles"]), *(["deployer"] if name == first_master else [])]
        found.setdefault("+".join(words) + (f" {settings}" if settings != "{}" else ""), minion_id)
    return found
