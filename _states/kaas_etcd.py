"""
An etcd member: its way into the cluster, and the record that the cluster was formed.
"""

import contextlib
import json
import time
from pathlib import Path

import yaml

MARKER = "/etc/etcd/cluster-id"
HEADER = (
    "# Managed by Salt. The two initial-cluster settings were decided from the live cluster when this member had no\n"
    "# data; etcd ignores them once it has.\n"
)
PAUSE = 1
CALL_TIMEOUT = 10


def configured(name="/etc/etcd/etcd.yaml", config=None, timeout=120):
    """
    etcd's configuration file exists, and the member is prepared to start into the right cluster.

    name: the file. config: etcd's settings, without ``initial-cluster`` and ``initial-cluster-state``, which are
    decided here.
    timeout: seconds to wait for the CA minion and, after a lost disk, for the other members.

    A member with data is left alone. One without data forms the cluster only if none was ever formed (the CA minion
    remembers); else it
    becomes a member of the running one, after the member that it was before has been removed, and only while the
    others keep quorum.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": f"{name} is right."}
    config = json.loads(json.dumps(config or {}))
    path = Path(__opts__.get("kaas_root", "") + name)
    present = _load(path)
    data = __utils__["kaas_etcd.has_data"](config["data-dir"])
    if data:
        initial = {key: present[key] for key in ("initial-cluster", "initial-cluster-state") if key in present}
        wanted = {**config, **(initial or _initial("existing", _static_cluster()))}
    elif __opts__["test"]:
        changes = {"membership": "would be decided from the live cluster: this member has no data"}
        return {**ret, "result": None, "changes": changes, "comment": f"{name} would be written."}
    else:
        decision = _decide(time.monotonic() + timeout, ret["changes"])
        if decision["action"] not in ("new", "existing"):
            return {**ret, "result": False, "comment": f"etcd was not configured: {decision['reason']}"}
        wanted = {**config, **_initial(decision["action"], decision["initial_cluster"])}
    if wanted == present:
        return ret
    ret["changes"].update(
        {
            key: {"old": present.get(key), "new": wanted.get(key)}
            for key in {**present, **wanted}
            if present.get(key) != wanted.get(key)
        }
    )
    if __opts__["test"]:
        return {**ret, "result": None, "comment": f"{name} would be written."}
    __utils__["kaas_file.write"](str(path), HEADER + yaml.safe_dump(wanted, sort_keys=True))
    return {**ret, "comment": f"{name} was written" + ("." if data else f" ({decision['reason']}).")}


def recorded(name, timeout=60):
    """
    The CA minion knows that the cluster was formed, so that this member, should it lose its disk, never forms a second
    one.

    name: the cluster. timeout: seconds to wait for etcd and the CA minion. Done once per member: a marker remembers it.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": f"The CA minion knows the etcd of cluster {name}."}
    marker = __opts__.get("kaas_root", "") + MARKER
    if __utils__["kaas_file.read"](marker):
        return ret
    if __opts__["test"]:
        return {
            **ret,
            "result": None,
            "changes": {"recorded": "would be"},
            "comment": "The etcd cluster would be recorded.",
        }
    deadline = time.monotonic() + timeout
    identifier, error = None, None
    while True:
        try:
            identifier = identifier or __salt__["kaas_etcd.cluster_id"]()
            known, error, again = _ask_ca({"cluster_id": identifier}, deadline)
        except RuntimeError as failure:
            error, again = str(failure), True
        if not error:
            break
        if not again or time.monotonic() + PAUSE > deadline:
            return {**ret, "result": False, "comment": f"The etcd cluster was not recorded: {error}"}
        time.sleep(PAUSE)
    if known != identifier:
        comment = (
            f"This member is part of etcd cluster {identifier}, but the CA minion recorded {known} for {name}: etcd "
            f"was set up anew, or twice. If this one is right, run on the master: "
            f"salt {_ca()} kaas_ca.forget_etcd {name}"
        )
        return {**ret, "result": False, "comment": comment}
    __utils__["kaas_file.write"](marker, identifier + "\n")
    return {**ret, "changes": {"recorded": identifier}, "comment": "The etcd cluster was recorded."}


