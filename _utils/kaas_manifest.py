"""Pure functions over Kubernetes objects: identity, order, ApplySet terms, differences, progress, taints.

Objects are dicts as in a manifest. Nothing here talks to anyone; `kaas_object` (states) puts it together.
ApplySet names follow KEP-3659 (kubernetes.io/docs/reference/labels-annotations-taints), so that other tools can read
which objects belong together and nobody prunes another set's objects.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

Object = dict[str, Any]

PART_OF = "applyset.kubernetes.io/part-of"
SET_ID = "applyset.kubernetes.io/id"
TOOLING = "applyset.kubernetes.io/tooling"
GROUP_KINDS = "applyset.kubernetes.io/contains-group-kinds"
NAMESPACES = "applyset.kubernetes.io/additional-namespaces"
PARENT_NAMESPACE = "kube-system"
#: Which taints of a node came from the pillar, as "key:effect,...": the list itself has no owner per entry.
TAINTS = "node.kaas.local/taints"

FIRST = {"Namespace": 0, "CustomResourceDefinition": 1, "PriorityClass": 2, "ServiceAccount": 3}
#: Removed before everything else: while their server goes away they would break the calls that follow.
DELETE_FIRST = ("APIService", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
#: Removed last: they take everything with them that lies in them.
DELETE_LAST = ("Namespace", "CustomResourceDefinition")
#: Bookkeeping of the server, and what controllers report: no difference that a manifest could make.
SERVER_META = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")


def problems(objects: Any) -> list[str]:
    """Return what is wrong with a list of objects as texts that name the object (or its place in the list)."""
    if not isinstance(objects, list) or not objects:
        return ["objects: a list of Kubernetes objects is needed"]
    found, seen = [], set()
    for number, obj in enumerate(objects):
        place = f"objects[{number}]"
        if not isinstance(obj, dict):
            found.append(f"{place}: not a mapping")
            continue
        missing = [key for key in ("apiVersion", "kind") if not isinstance(obj.get(key), str)]
        if not isinstance(obj.get("metadata"), dict) or not isinstance(obj["metadata"].get("name"), str):
            missing.append("metadata.name")
        if missing:
            found.append(f"{place}: no {', '.join(missing)}")
            continue
        if identity(obj) in seen:
            found.append(f"{place}: {title(obj)} stands twice in this set")
        seen.add(identity(obj))
    return found


def title(obj: Object) -> str:
    """Return how messages name an object: "Deployment kube-system/coredns" or "ClusterRole flannel"."""
    meta = obj["metadata"]
    namespace = f"{meta['namespace']}/" if meta.get("namespace") else ""
    return f"{obj['kind']} {namespace}{meta['name']}"


def group_of(api_version: str) -> str:
    """Return the group of an apiVersion ("" for the core group "v1")."""
    return api_version.rpartition("/")[0]


def identity(obj: Object) -> tuple[str, str, str, str]:
    """Return (group, kind, namespace, name): the same object in every API version."""
    meta = obj["metadata"]
    return (group_of(obj["apiVersion"]), obj["kind"], meta.get("namespace") or "", meta["name"])


def group_kind(obj: Object) -> str:
    """Return the ApplySet form of a kind: "Deployment.apps", "ConfigMap"."""
    group = group_of(obj["apiVersion"])
    return f"{obj['kind']}.{group}" if group else obj["kind"]


def ordered(objects: Iterable[Object]) -> list[Object]:
    """Return the objects in the order to apply them: what others need first, else as given."""
    return sorted(objects, key=lambda obj: FIRST.get(obj["kind"], 9))


def deletion_order(objects: Iterable[Object]) -> list[Object]:
    """Return the objects in the order to delete them."""
    rank = {**dict.fromkeys(DELETE_FIRST, 0), **dict.fromkeys(DELETE_LAST, 2)}
    return sorted(objects, key=lambda obj: (rank.get(obj["kind"], 1), identity(obj)))


#: Groups of Kubernetes itself, besides the core group and those below k8s.io.
OWN_GROUPS = {"apps", "batch", "autoscaling", "policy"}


def deletion_phases(objects: Iterable[Object]) -> list[list[Object]]:
    """Return the objects to delete in turns; what is in one turn must be gone before the next begins.

    Custom resources go first: the controller that has to clean up after them, often by a finalizer, lies in the same
    set, and their definitions do, too.
    """
    custom: list[Object] = []
    rest: list[Object] = []
    ordered_objects = deletion_order(objects)
    defined = {
        (obj["spec"]["group"], obj["spec"]["names"]["kind"])
        for obj in ordered_objects
        if obj["kind"] == "CustomResourceDefinition"
    }
    for obj in ordered_objects:
        group = group_of(obj["apiVersion"])
        foreign = bool(group) and group not in OWN_GROUPS and not group.endswith(".k8s.io")
        (custom if foreign or (group, obj["kind"]) in defined else rest).append(obj)
    return [phase for phase in (custom, rest) if phase]


# -- ApplySets ----------------------------------------------------------------------------------------------------


def parent_name(name: str) -> str:
    """Return the name of the ConfigMap that stands for a set, or raise ValueError when it would not be a name."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,200}[a-z0-9])?", name):
        raise ValueError(f"'{name}' can't name a set: use lower-case letters, digits, '-' and '.'")
    return f"kaas-{name}"


