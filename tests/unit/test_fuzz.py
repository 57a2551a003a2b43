"""Changes of a good cluster file, thousands of kinds: never a traceback, never a file accepted that the schema forbids, and
what is accepted can be built: every node's pillar and certificates follow from it."""

import copy
import json

import clusterfiles
import formula
import kaas_clusterfile
import kaas_pki
import kaas_topology
import kaas_yaml
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

GOOD = clusterfiles.good()
TEXT = (clusterfiles.CORPUS / "good.sls").read_text(encoding="utf-8")
SCHEMA = json.loads((formula.DATA / "cluster.schema.json").read_text(encoding="utf-8"))
# An implementation that knows nothing of ours.
PLAIN = Draft202012Validator(SCHEMA, format_checker=FormatChecker())
KNOWN = clusterfiles.known()

# The same cases at every run: a failure here is a failure everywhere.
fuzz = settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


def leaves(part, path=()):
    """Yield the path of everything in a document."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from leaves(value, (*path, key))


PATHS = list(leaves(GOOD))


def at(document, path):
    for key in path:
        document = document[key]
    return document


NASTY = [
    *(None, True, False, 0, 1, -1, 51, 6443, 65536, 1.5, 90.0, 1e300, 10**17),
    *("", " ", "\n", "m1\n", "é", "../ca", "*", "{node}", "__class__", "a" * 300, "ca", "m1", "w2.good", "x/y", "a.b/c"),
    *("10.1.0.11", "10.1.0.0", "10.1.0.0/24", "10.1.0.0/16", "10.1.0.0/33", "10.1.0.5/24", "0.0.0.0/0", "10.244.0.0/31", "10.96.0.0/32", "::1", "fd00::/64"),
    *("1.36", "1.37.2", "2.0", "on", "12:30", "https://a.example.com", "http://[::1]:80", "system:", "system:masters"),
    *([], {}, [None], {"a": None}, [[]], ["etcd"], ["worker"], ["loadbalancer", "master"], {"address": "10.1.0.99", "roles": ["worker"]}),
    *(["etcd-is-odd", "control-plane-is-redundant"], ["addresses-are-unique", "x"]),
]
anything = st.one_of(
    st.sampled_from(NASTY),
    st.sampled_from(PATHS).map(lambda path: at(GOOD, path)),
    st.text(max_size=20),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.dictionaries(st.text(max_size=8), st.sampled_from(NASTY), max_size=3),
)
change = st.tuples(st.sampled_from(PATHS), st.sampled_from(["replace", "remove", "rename", "add"]), anything, st.text(max_size=8))


def changed(changes):
    """Return good.sls with changes; one whose place another change took away does nothing."""
    document = copy.deepcopy(GOOD)
    for path, action, value, word in changes:
        try:
            parent = at(document, path[:-1])
            parent[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue
        value = copy.deepcopy(value)
        if isinstance(parent, str):
            continue
        if action == "remove":
            del parent[path[-1]]
        elif action == "rename" and isinstance(parent, dict):
            parent[f"{path[-1]}{word}"] = parent.pop(path[-1])
        elif action == "add":
            parent.append(value) if isinstance(parent, list) else parent.update({word: value})
        else:
            parent[path[-1]] = value
    return document


def check(folder, content, document):
    """Check a file and, when it is accepted, everything that must then be true of it."""
    path = folder / "good.sls"
    path.write_bytes(content)
    KNOWN["read"].pop(str(path), None)
    cluster, found = kaas_clusterfile.check(KNOWN, str(path), "good", {"neighbour": str(clusterfiles.CORPUS / "neighbour.sls")})
    for item in found:
        assert item["message"] and item["severity"] in ("error", "warning") and item["line"] >= 1
        assert len(kaas_clusterfile.text("good.sls", item)) < 2000
    if cluster is None:
        assert any(item["severity"] == "error" for item in found)
        return
    if document is ...:
        document = yaml.safe_load(content)
    assert PLAIN.is_valid(document)
    built(cluster)


def built(cluster):
    """Derive what every node and the CA get, as the ext_pillar does."""
    topology = kaas_topology.topology(cluster)
    for node in cluster["nodes"]:
        data = kaas_topology.derive(cluster, node, KNOWN["versions"], lambda *names: {"url": "/".join(names)})
        assert data["node"]["name"] == node
        for policy in kaas_pki.policies(topology, node).values():
            assert len(policy["common_name"]) <= 64
        json.dumps(data, allow_nan=False)


def test_the_good_file_can_be_built(tmp_path):
    check(tmp_path, TEXT.encode(), GOOD)
    assert PLAIN.is_valid(GOOD)


def written(document):
    return yaml.dump(document, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), allow_unicode=True).encode("utf-8", "replace")


@pytest.mark.parametrize("number", range(8))
def test_each_value_removed_or_replaced_by_a_nasty_one(number, tmp_path):
    """Each path meets an eighth of the nasty values in each of eight tests that share them out differently."""
    for index, path in enumerate(PATHS[number::8]):
        for value in [*NASTY[index % 8 :: 8], ...]:
            document = changed([(path, "remove" if value is ... else "replace", value, "")])
            check(tmp_path, written(document), document)


@fuzz
@given(changes=st.lists(change, min_size=1, max_size=4))
def test_changes_of_the_document(changes, tmp_path_factory):
    check(tmp_path_factory.getbasetemp(), written(changed(changes)), ...)


LINES = TEXT.splitlines(keepends=True)
edit = st.tuples(
    st.sampled_from(["cut", "insert", "drop line", "double line", "indent"]),
    st.integers(0, len(TEXT)),
    st.one_of(st.text(max_size=6), st.sampled_from([": ", "\t", "{", "}", "[", "]", "&a ", "*a", "!!str ", "#", "'", '"', "---\n", "on", "- "])),
)


@fuzz
@given(edits=st.lists(edit, min_size=1, max_size=3))
def test_changes_of_the_text(edits, tmp_path_factory):
    text = TEXT
    for action, place, word in edits:
        lines = text.splitlines(keepends=True)
        row = place % max(len(lines), 1)
        if action == "cut":
            text = text[:place] + text[place + len(word) :]
        elif action == "insert":
            text = text[:place] + word + text[place:]
        elif lines:
            lines[row] = {"drop line": "", "double line": lines[row] * 2, "indent": f"  {lines[row]}"}[action]
            text = "".join(lines)
    check(tmp_path_factory.getbasetemp(), text.encode("utf-8", "replace"), ...)


@fuzz
@given(content=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))))
def test_any_bytes(content, tmp_path_factory):
    check(tmp_path_factory.getbasetemp(), content, ...)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@fuzz
@given(value=values, flow=st.booleans())
def test_what_yaml_writes_is_read_as_it_was_meant(value, flow):
    """Numbers apart that not all programs read alike: those are findings."""
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    document, _, findings = kaas_yaml.parse(text)
    expected = ("some programs read", "holds Jinja", "is empty")
    assert all(any(words in item["message"] for words in expected) for item in findings)
    if not findings:
        assert document == yaml.safe_load(text)


# What a file must not do to the master that reads it.
BOMBS = {
    "brackets": b"[" * 400_000,
    "braces": b"{a: " * 200_000,
    "lists of lists": b"- " * 100_000,
    "indentation": b"".join(b" " * depth + b"a:\n" for depth in range(1_000)),
    "one long line": b"cluster: " + b"a" * 900_000,
    "a long key": b"a" * 900_000 + b": 1",
    "many keys": b"".join(b"key%d: 1\n" % number for number in range(60_000)),
    "many settings": TEXT.replace("maxPods: 60", ", ".join(f"maxPod{number}: 1" for number in range(20_000))).encode(),
    "one byte too much": b"#" * (kaas_yaml.MAX_BYTES + 1),
    "a long number": b"cluster: " + b"1" * 100_000,
    "a billion laughs": b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (n, n, *([n - 1] * 9)) for n in range(98, 110)),
    "an alias to itself": b"cluster: &a {nodes: *a}",
    "UTF-16": "cluster: {}".encode("utf-16"),
    "zeros": b"\0" * 1000,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused(bomb, tmp_path):
    check(tmp_path, BOMBS[bomb], ...)
