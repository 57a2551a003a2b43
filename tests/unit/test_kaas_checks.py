"""The corpus of bad cluster files: each is refused with exactly what its case says; and how checks are acknowledged."""

import copy

import clusterfiles
import kaas_checks
import kaas_clusterfile
import pytest
import yaml


def cases(name):
    """Return the cases of a table of the corpus."""
    table = yaml.safe_load((clusterfiles.CORPUS / name).read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["name"]) for case in table]


# What makes good.sls a cluster with both address families.
DUAL = {
    "network": {
        "nodes": ["10.1.0.0/24", "fd00:1::/64"],
        "pods": ["10.244.0.0/16", "fd00:10:244::/56"],
        "services": ["10.96.0.0/16", "fd00:10:96::/112"],
    },
    "nodes": {
        name: {"address6": f"fd00:1::{n}"} for name, n in {"m1": 11, "m2": 12, "m3": 13, "w1": 21, "w2": 22}.items()
    },
}


def document(case):
    """Return good.sls as the case changes it."""
    base = clusterfiles.patched(clusterfiles.good(), {"cluster": DUAL if case.get("dual") else {}})
    return clusterfiles.patched(base, {**case.get("file", {}), "cluster": case.get("change", {})})


def knowing(known, facts):
    """Return ``known`` where plug-ins have other facts: ``{kind: {name: facts}}``."""
    plugins = {kind: dict(names) for kind, names in known["plugins"].items()}
    for kind, names in facts.items():
        for name, said_of_it in names.items():
            plugins[kind][name] = {**plugins[kind].get(name, {}), "facts": said_of_it or {}}
    return {**known, "plugins": plugins}


@pytest.fixture(scope="module")
def known():
    return clusterfiles.known()


def said(folder, known, content, neighbours=()):
    return clusterfiles.said(folder, content, neighbours, {**known, "read": {}})


def test_what_all_cases_are_changes_of_is_valid(tmp_path, known):
    text = (clusterfiles.CORPUS / "good.sls").read_text(encoding="utf-8")
    cluster, lines = said(tmp_path, known, text, [clusterfiles.CORPUS / "neighbour.sls"])
    assert cluster and lines == []


@pytest.mark.parametrize("case", cases("yaml.yaml"))
def test_traps_of_yaml(tmp_path, known, case):
    cluster, lines = said(tmp_path, known, case["text"])
    assert lines == case["says"]
    assert cluster is None


@pytest.mark.parametrize("case", cases("schema.yaml"))
def test_what_the_schema_refuses(tmp_path, known, case):
    cluster, lines = said(tmp_path, known, document(case))
    assert lines == case["says"]
    assert cluster is None


def test_good_with_both_address_families_is_valid(tmp_path, known):
    cluster, lines = said(tmp_path, known, document({"dual": True}), [clusterfiles.CORPUS / "neighbour.sls"])
    assert cluster and lines == []


@pytest.mark.parametrize(
    "change", [{"pods": "fd00:10::/48"}, {"services": "fd00:10:96::/108"}, {"services": "fd00:10:96::/124"}]
)
def test_ipv6_networks_at_their_limits_are_valid(tmp_path, known, change):
    change = {"network": {key: [DUAL["network"][key][0], net] for key, net in change.items()}}
    cluster, lines = said(tmp_path, known, document({"dual": True, "change": change}))
    assert cluster and lines == []


@pytest.mark.parametrize("case", cases("checks.yaml"))
def test_what_the_checks_find(tmp_path, known, case):
    neighbour = clusterfiles.CORPUS / "neighbour.sls"
    if "neighbour" in case:
        changed = clusterfiles.patched(
            yaml.safe_load(neighbour.read_text(encoding="utf-8")), {"cluster": case["neighbour"]}
        )
        neighbour = tmp_path / "neighbour.sls"
        neighbour.write_text(yaml.safe_dump(changed), encoding="utf-8")
    cluster, lines = said(tmp_path, knowing(known, case.get("facts", {})), document(case), [neighbour])
    assert lines == case["says"]
    assert (cluster is None) is any(not line.startswith("warning: ") for line in lines)