def set_id(name: str) -> str:
    """Return the ApplySet id: a hash over name, namespace, kind and group of the parent object."""
    text = f"{parent_name(name)}.{PARENT_NAMESPACE}.ConfigMap."
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
    return f"applyset-{digest}-v1"


def member(obj: Object, name: str) -> Object:
    """Return a copy of the object that carries the label of its set."""
    result = copy.deepcopy(obj)
    result["metadata"].setdefault("labels", {})
    result["metadata"]["labels"] = {**(result["metadata"]["labels"] or {}), PART_OF: set_id(name)}
    return result


def parent(name: str, group_kinds: Iterable[str], namespaces: Iterable[str]) -> Object:
    """Return the parent object of a set that holds these kinds in these namespaces."""
    others = sorted(set(namespaces) - {"", PARENT_NAMESPACE})
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": parent_name(name),
            "namespace": PARENT_NAMESPACE,
            "labels": {SET_ID: set_id(name)},
            "annotations": {
                TOOLING: "kaas/v1.0.0",
                GROUP_KINDS: ",".join(sorted(group_kinds)),
                **({NAMESPACES: ",".join(others)} if others else {}),
            },
        },
    }


def selector(name: str) -> str:
    """Return the label selector that finds the members of a set."""
    return f"{PART_OF}={set_id(name)}"


def other_set(obj: Object, name: str) -> str | None:
    """Return the id of the set that an object belongs to when that is not the set `name`, else None."""
    found = (obj["metadata"].get("labels") or {}).get(PART_OF)
    return found if found != set_id(name) else None


def recorded_kinds(parent_object: Object | None) -> set[str]:
    """Return the kinds ("Deployment.apps") that a parent says its set holds; empty when there is no parent."""
    return _words(parent_object, GROUP_KINDS)


def recorded_namespaces(parent_object: Object | None) -> set[str]:
    """Return the namespaces, beside the parent's own, that a parent says its set lies in."""
    return _words(parent_object, NAMESPACES)


def _words(parent_object: Object | None, annotation: str) -> set[str]:
    text = ((parent_object or {}).get("metadata", {}).get("annotations") or {}).get(annotation, "")
    return {word.strip() for word in text.split(",") if word.strip()}


def same_parent(live: Object | None, wanted: Object) -> bool:
    """Say whether the live parent object already says what `wanted` says."""
    if not live:
        return False
    have = live["metadata"]
    return (have.get("labels") or {}).get(SET_ID) == wanted["metadata"]["labels"][SET_ID] and all(
        (have.get("annotations") or {}).get(key, "") == wanted["metadata"]["annotations"].get(key, "")
        for key in (TOOLING, GROUP_KINDS, NAMESPACES)
    )


