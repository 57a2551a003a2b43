"""
The certificate authority of the clusters: what nodes may ask of the CA minion.

``issue`` and ``bootstrap`` are called by nodes through the master's ``peer`` configuration, which must name these two
functions exactly (``kaas_ca\\.issue$``: Salt matches prefixes). They run as root on the CA minion for anybody whom the
master lets call, so they take one small JSON document, decide by the requester's id alone (``__pub_id``, set by the
master, and overwritten whatever a caller passes), and return a plain answer, never an exception. Who asks too often is
told to come back later.

The other functions are for an operator on the master and refuse to be called by a peer.
"""

import contextlib
import datetime
import fcntl
import json
import logging
import os
import re
import time
from pathlib import Path

import salt.pillar

log = logging.getLogger(__name__)

ROOT = "/etc/kaas/pki"
REQUEST_LIMIT = 65536  # characters
PURPOSE_LIMIT = 32
OPERATOR_HOURS = 720
# Seconds for which one compiled pillar serves all requests: the nodes of a cluster ask all at once.
PILLAR_AGE = 5
# Calls of one requester per minute (minion option kaas_ca_calls_per_minute), and seconds between two pillars that are
# compiled anew only because it was refused: root on one node must not keep the CA minion and the master busy.
CALLS_PER_MINUTE = 60
COMPILE_PAUSE = 10
CLUSTER_ID = re.compile(r"[0-9a-f]{1,16}\Z")


class Refused(Exception):
    """A request that is not granted. `retry` tells the node that asking again a little later makes sense."""

    def __init__(self, message, retry=False):
        super().__init__(message)
        self.retry = retry


def issue(request=None, *args, **kwargs):
    """
    Certificates for the node that asks.

    request: JSON ``{purpose: public key (PEM)}``. Who asks decides about everything else.
    Returns ``{"certificates": {purpose: PEM}, "authorities": {name: PEM}}``, for a node with the role etcd also
    ``"etcd"`` as :func:`bootstrap` does, or ``{"error": message, "retry": bool}``.

    CLI Example (on a node, by hand)::

        salt-call publish.publish ca kaas_ca.issue '{}'
    """
    return _answer(_issue, request, args, kwargs)


def bootstrap(request=None, *args, **kwargs):
    """
    The memory of a cluster's etcd: has it ever been formed?

    request: JSON ``{}`` asks, ``{"cluster_id": hex}`` records, once: the first writer wins. Only nodes with the role
    etcd may call.
    Returns ``{"cluster_id": hex or None, "recorded": ISO 8601 date or None}`` or ``{"error": message, "retry": bool}``.

    CLI Example (on a node, by hand)::

        salt-call publish.publish ca kaas_ca.bootstrap '{}'
    """
    return _answer(_bootstrap, request, args, kwargs)


def status(**kwargs):
    """
    The authorities of every cluster: subject, expiry, problem if any; and the etcd cluster that was recorded.

    CLI Example::

        salt ca kaas_ca.status
    """
    _operator_only(kwargs)
    result = {}
    for cluster in _pillar_clusters(__pillar__) or {}:
        directory = _root() / cluster
        entry = {"authorities": {}, "etcd": _read_bootstrap(cluster)["cluster_id"]}
        for name, authority in __utils__["kaas_pki.authority_files"](directory).items():
            certificate = __utils__["kaas_file.read"](authority["certificate"])
            key = __utils__["kaas_file.read"](authority["key"])
            problem = __utils__["kaas_pki.pair_problem"](certificate, key)
            entry["authorities"][name] = (
                {"problem": problem} if problem else __utils__["kaas_pki.describe"](certificate)
            )
        result[cluster] = entry
    return result


def journal(cluster, last=50, **kwargs):
    """
    The last certificates issued for a cluster, oldest first.

    CLI Example::

        salt ca kaas_ca.journal demo last=10
    """
    _operator_only(kwargs)
    if cluster not in (_pillar_clusters(__pillar__) or {}):
        return f"{cluster}: no such cluster in this minion's pillar (kaas:ca:clusters)"
    lines = (__utils__["kaas_file.read"](_journal_path(cluster), 1 << 26) or "").splitlines()
    return [json.loads(line) for line in lines[-int(last) :]]