MORE = {f"w{number}": {"address": f"10.1.0.{number}", "roles": ["worker"]} for number in (31, 32, 33)}
ETCD = {f"e{number}": {"address": f"10.1.0.{number}", "roles": ["etcd"]} for number in range(41, 46)}
# check: (what it just allows, what it just does not)
BOUNDS = {
    "pods-fit-the-nodes": (
        {"network": {"pods": "10.244.0.0/21"}, "nodes": {**MORE}},
        {"network": {"pods": "10.244.0.0/21"}, "nodes": {**MORE, "w34": {"address": "10.1.0.34", "roles": ["worker"]}}},
    ),
    "pods-fit-a-node": ({"kubelet": {"maxPods": 253}}, {"kubelet": {"maxPods": 254}}),
    "services-are-large-enough": (
        {"network": {"services": "10.96.0.0/28", "dns": None}}, {"network": {"services": "10.96.0.0/29", "dns": None}},
    ),
    "etcd-is-small": (
        {"nodes": {name: ETCD[name] for name in list(ETCD)[:4]}}, {"nodes": ETCD},
    ),
    "pod-security-levels-rise": (
        {"admission": {"pod_security": {"enforce": "baseline", "audit": "baseline", "warn": "baseline"}}},
        {"admission": {"pod_security": {"enforce": "baseline", "audit": "privileged", "warn": "baseline"}}},
    ),
    "renewal-comes-before-expiry": (
        {"certificates": {"days": 60, "renew_before_days": 59}}, {"certificates": {"days": 60, "renew_before_days": 60}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("check", BOUNDS)
def test_where_a_check_draws_the_line(tmp_path, known, check):
    for change, refused in zip(BOUNDS[check], (False, True), strict=True):
        _, lines = said(tmp_path, known, clusterfiles.patched(clusterfiles.good(), {"cluster": change}))
        assert any(f"({check})" in line for line in lines) is refused, lines


def _issuers(document):
    """Put an issuer without an authority of its own before the one of the example, whose authority is broken."""
    entry = document["cluster"]["authentication"]["jwt"][0]
    first = copy.deepcopy(entry)
    first["issuer"]["url"] = "https://other.example.com"
    del first["issuer"]["certificateAuthority"]
    entry["issuer"]["certificateAuthority"] = "no certificate"
    document["cluster"]["authentication"]["jwt"] = [first, entry]


def _mappings(document):
    mappings = document["cluster"]["authentication"]["jwt"][0]["claimMappings"]
    del mappings["groups"]
    mappings["uid"]["expression"] = "claims.sub"


def _sources(document):
    document["cluster"]["artifacts"]["url"] = "http://999.1.1.1"
    document["cluster"]["registries"] = {"registry.k8s.io": "http://10.244.0.2:5000"}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (_issuers, "authentication.jwt[1].issuer.certificateAuthority is not a PEM certificate"),
        (_mappings, "authentication.jwt[0].claimMappings.uid needs either claim or expression"),
        (_sources, "registries.registry.k8s.io 10.244.0.2 lies in network.pods"),
    ],
)
def test_a_check_looks_further_than_its_first_case(tmp_path, known, change, path):
    document = clusterfiles.good()
    change(document)
    _, lines = said(tmp_path, known, document)
    assert any(path in line for line in lines), lines


def test_every_check_has_a_case():
    found = "\n".join(line for case in cases("checks.yaml") for line in case.values[0]["says"])
    missing = [name for name in kaas_checks.CHECKS if f"({name})" not in found]
    assert missing == []


def test_the_corpus_is_large():
    assert sum(len(cases(name)) for name in ("yaml.yaml", "schema.yaml", "checks.yaml")) >= 60


BYTES = [
    (b"cluster: {name: \xff}\n", "not valid YAML: byte 16 is not UTF-8 (line 1)"),
    ("cluster: {name: good}\n".encode("utf-16"), "not valid YAML: byte 0 is not UTF-8 (line 1)"),
    (b"#" * (1024 * 1024 + 1), "is larger than 1024 KiB (line 1)"),
    (b"cluster: " + b"[" * 40, f"cluster{'[0]' * 31} is nested deeper than 32 levels (line 1)"),
]


@pytest.mark.parametrize(("content", "message"), BYTES, ids=[message for _, message in BYTES])
def test_bytes_that_are_no_text(tmp_path, known, content, message):
    (tmp_path / "good.sls").write_bytes(content)
    known = {**known, "read": {}}
    cluster, found = kaas_clusterfile.check(known, str(tmp_path / "good.sls"))
    assert cluster is None
    assert [kaas_clusterfile.text("", item).removeprefix(": ") for item in found] == [message]


def test_a_byte_order_mark_is_no_mistake(tmp_path, known):
    text = (clusterfiles.CORPUS / "good.sls").read_text(encoding="utf-8")
    assert said(tmp_path, known, "\ufeff" + text) == (said(tmp_path, known, text)[0], [])


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"a{number}: on" for number in range(500)),
        yaml.safe_dump({f"key{number}": 1 for number in range(500)}),
    ],
    ids=["yaml", "schema"],
)
def test_very_many_mistakes_are_told_in_part(tmp_path, known, text):
    _, lines = said(tmp_path, known, text)
    assert len(lines) == 101 and lines[-1].endswith(
        ("has more mistakes: correct these first", "correct these first (line 100)")
    )


