"""The schema of a cluster file: how its parts become one, and what it says about a document.

A finding is ``{"path": "network.pods", "message": "...", "check": "schema", "severity": "error"}``; the path is
relative to the key ``cluster``.
"""

import difflib
import json
import re

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

MAX_FINDINGS = 100
# Where the plug-ins of a kind are chosen and set up: (object in ``cluster``, key that names the plug-in). The settings
# of plug-in X lie beside that key, under X. The order is the one in which a cluster is built up.
PLUGINS = {
    "providers": ("provider", "name"),
    "sdn": ("network", "plugin"),
    "balancers": ("balancer", "plugin"),
    "gateways": ("gateway", "plugin"),
}


def _pattern(_validator, pattern, instance, _schema):
    """`$` is the end, as in JavaScript; Python alone lets a line break follow, and a node name end with one."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


# 90.0 is no number of days: it would be written into configuration files as 90.0.
_TYPES = Draft202012Validator.TYPE_CHECKER.redefine(
    "integer", lambda _checker, value: isinstance(value, int) and not isinstance(value, bool)
)
_Validator = extend(Draft202012Validator, {"pattern": _pattern}, type_checker=_TYPES)
_TYPE_NAMES = {"object": "a mapping", "array": "a list", "string": "text", "integer": "a whole number"}
_TYPE_NAMES.update({"number": "a number", "boolean": "true or false", "null": "nothing"})


def plugins():
    """Return :data:`PLUGINS`."""
    return PLUGINS


def validator(schema):
    """Return a validator for a schema."""
    return _Validator(schema, format_checker=FormatChecker(["ipv4", "ipv6"]))


def load(path):
    """Return a validator for the schema file at ``path``."""
    with open(path, encoding="utf-8") as handle:
        return validator(json.load(handle))


def assemble(base, fragments, defaults):
    """Return the complete schema, without references.

    base
        ``pillar/data/schema.yaml``.
    fragments
        ``{kind: {name: {"description", "schema", "defaults", ...}}}``, the files
        ``pillar/data/plugins/<kind>/<name>.yaml``.
    defaults
        ``pillar/data/defaults.yaml``.
    """
    cluster = base["properties"]["cluster"]
    for kind, (place, key) in PLUGINS.items():
        cluster = _plugged(cluster, place, key, fragments[kind], defaults[place].get(key))
        defaults = {**defaults, place: {**defaults[place], **{n: f["defaults"] for n, f in fragments[kind].items()}}}
    cluster = _with_defaults(cluster, defaults)
    whole = {**base, "properties": {**base["properties"], "cluster": cluster}}
    return {key: value for key, value in _inlined(whole, base["$defs"]).items() if key != "$defs"}


def _plugged(cluster, place, key, plugins, default):
    """Return the schema of ``cluster`` with the plug-ins of a kind: names, settings, and which settings must be."""
    spot = dict(cluster["properties"][place])
    properties = dict(spot["properties"])
    choice = {name: value for name, value in properties[key].items() if name != "x-registry"}
    properties[key] = {**choice, "enum": sorted(plugins)}
    conditions = []
    required = list(cluster["required"])
    for name, plugin in sorted(plugins.items()):
        properties[name] = {"description": plugin["description"], **plugin["schema"]}
        if plugin["schema"].get("required"):
            chosen = {"properties": {key: {"const": name}}, **({} if name == default else {"required": [key]})}
            conditions.append({"if": chosen, "then": {"required": [name]}})
            required += [place] if name == default and place not in required else []
    spot["properties"] = properties
    if conditions:
        spot["allOf"] = conditions
    return {**cluster, "required": required, "properties": {**cluster["properties"], place: spot}}


def _with_defaults(schema, defaults):
    """Return the schema with ``default`` wherever ``defaults`` has a value for a property that has no properties."""
    properties = {}
    for name, part in schema["properties"].items():
        if name not in defaults:
            properties[name] = part
        elif part.get("properties"):
            properties[name] = _with_defaults(part, defaults[name])
        else:
            properties[name] = {**part, "default": defaults[name]}
    return {**schema, "properties": properties}


def _inlined(part, definitions):
    """Return the schema with each ``$ref`` replaced by what it names; the keywords beside it win."""
    if isinstance(part, list):
        return [_inlined(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    if isinstance(part.get("$ref"), str):
        target = definitions[part["$ref"].removeprefix("#/$defs/")]
        part = {**target, **{key: value for key, value in part.items() if key != "$ref"}}
    return {key: _inlined(value, definitions) for key, value in part.items() if key != "$defs"}


def findings(checker, document):
    """Return what the schema has against the whole document (``{"cluster": ..., "lab": ...}``), and no more than
    :data:`MAX_FINDINGS`: what helps nobody shall not keep the master busy."""
    found: list[dict] = []
    for error in sorted(checker.iter_errors(document), key=lambda error: [str(part) for part in error.absolute_path]):
        for path, message in _describe(error):
            item = {
                "path": path.removeprefix("cluster.") or "cluster",
                "message": message,
                "check": "schema",
                "severity": "error",
            }
            if len(found) == MAX_FINDINGS:
                return [*found, {**item, "path": "cluster", "message": "has more mistakes: correct these first"}]
            if item not in found:
                found.append(item)
    return found


def _dotted(parts):
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _near(word, known):
    near = difflib.get_close_matches(str(word)[:100], [str(item) for item in known], n=1)
    return f"did you mean '{near[0]}'?" if near else ""


def _describe(error):
    """Yield ``(path, message)`` for one jsonschema error, in the words of somebody who edits the file."""
    path = _dotted(error.absolute_path)
    prefix = f"{path}." if path else ""
    rule = error.schema.get("x-rule")
    if "propertyNames" in error.absolute_schema_path:
        yield f"{prefix}{error.instance}"[:300], f"the key must be {rule or error.message[:200]}"
    elif error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        for key in error.instance:
            if key not in known:
                listed = f"known keys: {', '.join(sorted(known))}" if known else "no keys are known here"
                yield f"{prefix}{key}"[:300], f"unknown key; {_near(key, known) or listed}"
    elif error.validator == "required":
        for key in error.validator_value:
            if key not in error.instance:
                yield f"{prefix}{key}", "is missing"
    elif error.validator == "enum":
        hint = _near(error.instance, error.validator_value)
        choices = ", ".join(map(str, error.validator_value))
        yield path, f"{_shown(error.instance)} is not one of: {choices}{'; ' if hint else ''}{hint}"
    elif error.validator == "type":
        yield path, _mistyped(error.validator_value, error.instance)
    elif rule:
        yield path, f"{_shown(error.instance)} must be {rule}"
    elif error.validator in _BOUNDS:
        yield path, f"{_shown(error.instance)} {_BOUNDS[error.validator]} {error.validator_value}"
    else:
        yield path, _SHAPES.get(error.validator, error.message[:300])


_BOUNDS = {"minimum": "is less than", "maximum": "is more than", "maxLength": "is longer than"}
_SHAPES = {
    "maxItems": "has too many items",
    "maxProperties": "has too many keys",
    "minItems": "is empty: at least one is needed",
    "minProperties": "is empty: at least one is needed",
    "minLength": "is empty",
    "uniqueItems": "has an item twice",
}


def _shown(value):
    text = f"'{value}'" if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _mistyped(wanted, value):
    names = [_TYPE_NAMES[name] for name in ([wanted] if isinstance(wanted, str) else wanted)]
    if value is None:
        return f"must be {' or '.join(names)}, is empty"
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    found = _TYPE_NAMES[kinds[type(value)]]
    hint = ": quote it" if wanted == "string" and isinstance(value, (bool, int, float)) else ""
    return f"must be {' or '.join(names)}, is {found} ({_shown(value)}){hint}"