def forget_etcd(cluster, **kwargs):
    """
    Forget that a cluster's etcd was ever formed, so that the next highstate forms a new, empty one.

    Only for a cluster whose data is given up. CLI Example::

        salt ca kaas_ca.forget_etcd demo
    """
    _operator_only(kwargs)
    if cluster not in (_pillar_clusters(__pillar__) or {}):
        return f"{cluster}: no such cluster in this minion's pillar (kaas:ca:clusters)"
    with contextlib.suppress(FileNotFoundError):
        _bootstrap_path(cluster).unlink()
    return True


def sign_operator(cluster, public_key, user, groups=(), hours=8, **kwargs):
    """
    A client certificate for a person; ``salt-run kaas.kubeconfig`` calls this and keeps the private key on the master.

    cluster: its name. public_key: PEM. user, groups: Kubernetes' names. hours: lifetime, at most 720.
    Returns ``{"certificate": PEM, "authority": PEM, "url": API address}`` or a text that says what is wrong.

    CLI Example::

        salt ca kaas_ca.sign_operator demo public_key="$(cat key.pub)" user=jane groups='[developers]'
    """
    _operator_only(kwargs)
    topology = (_pillar_clusters(__pillar__) or {}).get(cluster)
    if topology is None:
        return f"{cluster}: no such cluster in this minion's pillar (kaas:ca:clusters)"
    if not user or str(user).startswith("system:") or any(str(group).startswith("system:") for group in groups):
        return "user and groups are required not to be empty or Kubernetes' own (system:...)"
    if not 0 < float(hours) <= OPERATOR_HOURS:
        return f"hours must be more than 0 and at most {OPERATOR_HOURS}"
    policy = {
        "common_name": str(user),
        "organization": [str(group) for group in groups],
        "usages": ["client_auth"],
        "dns": [],
        "ip": [],
        "days": float(hours) / 24,
    }
    try:
        authority = _load_authorities(cluster)["kubernetes"]
        certificate = __utils__["kaas_pki.issue"](authority["certificate"], authority["key"], public_key, policy)
    except (Refused, ValueError) as error:
        return str(error)
    _record(cluster, "operator", {f"user {user}": certificate})
    return {"certificate": certificate, "authority": authority["certificate"], "url": topology["api"]["url"]}


def _answer(function, request, args, kwargs):
    """Run a peer function; whatever goes wrong becomes a short answer."""
    requester = kwargs.get("__pub_id")
    try:
        if not isinstance(requester, str) or not requester:
            raise Refused("the requester is not known: this function is called through publish.publish by a node")
        extra = [key for key in kwargs if not key.startswith("__pub_")]
        _admit(requester)
        if args or extra:
            raise Refused("only one argument is taken: a JSON document")
        return function(requester, _parse(request))
    except Refused as refusal:
        log.warning("kaas_ca.%s refused for %s: %s", function.__name__.lstrip("_"), requester, refusal)
        return {"error": str(refusal), "retry": refusal.retry}
    except Exception:
        log.exception("kaas_ca.%s failed for %s", function.__name__.lstrip("_"), requester)
        return {"error": "the CA minion failed; the reason is in its log", "retry": False}