def _decide(deadline, changes):
    """Follow the plan until this member may be started, or until it is clear that it may not; `changes` tells."""
    me, members = _me(), _static()
    others = [address for name, address in members.items() if name != me]
    record = __context__.pop("kaas_etcd.record", None)
    recorded_id, error, again = (record["cluster_id"], None, False) if record else _ask_ca({}, deadline)
    while True:
        try:
            # Never formed: nobody can answer yet, and members that wait for this one must not make it wait.
            live = None if not error and not recorded_id else _survey(others)
            if error and live is None:
                # Without the CA minion's memory, only a running cluster can tell.
                decision = {"action": "wait" if again else "refuse", "reason": error}
            else:
                decision = __utils__["kaas_etcd.plan"](me, members, live, False, recorded_id)
            if decision["action"] == "rejoin":
                _etcdctl(others, "member", "remove", decision["remove"])
                changes["lost member"] = f"removed {decision['remove']}"
                continue
            if decision["action"] == "join":
                answer = _etcdctl(others, "member", "add", me, f"--peer-urls={decision['add']}", "--write-out=json")
                changes["member"] = f"added {decision['add']}"
                # Looking again needs a quorum: beside a single other member there is none until this one runs.
                live = __utils__["kaas_etcd.parse_members"](answer)[1]
                decision = __utils__["kaas_etcd.plan"](me, members, live, False, recorded_id)
        except RuntimeError as failure:
            # No quorum at this moment, or etcd refuses a change until the members have been connected for a while.
            decision = {"action": "wait", "reason": str(failure)}
        if decision["action"] != "wait" or time.monotonic() + PAUSE > deadline:
            return decision
        time.sleep(PAUSE)
        if error:
            recorded_id, error, again = _ask_ca({}, deadline)


def _survey(addresses):
    return __utils__["kaas_etcd.survey"](
        addresses, __salt__["kaas_etcd.client_tls"](), program=__salt__["kaas_etcd.program"]()
    )[1]


def _etcdctl(addresses, *arguments):
    endpoints = [__utils__["kaas_etcd.client_url"](address) for address in __utils__["kaas_etcd.reachable"](addresses)]
    return __utils__["kaas_etcd.etcdctl"](
        list(arguments), endpoints, __salt__["kaas_etcd.client_tls"](), program=__salt__["kaas_etcd.program"]()
    )


def _ask_ca(request, deadline):
    """One call to the CA minion: ``(recorded cluster id or None, error or None, whether asking again makes sense)``."""
    timeout = max(2, min(CALL_TIMEOUT, int(deadline - time.monotonic())))
    returned = __salt__["publish.publish"](_ca(), "kaas_ca.bootstrap", [json.dumps(request)], "list", timeout=timeout)
    answer = returned.get(_ca()) if isinstance(returned, dict) else None
    if isinstance(answer, dict) and "cluster_id" in answer:
        return answer["cluster_id"], None, False
    if isinstance(answer, dict) and "error" in answer:
        return None, f"the CA minion {_ca()} refused: {answer['error']}", bool(answer.get("retry"))
    if answer is not None:
        return None, f"the CA minion {_ca()} answered {str(answer)[:200]!r}; run `salt {_ca()} state.highstate`", True
    error = (
        f"the CA minion {_ca()} gave no answer: does `salt {_ca()} test.ping` work on the master, "
        f"and does `peer` in its configuration allow kaas_ca.bootstrap?"
    )
    return None, error, True


def _initial(state, cluster):
    return {"initial-cluster-state": state, "initial-cluster": cluster}


def _static_cluster():
    return __utils__["kaas_etcd.initial_cluster"](_static())


def _static():
    # A round through JSON leaves plain data: Salt 3008 wraps pillar values to mask them when they are printed.
    return json.loads(json.dumps(__pillar__["kaas"]["etcd"]["members"]))


def _me():
    return __pillar__["kaas"]["node"]["name"]


def _ca():
    return __pillar__["kaas"]["cluster"]["ca"]


def _load(path):
    """The present configuration as a dictionary; empty when there is none that can be read."""
    with contextlib.suppress(yaml.YAMLError):
        found = yaml.safe_load(__utils__["kaas_file.read"](str(path)) or "")
        if isinstance(found, dict):
            return found
    return {}
