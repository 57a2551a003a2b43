"""Several clusters on one Salt master: each with its own authorities, secrets and pillar; a CA minion for some, or for one."""

import json

import kaas_pki
import pytest


def publish(salt, minion, ca, function, request):
    return salt.run(minion, "publish.publish", ca, function, json.dumps([request]))


@pytest.fixture(scope="module")
def issued(salt, authority):
    """One node of the cluster with its own CA minion, after its first run."""
    for minion, sls in (("ca2", "ca.configured"), ("m1.other", "pki.configured")):
        (state,) = salt.run(minion, "state.apply", sls).values()
        assert state["result"] is True, state["comment"]
    return salt


@pytest.fixture(scope="module")
def public():
    return kaas_pki.public_key(kaas_pki.create_key())


def test_each_ca_minion_keeps_the_authorities_of_its_clusters(issued):
    found = {minion: {path.name for path in issued.authorities(minion).iterdir() if path.is_dir()} for minion in ("ca", "ca2")}
    assert found == {"ca": {"demo", "third"}, "ca2": {"other"}}
    keys = {path.read_text() for minion in found for path in issued.authorities(minion).glob("*/*.key")}
    assert len(keys) == 9


def test_a_node_is_served_by_its_own_ca_minion(issued):
    root = issued.directory("m1.other")
    trusted = (root / "etc/kubernetes/pki/ca.crt").read_text()
    assert trusted == (issued.authorities("ca2") / "other" / "ca.crt").read_text()
    assert {entry["id"] for entry in issued.run("ca2", "kaas_ca.journal", "other")} == {"m1.other"}


@pytest.mark.parametrize("function", ["kaas_ca.issue", "kaas_ca.bootstrap"])
def test_another_ca_minion_serves_no_foreign_node(issued, public, function):
    request = json.dumps({"kubelet": public} if function == "kaas_ca.issue" else {})
    assert "m1.other is a node of no cluster that this CA minion serves" in publish(issued, "m1.other", "ca", function, request)["ca"]["error"]
    # and the other way round the master lets nothing through
    assert publish(issued, "m1.demo", "ca2", function, request) in ({}, None, "", False)


@pytest.mark.parametrize(("minion", "ours", "foreign"), [("m1.demo", "172.28.", ("other", "172.29.", "172.30.")), ("m1.other", "172.29.", ("demo", "172.28.", "172.30."))])
def test_a_nodes_pillar_knows_of_its_own_cluster_alone(issued, minion, ours, foreign):
    text = json.dumps(issued.run(minion, "pillar.get", "kaas", unmask=True))
    assert ours in text
    assert [word for word in foreign if word in text.replace("registry.kaas.local/demo", "").replace('"demo":', "")] == []


def test_a_ca_minions_pillar_knows_of_its_own_clusters_alone(issued):
    found = {minion: set(issued.run(minion, "pillar.get", "kaas:ca:clusters", unmask=True)) for minion in ("ca", "ca2")}
    assert found == {"ca": {"demo", "third"}, "ca2": {"other"}}


def test_clusters_share_no_secret(issued):
    found = [issued.run(minion, "pillar.get", "kaas:secrets", unmask=True) for minion in ("m1.demo", "m1.other")]
    keys = [
        {one["service_account"]["private"], one["csr_signer"]["key"], *(entry["key"] for entry in one["encryption"])} for one in found
    ]
    assert all(len(one) == 3 for one in keys)
    assert not keys[0] & keys[1]


def test_a_foreign_cluster_cannot_be_signed_for(issued, public):
    assert "demo: no such cluster" in issued.run("ca2", "kaas_ca.sign_operator", "demo", f"public_key={public}", "user=jane")
