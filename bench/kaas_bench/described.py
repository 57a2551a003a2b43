"""What the formula describes, read from its own rendered states.

The kubeadm side gets the same container runtime, load balancer and demo as ours, without a second description of them.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from kaas_lab.cluster import Cluster, Machine
from kaas_lab.errors import LabError

from . import salted


def shown(cluster: Cluster, machine: Machine, *names: str) -> dict[str, Any]:
    """The high data of some sls on a machine: {state id: {module: [arguments...]}}. Nothing is run."""
    value = salted.call(cluster, "state.show_sls", ",".join(names), target=machine.id, timeout=120).returns[machine.id]
    if not isinstance(value, dict):
        raise LabError(f"{machine.id}: state.show_sls {','.join(names)}: {value}")
    return value


def arguments(chunk: list[Any]) -> tuple[str, dict[str, Any]]:
    """A state's function and arguments, from the list form of the high data."""
    found: dict[str, Any] = {}
    function = ""
    for part in chunk:
        if isinstance(part, dict):
            found.update(part)
        else:
            function = str(part)
    return function, found


def files(high: dict[str, Any]) -> dict[str, str]:
    """{path: content} of the files that a set of states would write: contents as text, data as JSON (which is YAML).

    States of other kinds are left out; a file from a template is an error, because its content is not in the data.
    """
    found: dict[str, str] = {}
    for name, state in high.items():
        function, values = arguments(state.get("file", []))
        path = str(values.get("name", name))
        if function == "serialize":
            found[path] = json.dumps(values["dataset"], indent=1) + "\n"
        elif function == "managed":
            if "contents" not in values:
                raise LabError(f"state {name}: its content does not stand in the state itself")
            text = values["contents"]
            text = "\n".join(map(str, text)) if isinstance(text, list) else str(text)
            found[path] = text if text.endswith("\n") else text + "\n"
    return found


def folders(high: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{path: {mode, user, group}} of the folders that a set of states would make."""
    found: dict[str, dict[str, Any]] = {}
    for name, state in high.items():
        function, values = arguments(state.get("file", []))
        if function == "directory":
            found[str(values.get("name", name))] = {key: values[key] for key in ("mode", "user", "group")}
    return found


def unverified(files: dict[str, str]) -> dict[str, str]:
    """The same files, but haproxy trusts any apiserver: kubeadm makes its authority after haproxy has started."""
    return {path: re.sub(r"verify required ca-file \S+", "verify none", text) for path, text in files.items()}


def objects(high: dict[str, Any]) -> list[dict[str, Any]]:
    """The Kubernetes objects of all `kaas_object.applied` states, values that are set once only filled in."""
    found: list[dict[str, Any]] = []
    for state in high.values():
        function, values = arguments(state.get("kaas_object", []))
        if function != "applied":
            continue
        once = {_identity(item): item for item in values.get("initial") or []}
        for item in values["objects"]:
            found.append(_merged(item, once.get(_identity(item), {})))
    return found


def without_autoscaler(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Objects that need no metrics-server, which a kubeadm cluster does not bring."""
    return [item for item in items if item["kind"] != "HorizontalPodAutoscaler"]


def _identity(item: dict[str, Any]) -> tuple[str, str, str]:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _merged(base: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(base)
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merged(result[key], value)
        else:
            result[key] = value
    return result
