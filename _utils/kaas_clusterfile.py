"""Cluster files on disk: where they are, and reading one with everything that is to be said about it.

The other modules of ``_utils`` come as a mapping ``{"kaas_yaml.read": function}`` with the names in :data:`NEEDS`: they
do not import each other, because a master that runs for long would keep old ones in memory.

roots
    The pillar roots: folders with ``clusters/<name>.sls`` and ``data``; the first that has a file wins.
finding
    ``{"path", "message", "check", "severity"}``, and ``"line"`` where it is known. Paths are relative to ``cluster``.
"""

import ipaddress
import json
import os
import re

import yaml

NEEDS = (
    "kaas_checks.findings",
    "kaas_schema.findings",
    "kaas_schema.load",
    "kaas_schema.plugins",
    "kaas_topology.by_backend",
    "kaas_topology.merge",
    "kaas_topology.pod_networks",
    "kaas_yaml.read",
)
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def data(roots, name):
    """Return the path of a table in ``data``; raise FileNotFoundError."""
    for root in roots:
        path = os.path.join(root, "data", name)
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(
        f"data/{name} is in none of the pillar_roots {list(roots)}: is the formula's pillar folder one of them?"
    )


def table(roots, name):
    """Return the content of a YAML table in ``data``."""
    with open(data(roots, name), encoding="utf-8") as handle:
        return yaml.load(handle, Loader=LOADER)


def files(roots):
    """Return ``{cluster name: path}`` of all cluster files."""
    found: dict[str, str] = {}
    for root in roots:
        folder = os.path.join(root, "clusters")
        for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if entry.endswith(".sls"):
                found.setdefault(entry[:-4], os.path.join(folder, entry))
    return found


def needs():
    """Return :data:`NEEDS`."""
    return NEEDS


def tables(utils, roots):
    """Return what cluster files are read with, the argument ``known`` of the functions below.

    ``utils``, ``roots``, ``schema`` (a validator), ``defaults``, ``versions``, ``fields``, ``plugins`` (``{kind: {name:
    content of its file}}``); ``read`` fills up with what was read.
    """
    return {
        "utils": utils,
        "roots": list(roots),
        "schema": utils["kaas_schema.load"](data(roots, "cluster.schema.json")),
        "defaults": table(roots, "defaults.yaml"),
        "versions": table(roots, "versions.yaml"),
        "fields": _fields(roots),
        "plugins": {kind: _plugins(roots, kind) for kind in utils["kaas_schema.plugins"]()},
        "read": {},
    }


def _plugins(roots, kind):
    """Return ``{name: content}`` of the files ``data/plugins/<kind>/<name>.yaml``; of a name, the first root's wins."""
    found: dict[str, dict] = {}
    for root in roots:
        folder = os.path.join(root, "data", "plugins", kind)
        for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            name, suffix = os.path.splitext(entry)
            if suffix == ".yaml" and name not in found:
                found[name] = table(roots, f"plugins/{kind}/{entry}")
    return found


def _fields(roots):
    with open(data(roots, "component-fields.json"), encoding="utf-8") as handle:
        return json.load(handle)


def complete(known, document):
    """Return the cluster of a document that the schema accepts, over its defaults and those of its plug-ins.

    Its key ``plugins``, which no file can have, is ``{kind: {"name": the chosen one or None, "known": {name: content of
    its file}}}``.
    """
    utils = known["utils"]
    cluster = utils["kaas_topology.merge"](known["defaults"], document["cluster"])
    plugins = {}
    for kind, (place, key) in utils["kaas_schema.plugins"]().items():
        name = cluster[place].get(key)
        plugins[kind] = {"name": name, "known": known["plugins"][kind]}
        if name is not None:
            defaults = known["plugins"][kind][name]["defaults"]
            cluster = utils["kaas_topology.merge"]({place: {name: defaults}}, cluster)
    return {**cluster, "plugins": plugins}


def read(known, path):
    """Return ``(cluster, findings, lines)`` of one file by itself, as far as YAML and the schema go.

    Sections of the cluster with findings are left out of it; it is None when nothing sound is left. ``lines`` is
    ``{path: line number}``. A file is read once per ``known``.
    """
    if path not in known["read"]:
        known["read"][path] = _read(known, path)
    return known["read"][path]


def _read(known, path):
    utils = known["utils"]
    document, lines, found = utils["kaas_yaml.read"](path)
    lines = {where.removeprefix("cluster."): line for where, line in lines.items()}
    found = [
        {**item, "path": item["path"].removeprefix("cluster."), "check": "yaml", "severity": "error"} for item in found
    ]
    if document is not None:
        # What YAML misread breaks the schema too: once is enough.
        told = {item["path"] for item in found}
        found += [item for item in utils["kaas_schema.findings"](known["schema"], document) if item["path"] not in told]
    return _sound(known, document, _sections(found)), found, lines


