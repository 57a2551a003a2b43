"""Kubernetes objects that are not in this repository: manifest files and Helm charts, both verified artifacts on disk.

chart
    ``{"file": path, "name": release, "namespace": where its objects go, "values": {...}, "include_crds": True,
    "kubernetes": "1.36.3"}``; ``include_crds`` and ``values`` may be left out.

A chart is only rendered (``helm template``, which asks no cluster); the objects are then a set like any other
(docs/objects.md). No Salt, no API.
"""

import json
import os
import re
import subprocess
import tempfile

import yaml

HELM = "/usr/local/bin/helm"
TIMEOUT = 120  # seconds for one rendering; the largest charts take two
HOOK = "helm.sh/hook"
# Hooks for what a set of objects does by itself, or never does: taking away, going back, trying out.
DROPPED_HOOKS = {"pre-delete", "post-delete", "pre-rollback", "post-rollback", "test", "test-success", "test-failure"}
ONE_TIME = {"Job", "Pod"}
KEYS = {"file", "name", "namespace", "values", "include_crds", "kubernetes"}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as Kubernetes' own reader has it: dates and ``1:30`` are text, as JSON has neither."""


_INTEGER = re.compile(r"^(?:[-+]?0b[01_]+|[-+]?0x[0-9a-fA-F_]+|[-+]?0[0-7_]*|[-+]?[1-9][0-9_]*)$")
_FLOAT = re.compile(r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?)$")
_OTHER = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag not in _OTHER]
    for first, rows in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def documents(text, place):
    """Return the objects of a YAML text with any number of documents; lists (``kind: List``) become their items.

    place
        Where the text is from, for the error: ValueError names it and the line.
    """
    try:
        parsed = [one for one in yaml.load_all(text, Loader=_Loader) if one]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{place}:{mark.line + 1}" if mark else place
        raise ValueError(f"{where}: no YAML ({getattr(error, 'problem', None) or error})") from None
    found: list[dict] = []
    for number, one in enumerate(parsed, start=1):
        if not isinstance(one, dict) or not isinstance(one.get("kind"), str):
            raise ValueError(f"{place}: document {number} is no Kubernetes object")
        found += one.get("items") or [] if one["kind"].endswith("List") and "items" in one else [one]
    return [_bare(one) for one in found]


def _bare(obj):
    """Return the object without what only the server writes and generators leave in."""
    obj = {key: value for key, value in obj.items() if key != "status"}
    meta = obj.get("metadata")
    if isinstance(meta, dict) and meta.get("creationTimestamp", "") is None:
        obj["metadata"] = {key: value for key, value in meta.items() if key != "creationTimestamp"}
    return obj


def read(path):
    """Return the objects of a manifest file; raises OSError (it is not there), ValueError (what is wrong in it)."""
    with open(path, encoding="utf-8") as handle:
        found = documents(handle.read(), path)
    if not found:
        raise ValueError(f"{path}: holds no object")
    return found


def problems(chart):
    """Return what is wrong with the description of a chart, as texts."""
    missing = sorted(key for key in ("file", "name", "namespace", "kubernetes") if not chart.get(key))
    unknown = sorted(set(chart) - KEYS)
    found = [f"chart: no {', '.join(missing)}"] if missing else []
    return found + ([f"chart: unknown key {', '.join(unknown)}"] if unknown else [])


def command(chart, helm=HELM):
    """Return the command that renders a chart with the values that it reads from its standard input."""
    crds = ["--include-crds"] if chart.get("include_crds", True) else []
    return [
        helm,
        "template",
        chart["name"],
        chart["file"],
        f"--namespace={chart['namespace']}",
        f"--kube-version={chart['kubernetes']}",
        "--values=-",
        "--skip-tests",
        *crds,
    ]


def render(chart, helm=HELM):
    """Return the objects of a chart as :func:`members` has them; raises OSError (no helm), ValueError (all else).

    It is rendered twice: a chart that makes passwords or certificates gives others each time, and would change the
    cluster in every run.
    """
    first, second = (members(documents(_output(chart, helm), chart["file"])) for _ in range(2))
    if first != second:
        again = {_name(one): one for one in second}
        differ = sorted(name for name, one in ((_name(one), one) for one in first) if again.get(name) != one)
        raise ValueError(
            f"{chart['file']}: gives other objects at each rendering ({', '.join(differ) or 'other names'}): "
            "choose values that make no certificates and passwords"
        )
    return first


def _output(chart, helm):
    # No folder of the account's own: plug-ins, repositories and caches there must not matter.
    with tempfile.TemporaryDirectory(prefix="kaas-helm-") as home:
        done = subprocess.run(
            command(chart, helm),
            input=json.dumps(chart.get("values") or {}),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            env={"HOME": home, "PATH": os.defpath, "KUBECONFIG": os.devnull, "HELM_NAMESPACE": chart["namespace"]},
        )
    if done.returncode:
        raise ValueError(f"{chart['file']}: helm says: {done.stderr.strip()[-2000:] or done.returncode}")
    return done.stdout


def _name(obj):
    meta = obj.get("metadata") or {}
    return f"{obj['kind']} {meta.get('namespace', '')}/{meta.get('name')}".replace(" /", " ")


def _hooks(obj):
    """Return the hooks (``{"pre-install", ...}``) that Helm would run an object for; empty for an ordinary one."""
    notes = (obj.get("metadata") or {}).get("annotations") or {}
    return {word.strip() for word in str(notes.get(HOOK) or "").split(",") if word.strip()}


def members(objects):
    """Return those objects of a rendering that belong to a set.

    Hooks that Helm runs when it deletes, goes back or tests are left out: the set itself is taken away by its state.
    Other hooks that only have to be there (accounts, roles, settings) are ordinary objects here. A Job or Pod that
    shall run once per release is refused (ValueError): a set says what there is, not what happens once.
    """
    found = []
    for obj in objects:
        hooks = _hooks(obj)
        if hooks and hooks <= DROPPED_HOOKS:
            continue
        if hooks and obj["kind"] in ONE_TIME:
            raise ValueError(
                f"{_name(obj)} is a hook ({', '.join(sorted(hooks))}) that runs once per release: "
                "choose values that leave it out"
            )
        found.append(obj)
    return found


def scopes(objects):
    """Return ``{(group, kind): namespaced}`` of the kinds that the objects themselves define (their CRDs)."""
    return {
        (obj["spec"]["group"], obj["spec"]["names"]["kind"]): obj["spec"].get("scope") == "Namespaced"
        for obj in objects
        if obj["kind"] == "CustomResourceDefinition"
    }


def placed(obj, namespace, namespaced):
    """Return the object as it belongs to the release's namespace, which a template may leave to Helm.

    namespaced
        Whether its kind lies in namespaces; None when nobody knows.
    """
    meta = obj.get("metadata") or {}
    if namespaced and not meta.get("namespace"):
        return {**obj, "metadata": {**meta, "namespace": namespace}}
    if namespaced is False and "namespace" in meta:
        return {**obj, "metadata": {key: value for key, value in meta.items() if key != "namespace"}}
    return obj
