"""What pods' networks need of a machine's kernel, and what they leave there."""

import time

CONFLIST = "/etc/cni/net.d/10-kaas.conflist"


def fits(name, node, address, mtu=None, pods=(), conflist=CONFLIST):
    """
    The machine is what the cluster file says; to be asked before anything changes. Nothing is changed here.

    name
        Any text.
    node
        The node's name, for the message.
    address
        The address that an interface must have.
    mtu
        The packet, in bytes, that this interface must carry; None takes any.
    pods
        The networks of the node's pods, where the cluster file decides; the pods that run must be in these.
    conflist
        The CNI configuration that pods are made with.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": f"{address} is this machine's"}
    try:
        interface, found = __utils__["kaas_network.underlay"](address)
    except RuntimeError as error:
        return {**ret, "result": False, "comment": f"{error}; is iproute2 installed?"}
    have = __utils__["kaas_network.pod_networks"](conflist)
    problems = []
    if interface is None:
        problems.append(
            f"no interface has the address {address}: correct nodes.{node}.address, or the machine"
        )
    elif mtu and found < mtu:
        problems.append(
            f"{interface} has an MTU of {found}, network.mtu is {mtu}: raise it there, or write network.mtu: {found}"
        )
    if pods and have and sorted(have) != sorted(pods):
        text = have[0] if len(have) == 1 else f"[{', '.join(have)}]"
        problems.append(
            f"its pods are in {', '.join(have)}, the cluster file has {', '.join(pods)}: "
            f"write `pods: {text}` into nodes.{node}"
        )
    if problems:
        ret.update(result=False, comment="\n".join(f"{node}: {problem}" for problem in problems))
    return ret


def routes(name, routes, protocol, networks, table=None, ruleset=None):
    """
    The routes to other nodes' pods are these, and no others lead into the pod networks; the nftables rules are loaded.

    name
        Any text.
    routes
        ``{network: gateway}``.
    protocol
        Number, as text, by which these routes are told from others (``ip route``'s ``proto``).
    networks
        The pod networks: other routes into them are taken away, but for those that the kernel keeps itself.
    table, ruleset
        An nftables table (``ip kaas-routes``), and the file that makes it when it is not there.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": f"{len(routes)} routes are there"}
    try:
        live = __utils__["kaas_network.routes"](networks, [protocol])
        missing, surplus = __utils__["kaas_network.wanted_routes"](routes, live, protocol)
        load = bool(table) and not __utils__["kaas_network.tables"]([table])
        if missing:
            ret["changes"]["set"] = missing
        if surplus:
            ret["changes"]["removed"] = [route["to"] for route in surplus]
        if load:
            ret["changes"]["loaded"] = ruleset
        if not ret["changes"] or __opts__["test"]:
            return {**ret, "result": None, "comment": "Routes would be set"} if ret["changes"] else ret
        for network, gateway in missing.items():
            __utils__["kaas_network.set_route"](network, gateway, protocol)
        for route in surplus:
            __utils__["kaas_network.delete_route"](route)
        if load:
            __utils__["kaas_network.load"](ruleset)
    except RuntimeError as error:
        advice = "all nodes must be on one link, in network.nodes"
        return {**ret, "changes": {}, "result": False, "comment": f"{error}; {advice}"}
    return {**ret, "comment": ", ".join(ret["changes"])}


def bridged(name, config, address, mtu=None):
    """
    The CNI configuration is there, with the MTU that pods have.

    name
        Its path.
    config
        The configuration, whose first plug-in makes the bridge.
    address
        Without ``mtu``, pods have the MTU of the interface with this address.
    mtu
        The MTU of pods, in bytes.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": "The configuration is there"}
    try:
        mtu = mtu or __utils__["kaas_network.underlay"](address)[1]
        text = __utils__["kaas_network.with_mtu"](config, mtu)
        if __utils__["kaas_network.same"](name, text):
            return ret
        ret["changes"] = {"written": f"with an MTU of {mtu}"}
        if __opts__["test"]:
            return {**ret, "result": None, "comment": "The configuration would be written"}
        __utils__["kaas_network.write"](name, text)
    except (OSError, RuntimeError) as error:
        advice = "an interface must have this address, and the folder be writable"
        return {**ret, "changes": {}, "result": False, "comment": f"{error}; {advice}"}
    return {**ret, "comment": "The configuration was written"}


def absent(name, links=(), tables=(), chains=(), pods=False, protocols=(), idle=0):
    """
    The kernel has none of these: what a pod network leaves behind when its programs are gone.

    name
        Any text.
    links
        Interfaces, by name or pattern (``cali*``).
    tables
        nftables' tables (``ip kube-proxy``).
    chains
        Beginnings of names of iptables chains, of both families; rules that lead there go with them.
    pods, protocols
        Routes into the cluster's pod networks, and routes with these protocols, but for those that the kernel keeps
        itself. A machine that is no node any more has no pillar, and nobody knows its networks.
    idle
        Seconds to wait, before interfaces are removed, for the routes over them to lead elsewhere: other nodes may be
        on the way to the network that follows. After that they are removed all the same.
    """
    utils = __utils__
    ret = {"name": name, "changes": {}, "result": True, "comment": "Nothing is left"}
    networks = __pillar__.get("kaas", {}).get("cluster", {}).get("networks", {}).get("pods", []) if pods else []
    try:
        there = {
            "links": utils["kaas_network.links"](links),
            "tables": utils["kaas_network.tables"](tables),
            "chains": utils["kaas_network.chains"](chains),
            "routes": utils["kaas_network.routes"](networks, protocols),
        }
        removed = {kind: found for kind, found in there.items() if found}
        if not removed:
            return ret
        ret["changes"] = {"removed": {kind: [_label(one) for one in found] for kind, found in removed.items()}}
        if __opts__["test"]:
            return {**ret, "result": None, "comment": f"{', '.join(removed)} would be removed"}
        for route in there["routes"]:
            utils["kaas_network.delete_route"](route)
        deadline = time.monotonic() + idle
        while utils["kaas_network.routes_over"](there["links"]) and time.monotonic() < deadline:
            time.sleep(0.2)
        for link in there["links"]:
            utils["kaas_network.delete_link"](link)
        if there["chains"]:
            utils["kaas_network.delete_chains"](chains)
        if there["tables"]:
            utils["kaas_network.delete_tables"](there["tables"])
    except RuntimeError as error:
        advice = "end what uses it, then apply this again"
        return {**ret, "changes": {}, "result": False, "comment": f"{error}; {advice}"}
    return {**ret, "comment": f"{', '.join(removed)} removed"}


def _label(one):
    return one["to"] if isinstance(one, dict) else one