def test_networks_that_are_none_stop_no_other_check(tmp_path, known):
    change = {
        "network": {"nodes": "10.1.0.0/33", "pods": "10.244.0.0/33", "services": "10.96.0.0/33"},
        "addons": ["demo"],
    }
    _, lines = said(tmp_path, known, clusterfiles.patched(clusterfiles.good(), {"cluster": change}))
    assert [line.rpartition(" (")[2] for line in lines] == ["networks-are-networks)"] * 3 + ["addons-have-their-needs)"]


# Kubernetes' version skew policy, with more minors than are supported at a time.
MINORS = {"kubernetes": {f"1.{minor}": {"kubernetes": f"1.{minor}.4"} for minor in range(40, 29, -1)}}
SKEW = [
    # (the cluster's version, versions of nodes, what is said)
    ("1.40", {}, []),
    ("1.40", {"m1": "1.39", "w1": "1.39", "w2": "1.39"}, []),
    ("1.40", {"m1": "1.39", "w1": "1.36", "w2": "1.37"}, ["nodes.w1.kubernetes 1.36 is more than three minors behind the newest master's: upgrade it"]),
    ("1.40", {"m1": "1.38", "m2": "1.38", "m3": "1.38", "w1": "1.35", "w2": "1.36"}, []),
    ("1.40", {"m3": "1.38", "w1": "1.38", "w2": "1.38"}, ["nodes.m3.kubernetes 1.38 is more than one minor behind the newest master's: upgrade it first"]),
    ("1.40", {"m1": "1.39", "m2": "1.39", "m3": "1.39", "w2": "1.39"}, ["nodes.w1.kubernetes 1.40 is newer than the oldest master's: upgrade the masters first"]),
    ("1.39", {"w1": "1.39.4"}, []),
    ("1.39.4", {"w1": "1.39"}, []),
    ("1.39", {"w1": "1.40"}, ["nodes.w1.kubernetes 1.40 is newer than the cluster's 1.39: raise that first", "nodes.w1.kubernetes 1.40 is newer than the oldest master's: upgrade the masters first"]),
]  # fmt: skip


@pytest.mark.parametrize(("version", "nodes", "expected"), SKEW, ids=str)
def test_version_skew(tmp_path, known, version, nodes, expected):
    change = {
        "kubernetes": version,
        "nodes": {"w2": {"kubernetes": None}, **{name: {"kubernetes": own} for name, own in nodes.items()}},
    }
    table = {**known, "versions": MINORS}
    _, lines = said(tmp_path, table, clusterfiles.patched(clusterfiles.good(), {"cluster": change}))
    assert [line.removesuffix(" (versions-are-within-skew)") for line in lines] == expected
