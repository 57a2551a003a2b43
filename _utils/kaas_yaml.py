"""YAML that a person wrote, read so that it can mean one thing only.

YAML lets much pass that is a mistake in a cluster file: of two equal keys the first is lost, ``on`` is true, ``12:30``
is 750, an alias can blow ten lines up to gigabytes, and many brackets crash the C library's composer. So the document
is built here, from the parser's events and without recursion: all of that is refused with its line.

A finding is ``{"path": "cluster.network.pods", "message": "...", "line": 14}``; what concerns no key has the path "".
"""

import math
import re

import yaml

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_DIGITS = 18
MAX_FINDINGS = 100
JINJA = re.compile(r"\{\{|\{%|\{#")
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# What YAML 1.2, JSON and editors read as a number, and YAML 1.1 as text.
NUMBER_ELSEWHERE = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+|0o[0-7]+")
# What a program may take a plain word for, and what to write instead.
READINGS = {
    "bool": ("true or false", "write true or false, or quote it"),
    "int": ("a number", "quote it, or write the number in digits alone"),
    "float": ("a number", "quote it, or write the number in digits alone"),
    "timestamp": ("a date", "quote it"),
    "merge": ("an order to merge", "write the keys out"),
    "value": ("a default value", "quote it"),
}
PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TAG = "tag:yaml.org,2002:"


def read(path):
    """Return ``(document, lines, findings)`` of a file, as :func:`parse`; raise OSError when it cannot be read."""
    with open(path, "rb") as handle:
        content = handle.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        return None, {}, [_finding("", f"is larger than {MAX_BYTES // 1024} KiB", 1)]
    try:
        return parse(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return None, {}, [_finding("", f"not valid YAML: byte {error.start} is not UTF-8", line)]


def parse(text):
    """Return ``(document, lines, findings)``.

    document
        What the text says as far as it means one thing; None when it could not be read to its end.
    lines
        ``{dotted path: line number}`` of every key and list item.
    findings
        All mistakes up to the first that ends the reading (a syntax error).
    """
    findings = _templates(text)
    if findings:
        return None, {}, findings
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=PARSER):
            builder.take(event)
    except _Hopeless:
        builder.root = None
    except yaml.YAMLError as error:
        builder.root = None
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else text.count("\n", 0, getattr(error, "position", 0)) + 1
        builder.find("", f"not valid YAML: {_reason(text, error, line)}", line)
    if builder.root is None and not builder.findings:
        builder.find("", "is empty: it needs the key 'cluster'", 1)
    return builder.root, builder.lines, builder.findings


def _finding(path, message, line):
    return {"path": path, "message": f"{message} (line {line})", "line": line}


def _templates(text):
    """Return a finding for each line that Jinja would render; a comment may hold what it likes."""
    found = []
    if text.startswith("#!"):
        found.append(_finding("", "names a renderer ('#!'): the file is plain YAML, nothing renders it", 1))
    for number, line in enumerate(text.splitlines(), 1):
        match = None if line.lstrip().startswith("#") else JINJA.search(line)
        if match:
            message = f"holds Jinja ('{match.group()}'): the file is plain YAML, nothing renders it"
            found.append(_finding("", message, number))
    return found


def _reason(text, error, line):
    lines = text.splitlines()
    if line <= len(lines) and re.match(r"\s*\t", lines[line - 1]):
        return "a tab indents this line: use spaces"
    parts = [getattr(error, "context", None), getattr(error, "problem", None) or str(error)]
    return " ".join(" ".join(str(part) for part in parts if part).split())[:200]


class _Hopeless(Exception):
    """Reading on makes no sense."""


class _Builder:
    """Makes a document of parser events and notes what is wrong with it."""

    def __init__(self):
        self.root, self.lines, self.findings, self.documents = None, {}, [], 0
        # open collections: [container, key that waits for its value, path]
        self.stack = []

    def find(self, path, message, line):
        self.findings.append(_finding(path, message, line))
        if len(self.findings) == MAX_FINDINGS:
            self.findings.append(_finding("", "has more mistakes: correct these first", line))
            raise _Hopeless

    def take(self, event):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self.find("", "a second document begins ('---'): one file is one cluster", line)
                raise _Hopeless
        elif isinstance(event, yaml.AliasEvent):
            self.find(self._path(), f"'*{event.anchor}' is an alias: write the value out", line)
            self._put(None, line)
        elif isinstance(event, yaml.ScalarEvent):
            self._put(self._scalar(event, line), line, event.value)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.stack.pop()

    def _path(self):
        """Return the path of the value that comes next."""
        if not self.stack:
            return ""
        container, key, path = self.stack[-1]
        if isinstance(container, list):
            return f"{path}[{len(container)}]"
        return path if key is None else f"{path}.{key}".removeprefix(".")

    def _open(self, event, line):
        if len(self.stack) >= MAX_DEPTH:
            self.find(self._path(), f"is nested deeper than {MAX_DEPTH} levels", line)
            raise _Hopeless
        if self.stack and isinstance(self.stack[-1][0], dict) and self.stack[-1][1] is None:
            self.find(self._path(), "a key is a list or a mapping: quote it ('{' and '[' begin one)", line)
            raise _Hopeless
        self._tagged(event, line)
        container: dict | list = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self._path()
        self._put(container, line)
        self.stack.append([container, None, path])

    def _tagged(self, event, line):
        if event.tag and event.tag != "!":
            self.find(
                self._path(), f"the tag {event.tag.removeprefix(TAG)} is not for this file: write plain values", line
            )

    def _put(self, value, line, text=""):
        """Place a value: as the root, as a list's next item, as a mapping's key or its value."""
        if not self.stack:
            self.root = value
            return
        top = self.stack[-1]
        container, key, path = top
        if isinstance(container, list):
            self.lines[f"{path}[{len(container)}]"] = line
            container.append(value)
        elif key is None:
            top[1] = self._key(container, value, path, line, text)
        else:
            container[key] = value
            top[1] = None

    def _key(self, container, value, path, line, key):
        where = f"{path}.{key}".removeprefix(".")
        if not isinstance(value, str):
            self.find(where, f"the key is {_kind(value)}, not text: quote it", line)
        if key in container:
            self.find(where, f"stands twice in one mapping, the first time in line {self.lines[where]}", line)
        self.lines[where] = line
        return key

    def _scalar(self, event, line):
        self._tagged(event, line)
        text = event.value
        if event.style or not event.implicit[0]:
            return text
        resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], [])
        kind = next((tag.removeprefix(TAG) for tag, pattern in resolvers if pattern.match(text)), "str")
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind == "int" and INTEGER.fullmatch(text) and len(text) <= MAX_DIGITS:
            return int(text)
        if kind == "float" and FLOAT.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        if kind != "str" or NUMBER_ELSEWHERE.fullmatch(text):
            reading, fix = READINGS.get(kind, READINGS["int"])
            self.find(self._path(), f"some programs read {text[:40]} as {reading}: {fix}", line)
        return text


def _kind(value):
    """Return how a person calls the value."""
    if value is None:
        return "empty"
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a mapping", str: "text"}
    return names.get(type(value), type(value).__name__)
