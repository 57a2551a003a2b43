"""External pillar: what a node of a KaaS cluster needs, derived from the cluster file on the master's disk.

Master configuration (every path is optional)::

    ext_pillar:
      - kaas:
          secrets: /etc/kaas/secrets          # made on first use, one folder per cluster, files 0600
          artifacts: /srv/artifacts/index.json   # checksums of the artifact repository (artifacts.source: repository)

The ``pillar`` argument is never read: Salt merges a minion's own ``pillar_override`` into it before any ext_pillar
runs, so a worker could describe itself as a master there. The minion id is what the minion's key proves.

Every problem is raised as an exception; Salt then lists it under ``_errors`` and refuses to run states.
"""

import json
import logging
import multiprocessing
import os
import sys

log = logging.getLogger(__name__)

__virtualname__ = "kaas"

PLATFORM = "linux-amd64"
SYNCED = ("modules", "states", "utils")
UNGUARDED = (
    "the Salt master runs without the engine kaas_guard: root on one minion is root on all of them (docs/security.md); "
    "see salt-run kaas.check_master"
)


def __virtual__():
    return __virtualname__


def _roots(kind):
    return __opts__[kind].get("base", [])


def _mentions(path, text):
    with open(path, encoding="utf-8", errors="replace") as handle:
        return text in handle.read()


def _label(name):
    return f"clusters/{name}.sls"


def _load(name, files, known, others=()):
    """Return ``(cluster, warnings)`` of a cluster file compared with ``others``; raise ValueError with all errors."""
    cluster, found = __utils__["kaas_clusterfile.check"](known, files[name], name, others)
    texts = {"error": [], "warning": []}
    for item in found:
        texts[item["severity"]].append(__utils__["kaas_clusterfile.text"](_label(name), item))
    if cluster is None:
        raise ValueError("\n".join(texts["error"]))
    return cluster, texts["warning"]


def _find(minion_id, files, known):
    """Return ``(cluster, node name, warnings)`` of the minion, or ``(None, None, [])``.

    The id ``<node>.<cluster>`` leads straight to one file, however many clusters there are; any other id is looked up
    in the files that mention it.
    """
    name = minion_id.partition(".")[2]
    candidates = [name] if name in files else []
    candidates += [other for other, path in files.items() if other != name and _mentions(path, minion_id)]
    for candidate in candidates:
        try:
            cluster, warnings = _load(candidate, files, known, files)
        except ValueError:
            if candidate == name:
                raise
            log.warning("kaas: %s is invalid and was not searched for %s", _label(candidate), minion_id)
            continue
        node = __utils__["kaas_topology.minion_ids"](cluster).get(minion_id)
        if node:
            return cluster, node, warnings
    return None, None, []


def _authority(minion_id, files, known):
    """Return the topologies of the clusters whose CA minion is ``minion_id``.

    An invalid cluster file stops its own nodes, not the CA's work for the other clusters. What clusters do to each
    other is their nodes' matter: comparing all with all would take the CA too long.
    """
    clusters = {}
    for name, path in files.items():
        # `ca: ca` is the default and need not stand in the file.
        if minion_id != "ca" and not _mentions(path, minion_id):
            continue
        try:
            cluster, _ = _load(name, files, known)
        except ValueError as error:
            log.warning("kaas: the CA %s leaves out an invalid cluster: %s", minion_id, error)
            continue
        if cluster["ca"] == minion_id:
            clusters[name] = __utils__["kaas_topology.topology"](cluster)
    return clusters


def _formula():
    """Return the hash of what minions sync, or None where the files are not on this disk (gitfs)."""
    for root in _roots("file_roots"):
        if all(os.path.isdir(os.path.join(root, f"_{kind}")) for kind in SYNCED):
            return __utils__["kaas_formula.digest"]({kind: os.path.join(root, f"_{kind}") for kind in SYNCED})
    return None


