"""Cluster files checked as everywhere else, without Salt."""

import importlib.machinery
import importlib.util
import pathlib

import formula
import kaas_clusterfile
import yaml

CORPUS = pathlib.Path(__file__).parent / "unit" / "corpus"
ROOT = str(formula.ROOT / "pillar")


def program(name):
    """Import a program of the folder ``pillar``."""
    loader = importlib.machinery.SourceFileLoader(f"pillar_{name}", f"{ROOT}/{name}")
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def known():
    """Return what cluster files are read with; nothing is read yet."""
    return kaas_clusterfile.tables(program("validate").functions(), [ROOT])


def good():
    """Return the document of the corpus that uses every key."""
    return yaml.safe_load((CORPUS / "good.sls").read_text(encoding="utf-8"))


def patched(document, change):
    """Return ``document`` with a JSON merge patch: mappings are merged, None takes a key away, the rest is replaced."""
    if not isinstance(change, dict):
        return change
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patched(result.get(key), value)
    return result


def pool(cluster):
    """Return a pool of ten addresses of the node network that the lab's clusters leave free."""
    nodes = cluster["network"]["nodes"]
    prefix = (nodes if isinstance(nodes, str) else nodes[0]).rsplit(".", 1)[0]
    return {"name": "default", "addresses": [f"{prefix}.200-{prefix}.209"]}


# What a plug-in cannot do without, as it has no default: {(place, plug-in): settings, made from the cluster}.
NEEDED: dict = {("balancer", "metallb"): lambda cluster: {"pools": [pool(cluster)]}}


def choosing(cluster, place, key, plugin):
    """Return what is merged over a cluster so that it chooses a plug-in, with the settings that this one must have."""
    settings = {plugin: NEEDED[place, plugin](cluster)} if (place, plugin) in NEEDED else {}
    if (place, key) == ("network", "plugin") and not formula.plugin("sdn", plugin).get("facts", {}).get("dual_stack"):
        # It joins pods by IPv4 alone: of a cluster with both address families, the IPv4 networks remain.
        both = {name: one for name, one in cluster["network"].items() if isinstance(one, list)}
        settings |= {name: first for name, (first, *_) in both.items()}
    return {place: {key: plugin, **settings}}


def said(folder, content, neighbours=(), tables=None):
    """Return ``(cluster or None, lines)`` for a file ``good.sls`` below ``folder`` with this text or document.

    A line is ``[warning: ]path message (check)``. ``neighbours`` are paths of files it is compared with.
    """
    path = pathlib.Path(folder) / "good.sls"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    others = {pathlib.Path(other).stem: str(other) for other in neighbours}
    cluster, found = kaas_clusterfile.check(tables or known(), str(path), "good", others)
    lines = [kaas_clusterfile.text("", item).removeprefix(": ") for item in found]
    return cluster, [
        f"{'warning: ' if item['severity'] == 'warning' else ''}{line}" for item, line in zip(found, lines, strict=True)
    ]