@contextlib.contextmanager
def _remembered(requester):
    """
    What this CA minion remembers of a requester for a minute: ``{"calls": [seconds], "compiled": seconds}``.

    Changes are kept. Nothing is remembered before the CA minion is set up: it refuses everything then.
    """
    if not _root().is_dir():
        yield {"calls": [], "compiled": 0}
        return
    path, now = _root() / ".requesters.json", time.time()
    with (_root() / ".requesters.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        recent = {name: entry for name, entry in known.items() if max([0, *entry["calls"]]) > now - 60}
        entry = recent.setdefault(requester, {"calls": [], "compiled": 0})
        try:
            yield entry
        finally:
            __utils__["kaas_file.write"](path, json.dumps(recent), mode=0o600)


def _admit(requester):
    limit, now = int(__opts__.get("kaas_ca_calls_per_minute", CALLS_PER_MINUTE)), time.time()
    with _remembered(requester) as entry:
        entry["calls"] = [moment for moment in entry["calls"] if now - 60 < moment <= now]
        if len(entry["calls"]) >= limit:
            raise Refused(f"{requester} asks more than {limit} times a minute", retry=True)
        entry["calls"].append(now)


def _may_compile(requester):
    """Whether a refusal may be checked against a pillar compiled right now."""
    now = time.time()
    with _remembered(requester) as entry:
        if 0 <= now - entry["compiled"] < COMPILE_PAUSE:
            return False
        entry["compiled"] = now
        return True


def _parse(request):
    """The request as ``{str: str}``. The master may have turned the JSON text into a dictionary already."""
    if isinstance(request, str):
        if len(request) > REQUEST_LIMIT:
            raise Refused(f"the request is longer than {REQUEST_LIMIT} characters")
        try:
            request = json.loads(request)
        except (ValueError, RecursionError):
            raise Refused("the request is not JSON") from None
    if not isinstance(request, dict) or not all(isinstance(item, str) for pair in request.items() for item in pair):
        raise Refused("the request is not a JSON object of texts")
    if len(request) > PURPOSE_LIMIT:
        raise Refused(f"the request has more than {PURPOSE_LIMIT} entries")
    if sum(len(key) + len(value) for key, value in request.items()) > REQUEST_LIMIT:
        raise Refused(f"the request is longer than {REQUEST_LIMIT} characters")
    return request


def _issue(requester, request):
    cluster, node, policies = _granted(requester, set(request))
    authorities = _load_authorities(cluster)
    certificates = {}
    for purpose, public_key in request.items():
        signer = authorities[policies[purpose]["ca"]]
        try:
            certificates[purpose] = __utils__["kaas_pki.issue"](
                signer["certificate"], signer["key"], public_key, policies[purpose]
            )
        except ValueError as error:
            raise Refused(f"{purpose}: {error}") from None
    _record(cluster, requester, certificates)
    wanted = {"kubernetes"} | {policy["ca"] for policy in policies.values()}
    answer = {
        "certificates": certificates,
        "authorities": {name: authorities[name]["certificate"] for name in sorted(wanted)},
    }
    if "etcd" in node["roles"]:
        # What `bootstrap` would answer: a new member asks for it next, and a call costs half a second.
        answer["etcd"] = _read_bootstrap(cluster)
    return answer


def _bootstrap(requester, request):
    if set(request) - {"cluster_id"}:
        raise Refused("unknown entries; only cluster_id is taken")
    cluster, node, _ = _granted(requester, set())
    if "etcd" not in node["roles"]:
        raise Refused(f"{requester} has no role etcd in cluster {cluster}")
    known = _read_bootstrap(cluster)
    if "cluster_id" in request and not known["cluster_id"]:
        if not CLUSTER_ID.match(request["cluster_id"]):
            raise Refused("cluster_id is not a hexadecimal number of at most 16 digits")
        if not (_root() / cluster).is_dir():
            raise Refused(f"the CA minion has not been set up for cluster {cluster} yet", retry=True)
        record = {"cluster_id": request["cluster_id"], "recorded": _timestamp(), "by": requester}
        __utils__["kaas_file.write_once"](_bootstrap_path(cluster), json.dumps(record) + "\n")
        known = _read_bootstrap(cluster)
    return known


def _granted(requester, purposes):
    """
    ``(cluster name, node, its policies)`` of the requester, after checking that they cover all the purposes.

    A refusal is checked against a pillar compiled right now, so that a node added a moment ago is served.
    """
    try:
        return _find(_clusters(fresh=False), requester, purposes)
    except Refused as refusal:
        if not _may_compile(requester):
            raise Refused(str(refusal), retry=True) from None
    return _find(_clusters(fresh=True), requester, purposes)


def _find(clusters, requester, purposes):
    found = [
        (topology, name)
        for topology in clusters.values()
        for name, node in topology["nodes"].items()
        if node["id"] == requester
    ]
    if len(found) != 1:
        raise Refused(
            f"{requester} is a node of {'no' if not found else 'more than one'} cluster that this CA minion serves"
        )
    topology, name = found[0]
    policies = __utils__["kaas_pki.policies"](topology, name)
    refused = sorted(purposes - set(policies))
    if refused:
        listed = ", ".join(purpose if re.fullmatch(r"[a-z-]{1,40}", purpose) else "?" for purpose in refused)
        raise Refused(f"{requester} may not have: {listed} (its roles: {', '.join(topology['nodes'][name]['roles'])})")
    return topology["name"], topology["nodes"][name], policies


def _clusters(fresh):
    """
    The topologies in this minion's pillar, compiled by the master now or a few seconds ago.

    The pillar in the minion's memory can be hours old: it would still serve a node that was removed, and not the one
    just added.
    """
    if _pillar_clusters(__pillar__) is None and not _root().is_dir():
        raise Refused(f"minion {__opts__['id']} is not a CA minion (its pillar has no kaas:ca)")
    path = _root() / ".clusters.json"
    if not _root().is_dir():
        raise Refused("the CA minion has not been set up yet", retry=True)
    with (_root() / ".lock").open("w", encoding="utf-8") as lock:
        asked = time.time()
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(OSError, ValueError):
            # Whatever was compiled after this request came in is fresh, however long it had to wait for the lock.
            age = asked - path.stat().st_mtime
            if age < (0 if fresh else PILLAR_AGE):
                return json.loads(path.read_text(encoding="utf-8"))
        clusters = _pillar_clusters(_compile_pillar())
        if clusters is None:
            raise Refused(f"minion {__opts__['id']} is not a CA minion (its pillar has no kaas:ca)")
        __utils__["kaas_file.write"](path, json.dumps(clusters), mode=0o600)
        return clusters


def _compile_pillar():
    pillar = salt.pillar.get_pillar(
        __opts__, __grains__, __opts__["id"], __opts__.get("saltenv"), pillarenv=__opts__.get("pillarenv")
    ).compile_pillar()
    if not isinstance(pillar, dict) or pillar.get("_errors"):
        raise Refused("the pillar of the CA minion has errors; see `salt CA pillar.items` on the master", retry=True)
    return pillar


def _pillar_clusters(pillar):
    """The clusters that a pillar makes this minion the CA of, as plain data; None when it does not."""
    kaas = pillar.get("kaas") or {}
    if "ca" not in kaas:
        return None
    # A round through JSON leaves plain dictionaries: Salt 3008 wraps pillar data to mask it when it is printed.
    return json.loads(json.dumps(kaas["ca"].get("clusters") or {}))


def _load_authorities(cluster):
    result = {}
    for name, paths in __utils__["kaas_pki.authority_files"](_root() / cluster).items():
        texts = {part: __utils__["kaas_file.read"](path) for part, path in paths.items()}
        if not all(texts.values()):
            raise Refused(f"the CA minion has no {name} authority for cluster {cluster} yet", retry=True)
        result[name] = texts
    return result


def _record(cluster, requester, certificates):
    lines = []
    for purpose, certificate in certificates.items():
        facts = __utils__["kaas_pki.describe"](certificate)
        lines.append(
            json.dumps(
                {
                    "time": _timestamp(),
                    "id": requester,
                    "purpose": purpose,
                    "serial": facts["serial"],
                    "not_after": facts["not_after"],
                }
            )
        )
    if lines:
        descriptor = os.open(_journal_path(cluster), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.write("\n".join(lines) + "\n")


def _read_bootstrap(cluster):
    try:
        record = json.loads(__utils__["kaas_file.read"](_bootstrap_path(cluster)) or "{}")
    except ValueError:
        raise Refused(f"{_bootstrap_path(cluster)} on the CA minion cannot be read") from None
    return {"cluster_id": record.get("cluster_id"), "recorded": record.get("recorded")}


def _operator_only(kwargs):
    if "__pub_id" in kwargs:
        raise PermissionError("this function is for an operator on the Salt master, not for peers")


def _root():
    return Path(__opts__.get("kaas_ca_root", ROOT))


def _journal_path(cluster):
    return _root() / cluster / "issued.jsonl"


def _bootstrap_path(cluster):
    return _root() / cluster / "etcd-cluster.json"


def _timestamp():
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
