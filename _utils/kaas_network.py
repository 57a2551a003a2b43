"""The network of a machine as its kernel has it: interfaces, routes, nftables tables, iptables chains.

Read and changed by the programs ip, nft, iptables-save and iptables-restore; one that is not installed has made nothing.
"""

import contextlib
import fnmatch
import ipaddress
import json
import os
import shutil
import subprocess

FAMILIES = {4: "-4", 6: "-6"}
IPTABLES = {4: "iptables", 6: "ip6tables"}


def run(argv, stdin=None):
    """Run a program; return its output, "" where it is not installed. Raises RuntimeError with its words."""
    if not shutil.which(argv[0]):
        return ""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _json(argv):
    return json.loads(run(argv) or "[]")


# -- interfaces ----------------------------------------------------------------------------------------------------


def interfaces():
    """Return ``{name: {"mtu": bytes, "addresses": [address, ...]}}``."""
    return {
        one["ifname"]: {"mtu": one["mtu"], "addresses": [where["local"] for where in one["addr_info"] if "local" in where]}
        for one in _json(["ip", "-json", "address", "show"])
        if "ifname" in one
    }


def links(patterns):
    """Return the names of the interfaces that match one of ``patterns`` (``["flannel.1", "cali*"]``)."""
    return [name for name in interfaces() if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def delete_link(name):
    """Remove an interface. Raises RuntimeError; one that went meanwhile is fine."""
    try:
        run(["ip", "link", "delete", name])
    except RuntimeError:
        if name in interfaces():
            raise


# -- routes --------------------------------------------------------------------------------------------------------


def routes(networks=(), protocols=()):
    """Return the routes of the main table into ``networks``, or with one of ``protocols`` (their numbers or names).

    ``[{"to": network, "via": gateway or None, "dev": interface, "protocol": name or number as text, "family": 4 or 6}]``.
    Those that the kernel keeps for an interface's own addresses are left out.
    """
    inside = [ipaddress.ip_network(one) for one in networks]
    found = []
    for family, option in FAMILIES.items():
        for route in _json(["ip", "-json", option, "route", "show", "table", "main"]):
            protocol = str(route.get("protocol", ""))
            if protocol == "kernel" or route["dst"] == "default" or "dev" not in route:
                continue
            to = ipaddress.ip_network(route["dst"])
            if protocol in protocols or any(to.version == net.version and to.subnet_of(net) for net in inside):
                via = route.get("gateway")
                found.append({"to": str(to), "via": via, "dev": route["dev"], "protocol": protocol, "family": family})
    return found


def routes_over(links):
    """Return the networks to which routes lead over one of ``links``."""
    every = routes(["0.0.0.0/0", "::/0"]) if links else []
    return [route["to"] for route in every if route["dev"] in links]


def wanted_routes(wanted, live, protocol):
    """Return ``(missing, surplus)`` for ``wanted`` ``{network: gateway}`` and what :func:`routes` found.

    A wanted network whose route is another's or leads elsewhere is missing: to set it replaces that one.
    """
    good = {route["to"] for route in live if (route["via"], route["protocol"]) == (wanted.get(route["to"]), protocol)}
    missing = {network: gateway for network, gateway in wanted.items() if network not in good}
    return missing, [route for route in live if route["to"] not in wanted]


def set_route(network, gateway, protocol):
    """Make a route, in the place of whatever leads to the same network. Raises RuntimeError."""
    option = FAMILIES[ipaddress.ip_network(network).version]
    run(["ip", option, "route", "replace", network, "via", gateway, "proto", protocol])


def delete_route(route):
    """Remove a route that :func:`routes` found. Raises RuntimeError; one that went meanwhile is fine."""
    try:
        run(["ip", FAMILIES[route["family"]], "route", "delete", route["to"], "dev", route["dev"]])
    except RuntimeError:
        if route in routes([route["to"]], [route["protocol"]]):
            raise


# -- filters -------------------------------------------------------------------------------------------------------


def tables(names):
    """Return those of nftables' tables ``names`` (``["ip kube-proxy"]``) that exist."""
    listed = json.loads(run(["nft", "--json", "list", "tables"]) or '{"nftables": []}')["nftables"]
    there = {f"{one['table']['family']} {one['table']['name']}" for one in listed if "table" in one}
    return [name for name in names if name in there]


def delete_tables(names):
    """Remove nftables' tables with all that is in them. Raises RuntimeError."""
    run(["nft", "-f", "-"], stdin="".join(f"delete table {name}\n" for name in names))


def load(path):
    """Load a file of nftables rules, all at once. Raises RuntimeError."""
    run(["nft", "-f", path])


def without_chains(saved, prefixes):
    """Return ``(chains, script)``: the chains of ``iptables-save`` output whose names begin with one of ``prefixes``, as
    ``["nat KUBE-SERVICES"]``, and the ``iptables-restore --noflush`` script that removes them and the rules that lead there."""
    chains, script, table, part = [], [], "", {"flush": [], "delete": [], "remove": []}
    for line in saved.splitlines():
        if line.startswith("*"):
            table, part = line[1:], {"flush": [], "delete": [], "remove": []}
        elif line.startswith(":") and line[1:].startswith(tuple(prefixes)):
            name = line[1:].split()[0]
            chains.append(f"{table} {name}")
            part["flush"].append(f":{name} - [0:0]")
            part["remove"].append(f"-X {name}")
        elif line.startswith("-A "):
            words = line.split()
            targets = [after for word, after in zip(words, words[1:], strict=False) if word in ("-j", "-g")]
            if targets and targets[0].startswith(tuple(prefixes)) and not words[1].startswith(tuple(prefixes)):
                part["delete"].append(f"-D {line[3:]}")
        elif line == "COMMIT" and part["flush"]:
            script += [f"*{table}", *part["flush"], *part["delete"], *part["remove"], "COMMIT"]
    return chains, "".join(f"{line}\n" for line in script)


def chains(prefixes):
    """Return the iptables chains, of both families, whose names begin with one of ``prefixes``."""
    found = {
        family: without_chains(run([f"{program}-save"]), prefixes)[0] if prefixes else []
        for family, program in IPTABLES.items()
    }
    return [f"{IPTABLES[family]} {chain}" for family, names in found.items() for chain in names]


def delete_chains(prefixes):
    """Remove the iptables chains whose names begin with one of ``prefixes``, and the rules that lead there."""
    for program in IPTABLES.values():
        _, script = without_chains(run([f"{program}-save"]), prefixes)
        if script:
            run([f"{program}-restore", "--noflush"], stdin=script)


# -- what pods have ------------------------------------------------------------------------------------------------


def underlay(address):
    """Return ``(interface, its MTU in bytes)`` of the interface with an address; ``(None, None)`` without one."""
    for name, one in interfaces().items():
        if address in one["addresses"]:
            return name, one["mtu"]
    return None, None


def pod_networks(path):
    """Return the networks that a bridge's CNI configuration gives pods addresses of; none where there is no such file."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError), open(path, encoding="utf-8") as handle:
        ranges = json.load(handle)["plugins"][0]["ipam"]["ranges"]
        return [part["subnet"] for group in ranges for part in group]
    return []


def with_mtu(config, mtu):
    """Return a bridge's CNI configuration as text, with an MTU. Raises RuntimeError for none."""
    if not mtu:
        raise RuntimeError("no interface says how large packets may be")
    first, *rest = config["plugins"]
    return json.dumps({**config, "plugins": [{**first, "mtu": mtu}, *rest]}, indent=1) + "\n"


def same(path, text):
    """Return whether a file has this text, and is for root alone."""
    try:
        with open(path, encoding="utf-8") as handle:
            return handle.read() == text and os.stat(path).st_mode & 0o777 == 0o600
    except FileNotFoundError:
        return False


def write(path, text):
    """Put a file in its place at once, for root alone. Raises OSError.

    It is made in the same folder: containerd takes note of a file that is renamed there, not of one that comes from
    elsewhere, and reads none whose name ends like this.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    draft = f"{path}.new"
    with open(draft, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as handle:
        handle.write(text)
    os.chmod(draft, 0o600)
    os.replace(draft, path)
