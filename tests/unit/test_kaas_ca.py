"""The CA minion: who gets which certificate (every attack as a case), the etcd record, and the authorities' state."""

import json
import os
import stat
import time

import formula
import kaas_pki
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from loaded import Loaded

PUBLIC = kaas_pki.public_key(kaas_pki.create_key())


def cluster(name, nodes):
    return {
        "name": name,
        "domain": "cluster.local",
        "ca": "ca",
        "api": {"address": "172.28.0.100", "port": 8443},
        "networks": {"services": ["10.96.0.0/16"]},
        "purposes": formula.plugin("sdn", "flannel")["certificates"],
        "nodes": {
            node: {
                "id": identifier,
                "address": f"172.28.0.{number}",
                "addresses": [f"172.28.0.{number}"],
                "roles": roles,
            }
            for number, (node, (identifier, roles)) in enumerate(nodes.items(), 11)
        },
    }


CLUSTERS = {
    "demo": cluster(
        "demo",
        {"m1": ("m1.demo", ["etcd", "master"]), "w1": ("w1.demo", ["worker"]), "e1": ("e1.demo", ["etcd"])},
    ),
    "other": cluster("other", {"m1": ("m1.other", ["etcd", "master"]), "x": ("shared", ["worker"])}),
    "third": cluster("third", {"y": ("shared", ["master"])}),
}


class Ca(Loaded):
    """The CA minion, its files below `root`. `pillar_now` is what the master would compile at this moment."""

    def __init__(self, root, clusters=None, **options):
        self.root = root
        pillar = {"kaas": {"roles": ["ca"], "ca": {"clusters": CLUSTERS if clusters is None else clusters}}}
        super().__init__(pillar, only=["kaas_ca"], id="ca", kaas_ca_root=str(root), **options)
        self.pillar_now = pillar
        self.compiled = 0

    def set_up(self, name="demo"):
        state = self.states["kaas_ca.present"](name)
        assert state["result"] is True, state
        return self

    def issue(self, requester, request, **kwargs):
        request = request if isinstance(request, str) else json.dumps(request)
        return self.modules["kaas_ca.issue"](request, __pub_id=requester, __pub_fun="kaas_ca.issue", **kwargs)

    def bootstrap(self, requester, request):
        return self.modules["kaas_ca.bootstrap"](json.dumps(request), __pub_id=requester)


@pytest.fixture
def ca(tmp_path, monkeypatch):
    found = Ca(tmp_path / "pki")

    def get_pillar(opts, *_, **__):
        found.compiled += 1
        return type("Pillar", (), {"compile_pillar": staticmethod(lambda: found.pillar_now)})

    monkeypatch.setattr("salt.pillar.get_pillar", get_pillar)
    return found.set_up()


def subject(pem):
    name = x509.load_pem_x509_certificate(pem.encode()).subject
    get = name.get_attributes_for_oid
    return [a.value for a in get(NameOID.COMMON_NAME)], [a.value for a in get(NameOID.ORGANIZATION_NAME)]


def journal(ca):
    path = ca.root / "demo" / "issued.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_node_gets_what_its_roles_need(ca):
    answer = ca.issue("w1.demo", {"kubelet": PUBLIC, "kubelet-client": PUBLIC, "flannel": PUBLIC, "kube-proxy": PUBLIC})
    assert set(answer) == {"certificates", "authorities"}
    assert subject(answer["certificates"]["kubelet"]) == (["system:node:w1"], ["system:nodes"])
    assert set(answer["authorities"]) == {"kubernetes"}
    assert "PRIVATE" not in json.dumps(answer)
    policies = kaas_pki.policies(CLUSTERS["demo"], "w1")
    for purpose, certificate in answer["certificates"].items():
        found = kaas_pki.problems(certificate, None, answer["authorities"]["kubernetes"], policies[purpose])
        assert found == ["the private key is missing"]


@pytest.mark.parametrize(
    ("requester", "purpose", "authorities"),
    [
        ("w1.demo", "kubelet", {"kubernetes"}),
        ("e1.demo", "etcd-peer", {"kubernetes", "etcd"}),
        ("m1.demo", "apiserver", {"kubernetes", "etcd", "front-proxy"}),
    ],
)
def test_authorities_are_those_of_the_nodes_purposes(ca, requester, purpose, authorities):
    assert set(ca.issue(requester, {purpose: PUBLIC})["authorities"]) == authorities


