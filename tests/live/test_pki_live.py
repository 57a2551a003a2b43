"""Certificates through a real master: one call, nothing to choose, nobody asked when all is well."""

import json
import stat

import kaas_pki
import pytest

PEER_FAILURES = ({}, None, "", False)


def journal(authority):
    path = authority / "demo" / "issued.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def publish(salt, minion, function, request, **kwargs):
    """What a node gets for a call of its own choice."""
    return salt.run(minion, "publish.publish", "ca", function, json.dumps([request]), **kwargs)


@pytest.fixture(scope="session")
def issued(salt, authority):
    """Both nodes after their first run."""
    return {name: salt.run(name, "state.apply", "pki.configured") for name in ("m1.demo", "w1.demo")}


def test_authorities_are_made_once(salt, authority, apply):
    before = {path.name: path.read_bytes() for path in (authority / "demo").glob("*ca.*")}
    assert set(before) == {f"{stem}.{end}" for stem in ("ca", "etcd-ca", "front-proxy-ca") for end in ("crt", "key")}
    assert all(stat.S_IMODE((authority / "demo" / name).stat().st_mode) == 0o600 for name in before if "key" in name)
    states = salt.run("ca", "state.apply", "ca.configured")
    assert [(state["name"], state["result"], state["changes"]) for state in states.values()] == [("demo", True, {}), ("third", True, {})]
    assert before == {path.name: path.read_bytes() for path in (authority / "demo").glob("*ca.*")}


def test_dry_run_asks_nobody_and_writes_nothing(salt, authority, apply, request):
    if "issued" in request.fixturenames or journal(authority):
        pytest.skip("the nodes have their certificates already")
    state = apply("m1.demo", "pki.configured", test=True)
    assert state["result"] is None
    assert "apiserver" in state["changes"]
    assert journal(authority) == []
    assert list(salt.directory("m1.demo").iterdir()) == []


@pytest.mark.parametrize("name", ["m1.demo", "w1.demo"])
def test_first_run_issues_all_that_the_roles_need(salt, issued, name):
    (state,) = issued[name].values()
    assert state["result"] is True, state["comment"]
    policies = salt.run(name, "pillar.get", "kaas:certificates", unmask=True)
    assert set(policies) <= set(state["changes"])
    assert ("super-admin" in policies) == (name == "m1.demo")
    assert "PRIVATE KEY" not in json.dumps(state)
    root = salt.directory(name)
    for policy in policies.values():
        cert, key, ca_file = ((root / policy[part].lstrip("/")) for part in ("cert", "key", "ca_file"))
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert kaas_pki.problems(cert.read_text(), key.read_text(), ca_file.read_text(), policy) == []


def test_second_run_changes_nothing_and_asks_nobody(salt, authority, issued, apply):
    before = journal(authority)
    state = apply("m1.demo", "pki.configured")
    assert (state["result"], state["changes"]) == (True, {})
    assert journal(authority) == before


def test_only_what_is_faulty_is_renewed_and_keys_are_kept(salt, authority, issued, apply):
    root = salt.directory("w1.demo")
    key = root / "var/lib/kubelet/pki/kubelet.key"
    before = key.read_text()
    (root / "var/lib/kubelet/pki/kubelet.crt").unlink()
    count = len(journal(authority))
    state = apply("w1.demo", "pki.configured")
    assert state["result"] is True, state["comment"]
    assert list(state["changes"]) == ["kubelet"]
    assert state["changes"]["kubelet"].endswith("missing")
    assert key.read_text() == before
    assert [entry["purpose"] for entry in journal(authority)[count:]] == ["kubelet"]


def test_foreign_authority_is_not_taken_over(salt, authority, issued, apply):
    path = salt.directory("w1.demo") / "etc/kubernetes/pki/ca.crt"
    mine = path.read_text()
    path.write_text(kaas_pki.create_ca("kubernetes")["certificate"])
    try:
        state = apply("w1.demo", "pki.configured")
        assert state["result"] is False
        assert "is not the one that this node trusts" in state["comment"]
    finally:
        path.write_text(mine)
    assert apply("w1.demo", "pki.configured")["changes"] == {}


@pytest.fixture(scope="module")
def public():
    return kaas_pki.public_key(kaas_pki.create_key())


@pytest.mark.parametrize("purpose", ["super-admin"])
def test_worker_gets_no_purpose_of_a_master(salt, issued, public, purpose):
    answer = publish(salt, "w1.demo", "kaas_ca.issue", json.dumps({purpose: public}))
    assert "may not have: " + purpose in answer["ca"]["error"]


def test_worker_may_not_see_the_etcd_record(salt, issued):
    assert "has no role etcd" in publish(salt, "w1.demo", "kaas_ca.bootstrap", "{}")["ca"]["error"]
    assert publish(salt, "m1.demo", "kaas_ca.bootstrap", "{}")["ca"] == {"cluster_id": None, "recorded": None}


def test_identity_cannot_be_chosen(salt, authority, issued, public):
    count = len(journal(authority))
    request = json.dumps({"super-admin": public})
    for spoof in ("__pub_id=m1.demo", {"__kwarg__": True, "__pub_id": "m1.demo"}):
        answer = salt.run("w1.demo", "publish.publish", "ca", "kaas_ca.issue", json.dumps([request, spoof]))
        assert "w1.demo may not have" in answer["ca"]["error"]
    assert len(journal(authority)) == count


@pytest.mark.parametrize("function", ["cmd.run", "kaas_ca.issue,cmd.run"])
def test_nothing_else_may_be_published(salt, issued, function):
    """What attackers try is in test_attacks.py; this is what a node's own `publish.publish` says."""
    assert publish(salt, "w1.demo", function, "id") in PEER_FAILURES


def test_no_node_may_be_called_only_the_ca(salt, issued):
    answer = salt.run("w1.demo", "publish.publish", "m1.demo", "kaas_ca.issue", json.dumps(["{}"]))
    assert answer in PEER_FAILURES
    answer = salt.run("w1.demo", "publish.publish", "*", "kaas_ca.issue", json.dumps(["{}"]))
    assert answer in PEER_FAILURES


def test_operator_sees_authorities_and_journal(salt, authority, issued):
    status = salt.run("ca", "kaas_ca.status")
    assert set(status["demo"]["authorities"]) == {"kubernetes", "etcd", "front-proxy"}
    assert status["demo"]["authorities"]["etcd"]["subject"] == "CN=etcd-ca"
    entries = salt.run("ca", "kaas_ca.journal", "demo")
    assert {entry["id"] for entry in entries} == {"m1.demo", "w1.demo"}
    assert set(entries[0]) == {"time", "id", "purpose", "serial", "not_after"}


def test_a_node_added_a_moment_ago_is_served(salt, authority, issued, pillar_root, apply):
    """The CA minion asks the master for its pillar: what it has in memory does not know the new role yet."""
    path = pillar_root / "clusters" / "demo.sls"
    before = path.read_text()
    path.write_text(before.replace("roles: [worker]", "roles: [worker, master]"))
    try:
        state = apply("w1.demo", "pki.configured")
        assert state["result"] is True, state["comment"]
        assert "apiserver" in state["changes"]
    finally:
        path.write_text(before)