def _repository(url, index_path):
    """Return the source function for ``artifacts.source: repository``, and ``{image: digest}`` of its index."""
    if not index_path or not os.path.isfile(index_path):
        raise ValueError(
            f"artifacts: the master has no index of the repository ({index_path or 'not configured'}): "
            "set `artifacts:` of ext_pillar kaas to its index.json"
        )
    with open(index_path, encoding="utf-8") as handle:
        document = json.load(handle)
    index = document["artifacts"]

    def source(artifact, version, name):
        try:
            entry = index[artifact][version][PLATFORM][name]
        except KeyError:
            raise ValueError(
                f"artifacts: {artifact}/{version}/{PLATFORM}/{name} is not in the index {index_path}: "
                "build or mirror it (make artifacts)"
            ) from None
        return {
            "url": f"{url.rstrip('/')}/{artifact}/{version}/{PLATFORM}/{name}",
            "sha256": entry["sha256"],
            "size": entry["size"],
        }

    return source, {image: entry["digest"] for image, entry in document.get("images", {}).items()}


def _upstream():
    """Return the source function for ``artifacts.source: upstream``: release URLs and their published checksums.

    The second value is empty: registries publish digests of images nowhere but beside the images themselves.
    """
    releases = __utils__["kaas_clusterfile.table"](_roots("pillar_roots"), "upstream.yaml")

    def source(artifact, version, name):
        if artifact not in releases:
            raise ValueError(f"artifacts: nobody publishes {artifact} for download: use artifacts.source: repository")
        release = releases[artifact]
        words = {"version": version, "file": name, "os": "linux", "arch": "amd64"}
        return {key: value.format(**words) for key, value in release.items()}

    return source, {}


def _unguarded():
    """Return whether a worker of a Salt master compiles this, and that master has no guard against its minions.

    Salt skips an engine that it does not find without a word.
    """
    master = sys.modules.get("salt.master")
    worker = master is not None and isinstance(multiprocessing.current_process(), master.MWorker)
    return worker and not hasattr(master.AESFuncs.run_func, "guarded")


def ext_pillar(minion_id, pillar, secrets="/etc/kaas/secrets", artifacts=None):
    """Return ``{"kaas": ...}`` for ``minion_id``; see docs/architecture.md for its shape."""
    del pillar  # see the module's docstring
    needs = {name: __utils__[name] for name in __utils__["kaas_clusterfile.needs"]()}
    known = __utils__["kaas_clusterfile.tables"](needs, _roots("pillar_roots"))
    files = __utils__["kaas_clusterfile.files"](_roots("pillar_roots"))
    cluster, node, warnings = _find(minion_id, files, known)
    if cluster is None:
        clusters = _authority(minion_id, files, known)
        return {
            "kaas": {
                "formula": _formula(),
                "roles": ["ca"] if clusters else [],
                **({"ca": {"clusters": clusters}} if clusters else {}),
            }
        }
    chosen = cluster["artifacts"]
    try:
        source, digests = _repository(chosen["url"], artifacts) if chosen["source"] == "repository" else _upstream()
        known_source = __utils__["kaas_topology.verified"](source, chosen["sha256"])
        data = __utils__["kaas_topology.derive"](cluster, node, known["versions"], known_source, digests)
    except ValueError as error:
        raise ValueError(f"{_label(cluster['name'])}: {error}") from None
    if data.get("deployer"):
        if _unguarded():
            warnings = [*warnings, UNGUARDED]
        # Told once per cluster, not by each node.
        data["warnings"] = warnings
        for warning in warnings:
            log.warning("kaas: %s", warning)
        data["charts"] = __utils__["kaas_charts.values"](cluster, data["cluster"]["network"], data["cluster"]["api"])
    data["formula"] = _formula()
    public = __utils__["kaas_topology.topology"](cluster)
    data["certificates"] = __utils__["kaas_pki.policies"](public, node)
    data["authorities"] = __utils__["kaas_pki.authorities"](public, node)
    if "master" in data["roles"]:
        folder = os.path.join(secrets, cluster["name"])
        data["secrets"] = __utils__["kaas_secrets.cluster"](folder, __utils__["kaas_pki.create_ca"])
    return {"kaas": data}