def has_controller(obj: Object) -> bool:
    """Say whether a controller made the object: such ones inherit labels, yet nobody applied them."""
    return any(owner.get("controller") for owner in obj["metadata"].get("ownerReferences") or [])


def owns(live: Object, manager: str, partial: Object) -> bool:
    """Say whether `manager` applied (and still owns) a field that the partial object sets."""
    wanted = {key: value for key, value in partial.items() if key not in ("apiVersion", "kind", "metadata")}
    for entry in live["metadata"].get("managedFields") or []:
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            return _overlaps(entry.get("fieldsV1") or {}, wanted)
    return False


def _overlaps(fields: Object, wanted: Object) -> bool:
    for key, value in wanted.items():
        inner = fields.get(f"f:{key}")
        if inner is not None and (not isinstance(value, dict) or not value or _overlaps(inner, value)):
            return True
    return False


# -- differences --------------------------------------------------------------------------------------------------


def changed_paths(before: Object, after: Object, limit: int = 20) -> list[str]:
    """Return the paths of the fields that differ, without any value: ["spec.replicas", ...], at most limit + 1.

    Status and the server's own bookkeeping don't count. List entries with a name go by it, others by their place.
    """
    paths = sorted(_differences(_essence(before), _essence(after), ""))
    return paths if len(paths) <= limit else [*paths[:limit], f"and {len(paths) - limit} more"]


def _essence(obj: Object) -> Object:
    result = {key: value for key, value in obj.items() if key not in ("status", "apiVersion", "kind")}
    result["metadata"] = {key: value for key, value in obj["metadata"].items() if key not in SERVER_META}
    return result


def _differences(old: Any, new: Any, path: str) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {*old, *new}:
            step = f"[{key}]" if "." in str(key) or "/" in str(key) else f".{key}" if path else str(key)
            yield from _either(old, new, key, path + step)
    elif isinstance(old, list) and isinstance(new, list):
        olds, news = _keyed(old), _keyed(new)
        for key in {*olds, *news}:
            yield from _either(olds, news, key, f"{path}[{key}]")
        if {*olds} == {*news} and olds == news:
            yield path  # the same entries in another order
    else:
        yield path


def _either(old: Any, new: Any, key: Any, path: str) -> Iterator[str]:
    if key in old and key in new:
        yield from _differences(old[key], new[key], path)
    else:
        yield path


def _keyed(items: list[Any]) -> dict[Any, Any]:
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if all(isinstance(name, str) for name in names) and len({*names}) == len(names):
        return dict(zip(names, items, strict=True))
    return dict(enumerate(items))


