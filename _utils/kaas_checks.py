"""What is wrong with a cluster file: the JSON Schema, then the cross-checks that no schema can say.

A problem is a dictionary ``{"path": "network.pods", "message": "..."}``; the path is relative to the key ``cluster``.
All problems are found in one go. Each cross-check is one small function ``(cluster, table) -> iterable of problems`` in
:data:`CHECKS` and may rely on the schema having passed.
"""

import difflib
import ipaddress
import json

from jsonschema import Draft202012Validator, FormatChecker

MIN_PODS_PER_NODE_PREFIX = 24


def problem(path, message):
    """Return one finding."""
    return {"path": path, "message": message}


def load_schema(path):
    """Return a validator for the schema file at ``path``."""
    with open(path, encoding="utf-8") as handle:
        return Draft202012Validator(json.load(handle), format_checker=FormatChecker())


def _dotted(parts):
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _describe(error):
    """Return problems for one jsonschema error, in the words of somebody who edits the file."""
    path = _dotted(error.absolute_path)
    prefix = f"{path}." if path else ""
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {})
        for key in error.instance:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(sorted(known))}"
                yield problem(f"{prefix}{key}", f"unknown key; {hint}")
    elif error.validator == "required":
        for key in error.validator_value:
            if key not in error.instance:
                yield problem(f"{prefix}{key}", "is missing")
    elif error.validator == "enum":
        near = difflib.get_close_matches(str(error.instance), [str(value) for value in error.validator_value], n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        yield problem(path, f"'{error.instance}' is not one of: {', '.join(map(str, error.validator_value))}{hint}")
    elif error.validator == "type":
        found = "null" if error.instance is None else type(error.instance).__name__
        yield problem(path, f"must be of type {error.validator_value}, found {found} {error.instance!r:.60}")
    else:
        yield problem(path, error.message[:300])


def schema_problems(validator, document):
    """Return the schema's problems with the whole document (``{"cluster": ..., "lab": ...}``)."""
    found = []
    for error in sorted(validator.iter_errors(document), key=lambda error: [str(part) for part in error.absolute_path]):
        for item in _describe(error):
            path = item["path"].removeprefix("cluster.")
            if problem(path, item["message"]) not in found:
                found.append(problem(path, item["message"]))
    return found


def _network(text):
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _networks(cluster):
    nets = {key: _network(cluster["network"][key]) for key in ("nodes", "pods", "services")}
    return {key: net for key, net in nets.items() if net}


def networks_are_networks(cluster, _table):
    """A CIDR must be a network address: 10.0.0.1/16 is a host."""
    for key in ("nodes", "pods", "services"):
        try:
            ipaddress.ip_network(cluster["network"][key])
        except ValueError as error:
            yield problem(f"network.{key}", str(error))


def networks_do_not_overlap(cluster, _table):
    """Pods, services and nodes must be disjoint, or traffic goes to the wrong one."""
    nets = list(_networks(cluster).items())
    for index, (key, net) in enumerate(nets):
        for other_key, other in nets[:index]:
            if net.overlaps(other):
                yield problem(f"network.{key}", f"{net} overlaps network.{other_key} {other}")


def pods_fit_the_nodes(cluster, _table):
    """Each node gets a /24 of the pod network."""
    pods = _networks(cluster).get("pods")
    if pods is None:
        return
    room = 2 ** (MIN_PODS_PER_NODE_PREFIX - pods.prefixlen) if pods.prefixlen <= MIN_PODS_PER_NODE_PREFIX else 0
    if room < len(cluster["nodes"]):
        yield problem(
            "network.pods",
            f"{pods} has room for {room} nodes (a /24 each), the cluster has {len(cluster['nodes'])}: "
            "use a larger network",
        )


def services_are_large_enough(cluster, _table):
    """The tenth service address is the DNS server's."""
    services = _networks(cluster).get("services")
    if services is None:
        return
    if services.num_addresses < 16:
        yield problem("network.services", f"{services} is too small: use a /28 or larger")
    elif services.prefixlen < 12:
        yield problem("network.services", f"{services} is too large: kube-apiserver takes a /12 or smaller")
    elif "dns" in cluster["network"] and ipaddress.ip_address(cluster["network"]["dns"]) not in services:
        yield problem("network.dns", f"{cluster['network']['dns']} is not inside network.services {services}")


def addresses_are_unique(cluster, _table):
    """Two nodes with one address, or a node with the API's, take each other's traffic."""
    owners = {}
    if cluster["api"].get("address"):
        owners[cluster["api"]["address"]] = "api.address"
    for name, node in cluster["nodes"].items():
        path = f"nodes.{name}.address"
        if node["address"] in owners:
            yield problem(path, f"{node['address']} is already {owners[node['address']]}")
        owners.setdefault(node["address"], path)


def addresses_lie_in_the_node_network(cluster, _table):
    """Nodes and the API's virtual address share network.nodes."""
    net = _networks(cluster).get("nodes")
    if net is None:
        return
    claimed = {f"nodes.{name}.address": node["address"] for name, node in cluster["nodes"].items()}
    if cluster["api"].get("address"):
        claimed["api.address"] = cluster["api"]["address"]
    for path, address in claimed.items():
        if ipaddress.ip_address(address) not in net:
            yield problem(path, f"{address} is not inside network.nodes {net}")
        elif net.num_addresses > 2 and ipaddress.ip_address(address) in (net.network_address, net.broadcast_address):
            yield problem(path, f"{address} is the network or broadcast address of {net}")


def minion_ids_are_unique(cluster, _table):
    """The CA and the ext_pillar know a node by its minion id."""
    owners = {cluster["ca"]: "ca"}
    for name, node in cluster["nodes"].items():
        minion = node.get("id", f"{name}.{cluster['name']}")
        if minion in owners:
            yield problem(f"nodes.{name}.id", f"{minion} is already the minion id of {owners[minion]}")
        owners.setdefault(minion, f"nodes.{name}")


def etcd_is_odd(cluster, _table):
    """An even number of etcd members survives no more failures than one fewer, and can split in halves."""
    members = [name for name, node in cluster["nodes"].items() if "etcd" in node["roles"]]
    if not members:
        yield problem("nodes", "no node has the role etcd: give it to 1, 3 or 5 nodes")
    elif len(members) % 2 == 0:
        yield problem("nodes", f"{len(members)} nodes have the role etcd ({', '.join(members)}): use an odd number")


def masters_have_an_address(cluster, _table):
    """More than one master needs one address for all of them."""
    masters = [name for name, node in cluster["nodes"].items() if "master" in node["roles"]]
    if not masters:
        yield problem("nodes", "no node has the role master")
    elif len(masters) > 1 and not cluster["api"].get("address"):
        yield problem("api.address", f"is missing: {len(masters)} masters need one virtual address in network.nodes")


def api_port_is_free(cluster, _table):
    """haproxy shares its machine with the apiserver."""
    if cluster["api"].get("address") and cluster["api"].get("port") == 6443:
        yield problem("api.port", "6443 is the apiservers' own port on the masters: choose another, for example 8443")


def version_is_supported(cluster, table):
    """Only versions of the table are tested together."""
    wanted = str(cluster["kubernetes"])
    known = table["kubernetes"]
    if not any(wanted in (minor, row["kubernetes"]) for minor, row in known.items()):
        choices = ", ".join(f"{minor} ({row['kubernetes']})" for minor, row in known.items())
        yield problem("kubernetes", f"{wanted} is not supported; choose one of: {choices}")


def renewal_comes_before_expiry(cluster, _table):
    """Renewing earlier than the lifetime would renew at every run."""
    times = cluster["certificates"]
    if times["renew_before_days"] >= times["days"]:
        yield problem(
            "certificates.renew_before_days",
            f"{times['renew_before_days']} must be less than certificates.days {times['days']}",
        )


def addons_have_their_needs(cluster, _table):
    """The demo's HorizontalPodAutoscaler reads metrics."""
    if "demo" in cluster["addons"] and "metrics-server" not in cluster["addons"]:
        yield problem("addons", "demo needs metrics-server (its HorizontalPodAutoscaler reads metrics)")


CHECKS = (
    networks_are_networks,
    networks_do_not_overlap,
    pods_fit_the_nodes,
    services_are_large_enough,
    addresses_are_unique,
    addresses_lie_in_the_node_network,
    minion_ids_are_unique,
    etcd_is_odd,
    masters_have_an_address,
    api_port_is_free,
    version_is_supported,
    renewal_comes_before_expiry,
    addons_have_their_needs,
)


def cross_problems(cluster, table):
    """Return the cross-checks' problems with a cluster that has its defaults."""
    return [item for check in CHECKS for item in check(cluster, table)]


def message(file, problems):
    """Return one text for all problems, each with file, path and reason."""
    return "\n".join(f"{file}: {item['path']} {item['message']}".replace(":  ", ": ") for item in problems)
