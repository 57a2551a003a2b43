"""The table of the CIS benchmark: complete, the same as the page, and each of its checks can fail."""

import copy

import cis
import pytest

ROWS = cis.load()
COMPARED = [row for row in ROWS if cis.kind(row) in ("file", "argument", "setting")]


def good_value(check):
    """A value that a comparison accepts."""
    if "is" in check:
        return check["is"]
    if "has" in check:
        return ",".join(check["has"])
    if "only" in check:
        return check["only"][-1]
    if "at_least" in check:
        return check["at_least"]
    return "other" if check.get("set") else None


def bad_value(check):
    """A value that it refuses."""
    if "is" in check:
        return "other"
    if "is_not" in check:
        return check["is_not"]
    if "has_not" in check:
        return ",".join(check["has_not"])
    if "only" in check:
        return "weak"
    return None if check.get("set") or "has" in check or "at_least" in check else "there"


def evidence(row, value, mode="0400", owner=None):
    """What a node with this value, or with such files, would show."""
    check = row[cis.kind(row)]
    found = {"files": {}, "arguments": {}, "settings": {}}
    if "file" in row:
        for path in check["paths"]:
            found["files"][path] = [mode, owner or check.get("owner", "root:root")]
    elif "argument" in row:
        flags = check["flag"] if isinstance(check["flag"], list) else [check["flag"]]
        found["arguments"][check["of"]] = [f"{flag}={value}" for flag in flags if value is not None]
    else:
        document = found["settings"][check["of"]] = {}
        for path in check["path"] if isinstance(check["path"], list) else [check["path"]]:
            *parents, last = path.split(".")
            place = document
            for key in parents:
                place = place.setdefault(key, {})
            place[last] = value
    return found


@pytest.mark.parametrize("row", COMPARED, ids=lambda row: str(row["control"]))
def test_each_check_can_succeed_and_fail(row):
    check = row[cis.kind(row)]
    assert cis.problems(row, evidence(row, good_value(check))) == []
    assert cis.problems(row, {"files": {}, "arguments": {}, "settings": {}}), "nothing there, nothing proven"
    if "file" in row:
        wrong = {"mode": "0666"} if "mode" in check else {"owner": "nobody:nogroup"}
        assert cis.problems(row, evidence(row, None, **wrong))
    else:
        assert cis.problems(row, evidence(row, bad_value(check)))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["control"]))
def test_each_row_is_complete(row):
    """One kind of check, or a reason for none; nodes that exist; comparisons that are known."""
    kinds = [kind for kind in cis.KINDS if kind in row]
    assert len(kinds) == (0 if "reason" in row else 1)
    assert row["nodes"] in cis.NODES and row["title"]
    assert set(row) <= {"control", "title", "nodes", "differs", "reason", *kinds}
    known = {
        "paths",
        "mode",
        "owner",
        "of",
        "flag",
        "path",
        "verbs",
        "resources",
        "subjects",
        "plugins",
        "answer",
        "spec",
        "container",
    }
    known |= {"is", "is_not", "set", "has", "has_not", "only", "at_least"}
    if kinds and kinds != ["look"]:
        assert set(row[kinds[0]]) <= known


def test_controls_are_in_order_and_unique():
    numbers = [tuple(int(part) for part in str(row["control"]).split(".")) for row in ROWS]
    assert numbers == sorted(set(numbers))


def test_no_control_is_left_out():
    """Each chapter counts up without a gap, to the number that the benchmark (v1.12) has."""
    last = {"1.1": 21, "1.2": 30, "1.3": 7, "1.4": 2, "2": 7, "3.1": 3, "3.2": 2, "4.1": 10, "4.2": 14, "4.3": 1}
    last |= {"5.1": 13, "5.2": 12, "5.3": 2, "5.4": 2, "5.5": 1, "5.6": 4}
    expected = [f"{chapter}.{number}" for chapter, count in last.items() for number in range(1, count + 1)]
    assert [str(row["control"]) for row in ROWS] == expected


def test_the_page_says_what_the_table_says():
    text = cis.PAGE.read_text(encoding="utf-8")
    assert text == cis.page(text, ROWS), "run: make reference"


ROLES = [
    {"metadata": {"name": "all"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]},
    {"metadata": {"name": "reader"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]},
    {"metadata": {"name": "one"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["x"], "verbs": ["get"]}]},
    {"metadata": {"name": "tokens"}, "rules": [{"apiGroups": [""], "resources": ["*/token"], "verbs": ["create"]}]},
    {"metadata": {"name": "empty"}, "rules": None},
]  # fmt: skip
BINDINGS = [
    {"roleRef": {"name": "all"}, "subjects": [{"kind": "Group", "name": "admins"}]},
    {"roleRef": {"name": "reader"}, "subjects": [{"kind": "ServiceAccount", "namespace": "kube-system", "name": "robot"}]},
    {"roleRef": {"name": "one"}, "subjects": [{"kind": "User", "name": "jane"}]},
    {"roleRef": {"name": "tokens"}, "subjects": [{"kind": "User", "name": "issuer"}]},
    {"roleRef": {"name": "empty"}, "subjects": None},
    {"roleRef": {"name": "gone"}, "subjects": [{"kind": "User", "name": "nobody"}]},
]  # fmt: skip


@pytest.mark.parametrize(
    ("verbs", "resources", "expected"),
    [
        (["get"], ["secrets"], {"Group:admins", "ServiceAccount:kube-system:robot"}),
        (["list"], ["secrets"], {"Group:admins"}),
        (["list", "get"], ["secrets"], {"Group:admins", "ServiceAccount:kube-system:robot"}),
        (["get"], ["secrets.example.org"], {"Group:admins"}),
        (["create"], ["serviceaccounts/token"], {"Group:admins", "User:issuer"}),
        (["create"], ["serviceaccounts"], {"Group:admins"}),
        (["*"], ["*.*"], {"Group:admins"}),
    ],
)
def test_who_has_a_right(verbs, resources, expected):
    roles, bindings = copy.deepcopy(ROLES), copy.deepcopy(BINDINGS)
    assert cis.subjects({"verbs": verbs, "resources": resources}, roles, bindings) == expected
