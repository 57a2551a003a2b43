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
import os

import yaml

log = logging.getLogger(__name__)

__virtualname__ = "kaas"

PLATFORM = "linux-amd64"
SYNCED = ("modules", "states", "utils")


def __virtual__():
    return __virtualname__


def _roots(kind):
    return __opts__[kind].get("base", [])


def _data(name):
    """Return the path of a table in ``pillar/data``."""
    for root in _roots("pillar_roots"):
        path = os.path.join(root, "data", name)
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(
        f"data/{name} is in none of the pillar_roots {_roots('pillar_roots')}: "
        "is the formula's pillar folder one of them?"
    )


def _read(path):
    with open(path, encoding="utf-8") as handle:
        return yaml.load(handle, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _cluster_files():
    """Return ``{cluster name: path}`` of all cluster files; the first pillar root that has a name wins."""
    files = {}
    for root in _roots("pillar_roots"):
        folder = os.path.join(root, "clusters")
        for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if entry.endswith(".sls"):
                files.setdefault(entry[:-4], os.path.join(folder, entry))
    return files


def _mentions(path, text):
    with open(path, encoding="utf-8", errors="replace") as handle:
        return text in handle.read()


def _load(name, path, table):
    """Return the validated cluster with its defaults; raise ValueError with all problems."""
    label = f"clusters/{name}.sls"
    try:
        document = _read(path)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{label}: not valid YAML: {' '.join(str(error).split())}") from None
    validator = __utils__["kaas_checks.load_schema"](_data("cluster.schema.json"))
    problems = __utils__["kaas_checks.schema_problems"](validator, document)
    if not problems:
        cluster = __utils__["kaas_topology.merge"](_read(_data("defaults.yaml")), document["cluster"])
        problems = __utils__["kaas_checks.cross_problems"](cluster, table)
        if cluster["name"] != name:
            problems.append({"path": "name", "message": f"'{cluster['name']}' must be the file's name '{name}'"})
    if problems:
        raise ValueError(__utils__["kaas_checks.message"](label, problems))
    return cluster


def _find(minion_id, files, table):
    """Return ``(cluster, node name)`` of the minion, or ``(None, None)``.

    The id ``<node>.<cluster>`` leads straight to one file, however many clusters there are; any other id is looked up
    in the files that mention it.
    """
    name = minion_id.partition(".")[2]
    candidates = [name] if name in files else []
    candidates += [other for other, path in files.items() if other != name and _mentions(path, minion_id)]
    for candidate in candidates:
        try:
            cluster = _load(candidate, files[candidate], table)
        except ValueError:
            if candidate == name:
                raise
            log.warning("kaas: clusters/%s.sls is invalid and was not searched for %s", candidate, minion_id)
            continue
        node = __utils__["kaas_topology.minion_ids"](cluster).get(minion_id)
        if node:
            return cluster, node
    return None, None


def _authority(minion_id, files, table):
    """Return the topologies of the clusters whose CA minion is ``minion_id``.

    An invalid cluster file stops its own nodes, not the CA's work for the other clusters.
    """
    clusters = {}
    for name, path in files.items():
        # `ca: ca` is the default and need not stand in the file.
        if minion_id != "ca" and not _mentions(path, minion_id):
            continue
        try:
            cluster = _load(name, path, table)
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
    releases = _read(_data("upstream.yaml"))

    def source(artifact, version, name):
        release = releases[artifact]
        words = {"version": version, "file": name, "os": "linux", "arch": "amd64"}
        return {key: value.format(**words) for key, value in release.items()}

    return source, {}


def ext_pillar(minion_id, pillar, secrets="/etc/kaas/secrets", artifacts=None):
    """Return ``{"kaas": ...}`` for ``minion_id``; see docs/architecture.md for its shape."""
    del pillar  # see the module's docstring
    table = _read(_data("versions.yaml"))
    files = _cluster_files()
    cluster, node = _find(minion_id, files, table)
    if cluster is None:
        clusters = _authority(minion_id, files, table)
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
        data = __utils__["kaas_topology.derive"](cluster, node, table, source, digests)
    except ValueError as error:
        raise ValueError(f"clusters/{cluster['name']}.sls: {error}") from None
    data["formula"] = _formula()
    public = __utils__["kaas_topology.topology"](cluster)
    data["certificates"] = __utils__["kaas_pki.policies"](public, node)
    data["authorities"] = __utils__["kaas_pki.authorities"](public, node)
    if "master" in data["roles"]:
        folder = os.path.join(secrets, cluster["name"])
        data["secrets"] = __utils__["kaas_secrets.cluster"](folder, __utils__["kaas_pki.create_ca"])
    return {"kaas": data}