def presentable(obj: Object) -> Object:
    """Return a copy for people: without field managers, and with the values of a Secret masked."""
    result = copy.deepcopy(obj)
    result["metadata"].pop("managedFields", None)
    if result["kind"] == "Secret":
        (result["metadata"].get("annotations") or {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
        for key in ("data", "stringData"):
            if result.get(key):
                result[key] = dict.fromkeys(result[key], "**********")
    return result


# -- progress -----------------------------------------------------------------------------------------------------


def wait_problems(items: list[Any]) -> list[str]:
    """Return what is wrong with a list of things to wait for, as texts."""
    found = []
    for number, item in enumerate(items):
        missing = [key for key in ("kind", "name") if not isinstance(item, dict) or not item.get(key)]
        unknown = sorted(set(item) - {"apiVersion", "kind", "name", "namespace", "condition"}) if not missing else []
        if missing:
            found.append(f"wait[{number}]: no {' and no '.join(missing)}")
        if unknown:
            found.append(f"wait[{number}]: unknown key {', '.join(unknown)}")
    return found


def wait_target(item: Object) -> Object:
    """Return a thing to wait for as an object stub; the workloads' apiVersion need not be spelt out."""
    version = item.get("apiVersion") or ("apps/v1" if item["kind"] in _ROLLOUTS else "v1")
    meta = {"name": item["name"], **({"namespace": item["namespace"]} if item.get("namespace") else {})}
    return {"apiVersion": version, "kind": item["kind"], "metadata": meta}


def progress(obj: Object | None, condition: str | None = None) -> tuple[bool, str]:
    """Return (reached, text) for an object and what is awaited of it.

    condition: "rollout" (every replica is new and available; the default of workloads), "exists" (the default of
    others), or a condition type, "Established" or "Ready=False". obj may be None: it does not exist yet.
    """
    if obj is None:
        return False, "does not exist"
    if not condition:
        condition = "rollout" if obj["kind"] in _ROLLOUTS else "exists"
    if condition == "exists":
        return True, "exists"
    if condition == "rollout":
        if obj["kind"] not in _ROLLOUTS:
            return False, f"a {obj['kind']} has no rollout to wait for; name one of its conditions"
        return _ROLLOUTS[obj["kind"]](obj)
    kind, _, value = condition.partition("=")
    for entry in obj.get("status", {}).get("conditions") or []:
        if entry.get("type") == kind:
            text = ": ".join(part for part in (entry.get("reason"), entry.get("message")) if part)
            reached = entry.get("status") == (value or "True")
            return reached, f"{kind} is {entry.get('status')}" + (f" ({text})" if text and not reached else "")
    return False, f"{kind} is not reported yet"


def _observed(obj: Object) -> bool:
    return obj.get("status", {}).get("observedGeneration", 0) >= obj["metadata"].get("generation", 0)


def _deployment(obj: Object) -> tuple[bool, str]:
    status, wanted = obj.get("status", {}), obj.get("spec", {}).get("replicas", 1)
    fresh, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    done = _observed(obj) and fresh == wanted == status.get("replicas", 0) == available
    text = f"{min(fresh, available)} of {wanted} replicas updated and available"
    failing = [
        entry.get("message", "")
        for entry in status.get("conditions") or []
        if entry.get("type") == "ReplicaFailure" and entry.get("status") == "True"
    ]
    return done, "; ".join([text, *failing])


def _daemonset(obj: Object) -> tuple[bool, str]:
    status = obj.get("status", {})
    wanted = status.get("desiredNumberScheduled", 0)
    fresh, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    done = _observed(obj) and fresh == wanted == available
    return done, f"{min(fresh, available)} of {wanted} nodes updated and available"


def _statefulset(obj: Object) -> tuple[bool, str]:
    status, wanted = obj.get("status", {}), obj.get("spec", {}).get("replicas", 1)
    fresh, ready = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
    same = status.get("currentRevision") == status.get("updateRevision")
    return _observed(obj) and same and ready == wanted, f"{min(fresh, ready)} of {wanted} replicas updated and ready"


_ROLLOUTS = {"Deployment": _deployment, "DaemonSet": _daemonset, "StatefulSet": _statefulset}


def pod_troubles(pods: Iterable[Object], limit: int = 3) -> list[str]:
    """Return why pods don't run, one text each: "frontend-x: ErrImagePull ..."."""
    found = []
    for pod in pods:
        status = pod.get("status", {})
        reasons = [
            f"{entry['reason']} {entry.get('message', '')}".strip()
            for entry in status.get("conditions") or []
            if entry.get("type") == "PodScheduled" and entry.get("status") == "False" and entry.get("reason")
        ]
        for container in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
            state = container.get("state") or {}
            waiting = state.get("waiting") or state.get("terminated") or {}
            if waiting.get("reason") not in (None, "Completed", "PodInitializing"):
                reasons.append(f"{waiting['reason']} {waiting.get('message', '')}".strip()[:200])
        if reasons:
            found.append(f"{pod['metadata']['name']}: {'; '.join(reasons)}")
    return found[:limit]


# -- nodes --------------------------------------------------------------------------------------------------------


def node_plan(node: Object, wanted: Object, manager: str) -> Object:
    """Return what it takes to give a live Node its labels and taints.

    wanted: {"labels": {key: value}, "taints": [{"key", "value"?, "effect"}], "pods": [network, ...]}; manager: the
    field manager that applies them, whose labels that are wanted no more go away.
    Returns {"changed": [field paths], "taints": None or the new list, "pods": None or the fields of the spec to be set,
    "problem": None or why the Node can't become what is wanted, "apply": the object to apply}. The object has the uid
    of the Node, so that the server refuses to create one, should the Node have gone meanwhile.
    """
    meta = node["metadata"]
    labels, taints = wanted.get("labels") or {}, wanted.get("taints") or []
    have = meta.get("labels") or {}
    differ = {key for key, value in labels.items() if have.get(key) != value}
    changed = [f"metadata.labels[{key}]" for key in sorted(differ | (_owned_labels(node, manager) - set(labels)))]
    ours = (meta.get("annotations") or {}).get(TAINTS, "")
    names = ",".join(sorted(taint_name(taint) for taint in taints))
    live = node.get("spec", {}).get("taints") or []
    merged = merged_taints(live, taints, set(filter(None, ours.split(","))))
    if merged != live:
        changed.append("spec.taints")
    if ours != names:
        changed.append(f"metadata.annotations[{TAINTS}]")
    pods, problem = _pod_networks(node, wanted.get("pods") or [])
    if pods:
        changed.append("spec.podCIDRs")
    own = {"name": meta["name"], "uid": meta["uid"], "labels": dict(labels)}
    own["annotations"] = {TAINTS: names} if names else {}
    return {
        "changed": changed,
        "taints": merged if merged != live else None,
        "pods": pods,
        "problem": problem,
        "apply": {"apiVersion": "v1", "kind": "Node", "metadata": own},
    }


def _pod_networks(node: Object, wanted: list[str]) -> tuple[Object | None, str | None]:
    """Return what to set in a Node's spec for its pod networks (None when that is nothing), and what forbids it."""
    spec = node.get("spec", {})
    have = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
    if not wanted or have == wanted:
        return None, None
    if not have:
        return {"podCIDR": wanted[0], "podCIDRs": wanted}, None
    name, text = node["metadata"]["name"], have[0] if len(have) == 1 else f"[{', '.join(have)}]"
    fix = f"write `pods: {text}` into nodes.{name}, or take the node out of the cluster and in again"
    return None, f"its pod network is {', '.join(have)} for ever, the cluster file has {', '.join(wanted)}: {fix}"


def _owned_labels(node: Object, manager: str) -> set[str]:
    for entry in node["metadata"].get("managedFields") or []:
        if entry.get("manager") == manager and entry.get("operation") == "Apply":
            fields = (entry.get("fieldsV1") or {}).get("f:metadata", {}).get("f:labels", {})
            return {key[2:] for key in fields if key.startswith("f:")}
    return set()


def taint_name(taint: Object) -> str:
    """Return "key:effect", which is what makes two taints the same one."""
    return f"{taint['key']}:{taint['effect']}"


def merged_taints(live: list[Object], wanted: list[Object], ours: set[str]) -> list[Object]:
    """Return the taints of a Node: those of others as they are, and the wanted ones in place of `ours`.

    live, wanted: lists of {"key", "value"?, "effect"}; ours: "key:effect" names that earlier came from the pillar.
    """
    names = {taint_name(taint) for taint in wanted}
    kept = []
    for taint in live:
        if taint_name(taint) not in names and taint_name(taint) not in ours:
            kept.append(taint)
        elif taint_name(taint) in names:  # keep the place and the server's timeAdded of what stays the same
            new = next(item for item in wanted if taint_name(item) == taint_name(taint))
            kept.append(taint if taint.get("value", "") == new.get("value", "") else new)
    present = {taint_name(taint) for taint in kept}
    return kept + [taint for taint in wanted if taint_name(taint) not in present]