def test_etcd_nodes_learn_on_the_way_whether_their_cluster_was_formed(ca):
    assert "etcd" not in ca.issue("w1.demo", {"kubelet": PUBLIC})
    assert ca.issue("e1.demo", {"etcd-peer": PUBLIC})["etcd"] == {"cluster_id": None, "recorded": None}
    ca.bootstrap("m1.demo", {"cluster_id": "cafe1"})
    assert ca.issue("e1.demo", {"etcd-peer": PUBLIC})["etcd"]["cluster_id"] == "cafe1"


def test_journal_tells_what_was_issued(ca):
    ca.issue("w1.demo", {"kubelet": PUBLIC})
    answer = ca.issue("m1.demo", {"admin": PUBLIC})
    entries = journal(ca)
    assert [(entry["id"], entry["purpose"]) for entry in entries] == [("w1.demo", "kubelet"), ("m1.demo", "admin")]
    serial = x509.load_pem_x509_certificate(answer["certificates"]["admin"].encode()).serial_number
    assert entries[1]["serial"] == f"{serial:x}"
    assert stat.S_IMODE((ca.root / "demo" / "issued.jsonl").stat().st_mode) == 0o600
    assert ca.modules["kaas_ca.journal"]("demo", last=1) == entries[1:]


# name: (requester, request, further arguments, part of the refusal)
ATTACKS = {
    "worker asks for an admin": ("w1.demo", {"super-admin": PUBLIC}, {}, "may not have: super-admin"),
    "worker asks for the apiserver": ("w1.demo", {"apiserver": PUBLIC}, {}, "may not have: apiserver"),
    "worker asks for an etcd peer": ("w1.demo", {"etcd-peer": PUBLIC}, {}, "may not have: etcd-peer"),
    "etcd node asks for a kubelet": ("e1.demo", {"kubelet": PUBLIC}, {}, "may not have: kubelet"),
    "one of several is not granted": ("w1.demo", {"kubelet": PUBLIC, "admin": PUBLIC}, {}, "may not have: admin"),
    "unknown purpose": ("w1.demo", {"sub-ca": PUBLIC}, {}, "may not have: sub-ca"),
    "purpose with a path": ("w1.demo", {"../../etc/passwd": PUBLIC}, {}, "may not have: ?"),
    "unknown node": ("w9.demo", {"kubelet": PUBLIC}, {}, "is a node of no cluster"),
    "node that two clusters name": ("shared", {"kubelet": PUBLIC}, {}, "more than one cluster"),
    "id that is a prefix": ("w1", {"kubelet": PUBLIC}, {}, "is a node of no cluster"),
    "id with a pattern": ("*", {"kubelet": PUBLIC}, {}, "is a node of no cluster"),
    "the CA minion itself": ("ca", {"admin": PUBLIC}, {}, "is a node of no cluster"),
    "no requester": (None, {"kubelet": PUBLIC}, {}, "the requester is not known"),
    "empty requester": ("", {"kubelet": PUBLIC}, {}, "the requester is not known"),
    "requester is a list": (["m1.demo"], {"kubelet": PUBLIC}, {}, "the requester is not known"),
    "life time of one's own": ("w1.demo", {"kubelet": PUBLIC}, {"days": 9999}, "only one argument"),
    "subject of one's own": ("w1.demo", {"kubelet": PUBLIC}, {"subject": "CN=admin"}, "only one argument"),
    "policy of one's own": ("w1.demo", {"kubelet": PUBLIC}, {"signing_policy": "x"}, "only one argument"),
    "place to write to": ("w1.demo", {"kubelet": PUBLIC}, {"copypath": "/etc/cron.d"}, "only one argument"),
    "policy inside the request": ("w1.demo", {"kubelet": {"public": PUBLIC, "days": 999}}, {}, "object of texts"),
    "list of keys": ("w1.demo", {"kubelet": [PUBLIC]}, {}, "object of texts"),
    "nothing of a request": ("w1.demo", "", {}, "not JSON"),
    "not JSON": ("w1.demo", "{kubelet: x}", {}, "not JSON"),
    "a list": ("w1.demo", "[]", {}, "object of texts"),
    "deeply nested": ("w1.demo", "[" * 60000, {}, "not JSON"),
    "too long": ("w1.demo", json.dumps({"kubelet": "x" * 70000}), {}, "longer than"),
    "too many": ("w1.demo", {f"p{n}": "x" for n in range(33)}, {}, "more than 32"),
    "a private key": ("w1.demo", {"kubelet": kaas_pki.create_key()}, {}, "kubelet: not one PEM public key"),
    "a certificate": ("w1.demo", {"kubelet": kaas_pki.create_ca("x")["certificate"]}, {}, "not one PEM public key"),
    "garbage": ("w1.demo", {"kubelet": "garbage"}, {}, "kubelet: not one PEM public key"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(ca, name):
    requester, request, kwargs, message = ATTACKS[name]
    answer = ca.issue(requester, request, **kwargs)
    assert set(answer) == {"error", "retry"}
    assert message in answer["error"]
    assert answer["retry"] is False
    assert "Traceback" not in answer["error"]
    assert journal(ca) == []


def test_attack_further_positional_arguments(ca):
    answer = ca.modules["kaas_ca.issue"](json.dumps({"kubelet": PUBLIC}), "m1.demo", __pub_id="w1.demo")
    assert "only one argument" in answer["error"]


def test_request_without_publish_data(ca):
    assert "the requester is not known" in ca.modules["kaas_ca.issue"](json.dumps({"kubelet": PUBLIC}))["error"]
    assert "the requester is not known" in ca.modules["kaas_ca.bootstrap"]("{}")["error"]


def test_same_node_name_in_another_cluster_gets_its_own_clusters_certificates(ca):
    ca.set_up("other")
    mine = ca.issue("m1.demo", {"admin": PUBLIC})
    other = ca.issue("m1.other", {"admin": PUBLIC})
    assert mine["authorities"]["kubernetes"] != other["authorities"]["kubernetes"]
    policy = kaas_pki.policies(CLUSTERS["other"], "m1")["admin"]
    found = kaas_pki.problems(mine["certificates"]["admin"], None, other["authorities"]["kubernetes"], policy)
    assert any("not signed by" in reason for reason in found)


def test_minion_that_is_not_the_ca(tmp_path):
    node = Loaded({"kaas": {"roles": ["worker"]}}, only=["kaas_ca"], id="w2.demo", kaas_ca_root=str(tmp_path / "none"))
    for function in ("issue", "bootstrap"):
        answer = node.modules[f"kaas_ca.{function}"]("{}", __pub_id="w1.demo")
        assert "minion w2.demo is not a CA minion" in answer["error"]
    assert not (tmp_path / "none").exists()


def test_ca_that_is_no_longer_one(ca):
    ca.pillar_now = {"kaas": {"roles": []}}
    assert "is not a CA minion" in ca.issue("w1.demo", {"kubelet": PUBLIC})["error"]


def test_ca_whose_pillar_has_errors_asks_to_come_again(ca):
    ca.pillar_now = {"_errors": ["clusters/demo.sls: bad"]}
    answer = ca.issue("w1.demo", {"kubelet": PUBLIC})
    assert "pillar of the CA minion has errors" in answer["error"]
    assert answer["retry"] is True


def test_cluster_whose_authorities_are_not_made_yet(ca):
    answer = ca.issue("m1.other", {"admin": PUBLIC})
    assert answer == {"error": "the CA minion has no kubernetes authority for cluster other yet", "retry": True}


def test_ca_minion_that_is_not_set_up_at_all(tmp_path):
    answer = Ca(tmp_path / "none").issue("w1.demo", {"kubelet": PUBLIC})
    assert answer == {"error": "the CA minion has not been set up yet", "retry": True}


def test_removed_node_is_refused_whatever_the_minion_has_in_memory(ca):
    assert "certificates" in ca.issue("w1.demo", {"kubelet": PUBLIC})
    demo = {**CLUSTERS["demo"], "nodes": {"m1": CLUSTERS["demo"]["nodes"]["m1"]}}
    ca.pillar_now = {"kaas": {"ca": {"clusters": {"demo": demo}}}}
    old = time.time() - 60
    os.utime(ca.root / ".clusters.json", (old, old))
    assert "is a node of no cluster" in ca.issue("w1.demo", {"kubelet": PUBLIC})["error"]


def test_a_requester_that_asks_too_often_is_told_to_come_back(ca):
    ca.opts["kaas_ca_calls_per_minute"] = 3
    answers = [ca.issue("w1.demo", {"kubelet": PUBLIC}) for _ in range(4)]
    assert all("certificates" in answer for answer in answers[:3])
    assert answers[3] == {"error": "w1.demo asks more than 3 times a minute", "retry": True}
    assert ca.bootstrap("w1.demo", {})["retry"] is True
    assert "certificates" in ca.issue("m1.demo", {"kubelet": PUBLIC})
    path = ca.root / ".requesters.json"
    known = json.loads(path.read_text())
    known["w1.demo"]["calls"] = [moment - 61 for moment in known["w1.demo"]["calls"]]
    path.write_text(json.dumps(known))
    assert "certificates" in ca.issue("w1.demo", {"kubelet": PUBLIC})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_refused_requests_do_not_keep_the_master_busy(ca):
    """A refusal is checked against a new pillar once; the next ones are refused by what is known, and may ask again."""
    answers = [ca.issue("w1.demo", {"super-admin": PUBLIC}) for _ in range(5)]
    assert ca.compiled == 2  # the first call's, and the one that checked the first refusal
    assert [answer["retry"] for answer in answers] == [False, True, True, True, True]
    assert all("w1.demo may not have: super-admin" in answer["error"] for answer in answers)


def test_a_lost_memory_of_requesters_is_begun_anew(ca):
    (ca.root / ".requesters.json").write_text("{")
    assert "certificates" in ca.issue("w1.demo", {"kubelet": PUBLIC})


def test_added_node_is_served_at_once(ca):
    assert "certificates" in ca.issue("w1.demo", {"kubelet": PUBLIC})
    node = {"id": "w2.demo", "address": "172.28.0.22", "addresses": ["172.28.0.22"], "roles": ["worker"]}
    demo = {**CLUSTERS["demo"], "nodes": {**CLUSTERS["demo"]["nodes"], "w2": node}}
    ca.pillar_now = {"kaas": {"ca": {"clusters": {"demo": demo}}}}
    assert "certificates" in ca.issue("w2.demo", {"kubelet": PUBLIC})


def test_nodes_that_ask_together_share_one_pillar(ca):
    for _ in range(5):
        assert "certificates" in ca.issue("w1.demo", {"kubelet": PUBLIC})
    assert ca.compiled == 1


def test_unexpected_failure_shows_nothing(ca, monkeypatch):
    (ca.root / "demo" / "ca.key").write_text("garbage")
    answer = ca.issue("w1.demo", {"kubelet": PUBLIC})
    assert answer["error"] == "kubelet: the private key cannot be read"
    ca.pillar_now = {"kaas": {"ca": {"clusters": {"demo": {"nodes": None}}}}}
    os.utime(ca.root / ".clusters.json", (0, 0))
    answer = ca.issue("w1.demo", {"kubelet": PUBLIC})
    assert answer == {"error": "the CA minion failed; the reason is in its log", "retry": False}


# --- the etcd record ---------------------------------------------------------------------------------------------------


def test_first_writer_wins(ca):
    assert ca.bootstrap("m1.demo", {}) == {"cluster_id": None, "recorded": None}
    first = ca.bootstrap("m1.demo", {"cluster_id": "cafe1"})
    assert first["cluster_id"] == "cafe1"
    assert ca.bootstrap("e1.demo", {"cluster_id": "beef2"}) == first
    assert ca.bootstrap("e1.demo", {}) == first
    assert ca.modules["kaas_ca.status"]()["demo"]["etcd"] == "cafe1"


@pytest.mark.parametrize(
    ("requester", "request_", "message"),
    [
        ("w1.demo", {}, "has no role etcd"),
        ("w9.demo", {}, "is a node of no cluster"),
        ("m1.demo", {"cluster_id": "../../x"}, "not a hexadecimal number"),
        ("m1.demo", {"cluster_id": "a" * 17}, "not a hexadecimal number"),
        ("m1.demo", {"cluster_id": "ab\n"}, "not a hexadecimal number"),
        ("m1.demo", {"cluster_id": ""}, "not a hexadecimal number"),
        ("m1.demo", {"forget": "yes"}, "unknown entries"),
    ],
)
def test_record_is_refused(ca, requester, request_, message):
    assert message in ca.bootstrap(requester, request_)["error"]
    assert not (ca.root / "demo" / "etcd-cluster.json").exists()


def test_operator_can_forget_peers_cannot(ca):
    ca.bootstrap("m1.demo", {"cluster_id": "cafe1"})
    for function, arguments in (("forget_etcd", ["demo"]), ("journal", ["demo"]), ("status", [])):
        with pytest.raises(PermissionError):
            ca.modules[f"kaas_ca.{function}"](*arguments, __pub_id="m1.demo")
    assert ca.modules["kaas_ca.forget_etcd"]("demo", __pub_user="root") is True
    assert ca.bootstrap("m1.demo", {})["cluster_id"] is None
    assert "no such cluster" in ca.modules["kaas_ca.forget_etcd"]("../demo")


# --- the state -----------------------------------------------------------------------------------------------------------


def tree(root):
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_present_makes_three_authorities_once(tmp_path):
    ca = Ca(tmp_path / "pki")
    state = ca.states["kaas_ca.present"]("demo")
    assert state["result"] is True
    assert set(state["changes"]) == {"kubernetes", "etcd", "front-proxy"}
    assert "PRIVATE" not in json.dumps(state)
    files = tree(tmp_path)
    assert set(files) == {f"pki/demo/{s}.{e}" for s in ("ca", "etcd-ca", "front-proxy-ca") for e in ("crt", "key")}
    assert stat.S_IMODE((tmp_path / "pki/demo").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "pki/demo/ca.key").stat().st_mode) == 0o600
    state = ca.states["kaas_ca.present"]("demo")
    assert (state["result"], state["changes"]) == (True, {})
    assert tree(tmp_path) == files
    assert {entry["subject"] for entry in ca.modules["kaas_ca.status"]()["demo"]["authorities"].values()} == {
        "CN=kubernetes", "CN=etcd-ca", "CN=front-proxy-ca",
    }  # fmt: skip


def test_present_in_test_mode(tmp_path):
    state = Ca(tmp_path / "pki", test=True).states["kaas_ca.present"]("demo")
    assert state["result"] is None
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("lost", ["ca.key", "ca.crt", "etcd-ca.key", "front-proxy-ca.crt"])
@pytest.mark.parametrize("test", [False, True])
def test_present_refuses_half_an_authority(tmp_path, lost, test):
    Ca(tmp_path / "pki").set_up()
    (tmp_path / "pki/demo" / lost).unlink()
    before = tree(tmp_path)
    state = Ca(tmp_path / "pki", test=test).states["kaas_ca.present"]("demo")
    assert state["result"] is False
    assert f"pki/demo/{lost} is missing" in state["comment"]
    assert tree(tmp_path) == before


def test_present_refuses_a_pair_that_does_not_match(tmp_path):
    ca = Ca(tmp_path / "pki").set_up()
    (tmp_path / "pki/demo/ca.key").write_text(kaas_pki.create_key())
    state = ca.states["kaas_ca.present"]("demo")
    assert state["result"] is False
    assert "ca.crt: certificate and key do not belong together" in state["comment"]


def test_present_finishes_what_was_interrupted(tmp_path):
    """The key is in its place, the certificate still beside it: nobody has used this authority yet."""
    ca = Ca(tmp_path / "pki").set_up()
    directory = tmp_path / "pki/demo"
    (directory / "ca.crt").rename(directory / "ca.crt.new")
    before = (directory / "ca.crt.new").read_text()
    state = ca.states["kaas_ca.present"]("demo")
    assert state["result"] is True
    assert list(state["changes"]) == ["kubernetes"]
    assert (directory / "ca.crt").read_text() == before


def test_present_corrects_modes(tmp_path):
    ca = Ca(tmp_path / "pki").set_up()
    (tmp_path / "pki/demo").chmod(0o755)
    (tmp_path / "pki/demo/etcd-ca.key").chmod(0o644)
    state = ca.states["kaas_ca.present"]("demo")
    assert sorted(state["changes"].values()) == ["mode 0600", "mode 0700"]
    assert ca.states["kaas_ca.present"]("demo")["changes"] == {}


class TestOperator:
    """Certificates for people: only from the master, only for a while, never Kubernetes' own names."""

    @pytest.fixture
    def sign(self, tmp_path):
        # The live topology has the API's URL.
        clusters = {
            "demo": {**CLUSTERS["demo"], "api": {"address": "172.28.0.100", "url": "https://172.28.0.100:8443"}}
        }
        ca = Ca(tmp_path / "pki", clusters).set_up()
        return ca.modules["kaas_ca.sign_operator"]

    def test_a_certificate_says_user_groups_and_ends_soon(self, sign):
        answer = sign("demo", PUBLIC, "jane", ["developers"], hours=2)
        certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
        assert certificate.subject.rfc4514_string() == "CN=jane,O=developers"
        assert (certificate.not_valid_after_utc.timestamp() - time.time()) < 2 * 3600 + 5
        assert answer["url"] == "https://172.28.0.100:8443"
        assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ({"cluster": "other-name"}, "no such cluster"),
            ({"user": ""}, "Kubernetes' own"),
            ({"user": "system:admin"}, "Kubernetes' own"),
            ({"groups": ["system:masters"]}, "Kubernetes' own"),
            ({"hours": 0}, "hours must be"),
            ({"hours": 721}, "hours must be"),
            ({"public_key": "nonsense"}, "public key"),
        ],
    )
    def test_refusals_are_texts(self, sign, arguments, expected):
        answer = sign(**{"cluster": "demo", "public_key": PUBLIC, "user": "jane", **arguments})
        assert isinstance(answer, str) and expected in answer

    def test_no_peer_may_ask(self, sign):
        with pytest.raises(PermissionError):
            sign("demo", PUBLIC, "jane", __pub_id="w1.demo")