def _sections(found):
    """Return the sections of the cluster (the keys below ``cluster``) that findings are in."""
    return {re.split(r"[.\[]", item["path"])[0] for item in found}


def _sound(known, document, broken):
    """Return the cluster without its broken sections; what must be there is made up, for nobody to look at."""
    if not isinstance(document, dict) or not isinstance(document.get("cluster"), dict) or broken & {"", "cluster"}:
        return None
    made_up = {"name": "cluster", "kubernetes": next(iter(known["versions"]["kubernetes"])), "nodes": {}}
    made_up["network"] = {"nodes": "10.0.0.0/24"}
    sound = {key: value for key, value in document["cluster"].items() if key not in broken}
    return complete(known, {"cluster": {**{key: made_up[key] for key in broken & made_up.keys()}, **sound}})


def check(known, path, name=None, files=(), everyone=False):
    """Return ``(cluster, findings)`` of a cluster file; the cluster is None when one of the findings is an error.

    name
        What the cluster must be called; None allows any name.
    files
        ``{name: path}`` of cluster files to compare with: those that :func:`near` chooses, or with ``everyone`` all.
        Invalid ones are left out: they stop their own nodes.
    """
    cluster, found, lines = read(known, path)
    if cluster is not None:
        # A draft of a cluster is not compared with what it will replace.
        others = {other: where for other, where in dict(files).items() if where != path and other != cluster["name"]}
        others = others if everyone else near(cluster, others)
        compared = {other: read(known, where) for other, where in others.items()}
        compared = {other: one for other, (one, mistakes, _) in compared.items() if not mistakes}
        judge = known["utils"]["kaas_checks.findings"]
        derived = {one: known["utils"][f"kaas_topology.{one}"] for one in ("by_backend", "pod_networks")}
        found = found + judge(cluster, known["versions"], known["fields"], name, compared, _sections(found), derived)
    if any(item["severity"] == "error" for item in found):
        cluster = None
    return cluster, [{**item, "line": item.get("line") or _line(lines, item["path"])} for item in found]


def _line(lines, path):
    """Return the line of a path, or of the nearest thing around it that the file has."""
    while path and path not in lines:
        path = re.sub(r"(\.[^.\[]*|\[[0-9]+\]|^[^.\[]+)$", "", path)
    return lines.get(path, lines.get("cluster", 1))


def near(cluster, candidates):
    """Return those of ``candidates`` (``{name: path}``) whose text says that they may share network or machines.

    Reading all files for each node would take longer with each cluster; looking for a few words in them does not.
    """
    words, router = _words(cluster)
    ids = [node["id"] for node in cluster["nodes"].values() if "id" in node]
    found = {}
    for name, path in candidates.items():
        with open(path, encoding="utf-8", errors="replace") as handle:
            text = handle.read()
        # An id of ours may be another cluster's NODE.CLUSTER, which does not stand in its file.
        named = any(minion.partition(".")[2] == name for minion in ids)
        if named or any(word in text for word in words) or (router and router(text)):
            found[name] = path
    return found


def _words(cluster):
    """Return ``(words, router)``: what a file says that names one of our addresses or ids, and a function that tells
    whether its text may hold our VRRP router id, or a pool of addresses, in our network (None without a network)."""
    # A check wants IPv6 addresses in the one form that is shortest, so that text can be looked for.
    words = [node[key] for node in cluster["nodes"].values() for key in ("address", "address6") if key in node]
    words += [node["id"] for node in cluster["nodes"].values() if "id" in node]
    words += [f".{cluster['name']}", f"id: {cluster['ca']}"]
    try:
        nodes = cluster["network"]["nodes"]
        network = ipaddress.ip_network(nodes if isinstance(nodes, str) else nodes[0], strict=False)
    except ValueError:
        network = None  # a check says so
    if network is None:
        return words, None
    number = str(cluster["api"]["virtual_router_id"]) if cluster["api"].get("address") else None
    pools = cluster["plugins"]["balancers"]["name"] == "metallb"
    start = "".join(f"{octet}." for octet in str(network).split(".")[: network.prefixlen // 8])

    def router(text):
        if start in text and (pools or "pools" in text):
            return True
        said = re.findall(r"virtual_router_id[\"']?: *([0-9]+)", text)
        return number is not None and start in text and "api" in text and (number in said or not said)

    return [*words, *([cluster["api"]["address"]] if number else [])], router


def text(label, item):
    """Return a finding as one line: the file, the path in it, the message, and the name of the check."""
    name = "" if item["check"] in ("yaml", "schema") else f" ({item['check']})"
    return f"{label}: {item['path']} {item['message']}{name}".replace(":  ", ": ", 1)
