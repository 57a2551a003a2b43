"""kaas_etcd: how a member gets into its cluster, as a table; the states with an etcd that is played."""

import json
import socket

import kaas_etcd
import pytest
import yaml
from loaded import Loaded

MEMBERS = {"m1": "172.28.0.11", "m2": "172.28.0.12", "m3": "172.28.0.13"}
STATIC = "m1=https://172.28.0.11:2380,m2=https://172.28.0.12:2380,m3=https://172.28.0.13:2380"


def member(name, *, started=True, healthy=True, listed=None, address=None, learner=False):
    """One live member; `listed` is the name that etcd shows for it."""
    address = address or MEMBERS[name]
    return {
        "id": f"id-{name}",
        "name": name if listed is None else listed,
        "peer_urls": [f"https://{address}:2380"],
        "client_urls": [f"https://{address}:2379"] if started else [],
        "learner": learner,
        "healthy": healthy and started,
    }


M1, M2, M3 = (member(name) for name in MEMBERS)
DOWN3 = member("m3", healthy=False)
FIVE = {**MEMBERS, "m4": "172.28.0.14", "m5": "172.28.0.15"}


# name: (me, live, data, recorded, members, expected)
PLANS = {
    "has its data": ("m1", None, True, None, MEMBERS, {"action": "start"}),
    "has its data, cluster was formed": ("m1", [M1, M2, M3], True, "c1", MEMBERS, {"action": "start"}),
    "has its data, but is no member any more": ("m1", [M2, M3], True, "c1", MEMBERS, {"action": "start"}),
    "first formation": ("m1", None, False, None, MEMBERS, {"action": "new", "initial_cluster": STATIC}),
    "first formation of a single member": (
        "m1", None, False, None, {"m1": "172.28.0.11"},
        {"action": "new", "initial_cluster": "m1=https://172.28.0.11:2380"},
    ),
    "formed before, nobody answers": ("m1", None, False, "c1", MEMBERS, {"action": "wait", "reason": "Start the other"}),
    "single member lost its disk": ("m1", None, False, "c1", {"m1": "172.28.0.11"}, {"action": "refuse"}),
    "late at the first formation": (
        "m3", [M1, M2, member("m3", started=False)], False, "c1", MEMBERS,
        {"action": "existing", "initial_cluster": STATIC},
    ),
    "added, not started yet (no name)": (
        "m3", [M1, M2, member("m3", started=False, listed="")], False, "c1", MEMBERS,
        {"action": "existing", "initial_cluster": STATIC},
    ),
    "lost its disk": ("m3", [M1, M2, DOWN3], False, "c1", MEMBERS, {"action": "rejoin", "remove": "id-m3"}),
    "removed, not added yet": (
        "m3", [M1, M2], False, "c1", MEMBERS, {"action": "join", "add": "https://172.28.0.13:2380"},
    ),
    "lost its disk, another one is down": (
        "m3", [M1, member("m2", healthy=False), DOWN3], False, "c1", MEMBERS,
        {"action": "wait", "reason": "only 1 of the other 2"},
    ),
    "lost its disk, one of five is down": (
        "m5", [M1, M2, M3, member("m4", address="172.28.0.14", healthy=False),
               member("m5", address="172.28.0.15", healthy=False)], False, "c1", FIVE,
        {"action": "rejoin", "remove": "id-m5"},
    ),
    "lost its disk, two of five are down": (
        "m5", [M1, M2, DOWN3, member("m4", address="172.28.0.14", healthy=False),
               member("m5", address="172.28.0.15", healthy=False)], False, "c1", FIVE,
        {"action": "wait"},
    ),
    "new address, old disk lost": (
        "m3", [M1, M2, member("m3", address="172.28.0.99", healthy=False)], False, "c1", MEMBERS,
        {"action": "rejoin", "remove": "id-m3"},
    ),
    "old name and new address are two members": (
        "m3", [M1, M2, member("m3", address="172.28.0.99"), member("m3", listed="m9")], False, "c1", MEMBERS,
        {"action": "refuse", "reason": "several members"},
    ),
    "added under a name whose address is wrong": (
        "m3", [M1, M2, member("m3", address="172.28.0.99", started=False)], False, "c1", MEMBERS,
        {"action": "rejoin", "remove": "id-m3"},
    ),
    "a learner does not count for quorum": (
        "m3", [M1, member("m2", learner=True), DOWN3], False, "c1", MEMBERS, {"action": "rejoin"},
    ),
    "grows from one": ("m2", [M1], False, "c1", MEMBERS, {"action": "join"}),
    "started member that left the pillar stays in the list": (
        "m3", [M1, member("old", address="172.28.0.50"), member("m3", started=False)], False, "c1", MEMBERS,
        {"action": "existing",
         "initial_cluster": "m1=https://172.28.0.11:2380,m3=https://172.28.0.13:2380,old=https://172.28.0.50:2380"},
    ),
    "CA minion silent, cluster runs": ("m3", [M1, M2, DOWN3], False, None, MEMBERS, {"action": "rejoin"}),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANS)
def test_plan(name):
    me, live, data, recorded, members, expected = PLANS[name]
    found = kaas_etcd.plan(me, members, live, data, recorded)
    assert found["reason"]
    for key, value in expected.items():
        if key == "reason":
            assert value in found[key]
        else:
            assert found[key] == value


def test_only_a_member_with_a_write_ahead_log_has_data(tmp_path):
    assert not kaas_etcd.has_data(tmp_path / "none")
    (tmp_path / "member/wal").mkdir(parents=True)
    (tmp_path / "member/snap").mkdir()
    assert not kaas_etcd.has_data(tmp_path)
    (tmp_path / "member/wal/0000000000000000-0000000000000000.wal").touch()
    assert kaas_etcd.has_data(tmp_path)


def test_parse_members():
    text = json.dumps(
        {
            "header": {"cluster_id": 14841639068965178418, "member_id": 1, "raft_term": 2},
            "members": [
                {"ID": 10276657743932975437, "name": "m1", "peerURLs": ["https://a:2380"], "clientURLs": ["https://a"]},
                {"ID": 1, "peerURLs": ["https://b:2380"], "isLearner": True},
            ],
        }
    )
    cluster, members = kaas_etcd.parse_members(text)
    assert cluster == "cdf818194e3a8c32"
    assert members[0]["id"] == "8e9e05c52164694d"
    assert members[1] == {
        "id": "1", "name": "", "peer_urls": ["https://b:2380"], "client_urls": [], "learner": True, "healthy": False,
    }  # fmt: skip


def test_parse_health():
    text = '[{"endpoint":"https://a:2379","health":true,"took":"1ms"},{"endpoint":"https://b:2379","health":false,"error":"x"}]'
    assert kaas_etcd.parse_health(text) == {"https://a:2379": None, "https://b:2379": "x"}
    assert kaas_etcd.parse_health("") == {}


def test_reachable_asks_all_at_once(monkeypatch):
    with socket.create_server(("127.0.11.1", 0)) as server:
        monkeypatch.setattr(kaas_etcd, "CLIENT_PORT", server.getsockname()[1])
        assert kaas_etcd.reachable(["127.0.11.1", "127.0.11.2"], timeout=1) == ["127.0.11.1"]
    assert kaas_etcd.reachable([], timeout=1) == []


def test_missing_etcdctl_is_named(tmp_path):
    tls = {"ca": "a", "cert": "b", "key": "c"}
    with pytest.raises(kaas_etcd.EtcdError, match="/none/etcdctl is not installed"):
        kaas_etcd.etcdctl(["version"], ["https://a:2379"], tls, program="/none/etcdctl")
    with pytest.raises(kaas_etcd.EtcdError, match="/none/etcdctl is not installed"):
        kaas_etcd.lock("x", ["https://a:2379"], **tls, timeout=1, program="/none/etcdctl")


def program(tmp_path, script):
    path = tmp_path / "etcdctl"
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return str(path)


def test_etcdctl_error_names_endpoints_and_reason(tmp_path):
    played = program(tmp_path, 'echo "{\\"level\\":\\"warn\\"}" >&2; echo "Error: permission denied" >&2; exit 1')
    with pytest.raises(kaas_etcd.EtcdError, match=r"member list \(https://a:2379\): Error: permission denied"):
        kaas_etcd.etcdctl(["member", "list"], ["https://a:2379"], {"ca": "a", "cert": "b", "key": "c"}, program=played)


def test_lock_is_bounded_and_leaves_no_process(tmp_path):
    tls = {"ca": "a", "cert": "b", "key": "c"}
    played = program(tmp_path, "exec sleep 60")
    with pytest.raises(TimeoutError, match=r"lock x in etcd was not free within 0.2 s"):
        kaas_etcd.lock("x", ["https://a:2379"], **tls, timeout=0.2, program=played)
    played = program(tmp_path, "echo kaas/lock/x/1; exec sleep 60")
    handle = kaas_etcd.lock("x", ["https://a:2379"], **tls, timeout=5, program=played)
    assert handle.held()
    handle.release()
    assert not handle.held()
    handle.release()


# etcdctl without a quorum: beside a member that knows something, and beside none
NOBODY = 'echo "Error: context deadline exceeded, no leader" >&2; exit 1'
ALONE = (
    """case "$*" in
  *--consistency=s*) echo '{"header": {"cluster_id": 255}, "members": [{"ID": 10, "peerURLs": ["https://b:2380"]}]}'; exit ;;
  *health*) echo "[]"; exit ;;
esac
"""
    + NOBODY
)


def test_without_a_quorum_one_member_tells_what_it_knows(tmp_path, monkeypatch):
    with socket.create_server(("127.0.11.1", 0)) as server:
        monkeypatch.setattr(kaas_etcd, "CLIENT_PORT", server.getsockname()[1])
        tls = {"ca": "a", "cert": "b", "key": "c"}
        cluster, members = kaas_etcd.survey(["127.0.11.1"], tls, program=program(tmp_path, ALONE))
        assert (cluster, [(member["id"], member["healthy"]) for member in members]) == ("ff", [("a", False)])
        with pytest.raises(kaas_etcd.EtcdError, match="context deadline exceeded"):
            kaas_etcd.survey(["127.0.11.1"], tls, program=program(tmp_path, NOBODY))


def test_lock_is_tried_again_while_there_is_no_quorum(tmp_path):
    tls = {"ca": "a", "cert": "b", "key": "c"}
    flaky = f'if mkdir {tmp_path}/tried 2>/dev/null; then echo "Error: no leader" >&2; exit 1; fi; echo key; exec sleep 60'
    kaas_etcd.lock("x", ["https://a:2379"], **tls, timeout=30, program=program(tmp_path, flaky)).release()
    with pytest.raises(kaas_etcd.EtcdError, match=r"lock x in etcd .*: Error: .* no leader"):
        kaas_etcd.lock("x", ["https://a:2379"], **tls, timeout=0.9, program=program(tmp_path, NOBODY))


# --- the states ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def node(tmp_path):
    """A function that makes m1 whose CA minion answers with the next of `answers`."""

    def make(*answers, members=None, **options):
        answers = list(answers)
        calls = []

        def publish(target, function, arguments, *_, **__):
            assert (target, function) == ("ca", "kaas_ca.bootstrap")
            calls.append(json.loads(arguments[0]))
            return answers.pop(0) if len(answers) > 1 else answers[0]

        kaas = {
            "roles": ["etcd"],
            "cluster": {"name": "demo", "ca": "ca"},
            "node": {"name": "m1"},
            # Addresses of this machine where nobody listens.
            "etcd": {"members": members or {"m1": "127.0.11.1", "m2": "127.0.11.2"}},
        }
        loaded = Loaded(
            {"kaas": kaas}, only=["kaas_etcd"], fakes={"publish.publish": publish}, kaas_root=str(tmp_path), **options
        )
        loaded.calls, loaded.file = calls, tmp_path / "etc/etcd/etcd.yaml"
        loaded.configured = lambda timeout=0, **more: loaded.states["kaas_etcd.configured"](
            "/etc/etcd/etcd.yaml", config={"name": "m1", "data-dir": str(tmp_path / "data"), **more}, timeout=timeout
        )
        return loaded

    return make


NEVER = {"ca": {"cluster_id": None, "recorded": None}}
FORMED = {"ca": {"cluster_id": "cafe1", "recorded": "2026-11-23T12:00:00Z"}}


def start(tmp_path):
    wal = tmp_path / "data/member/wal"
    wal.mkdir(parents=True)
    (wal / "0.wal").touch()


def test_configured_forms_a_cluster_that_never_was(node, tmp_path):
    minion = node(NEVER)
    state = minion.configured()
    assert state["result"] is True, state
    found = yaml.safe_load(minion.file.read_text())
    assert found["initial-cluster-state"] == "new"
    assert found["initial-cluster"] == "m1=https://127.0.11.1:2380,m2=https://127.0.11.2:2380"
    assert minion.calls == [{}]


@pytest.mark.parametrize(("record", "result"), [(NEVER["ca"], True), (FORMED["ca"], False)])
def test_configured_uses_what_came_with_the_certificates(node, record, result):
    minion = node({})
    minion.context["kaas_etcd.record"] = record
    assert minion.configured()["result"] is result
    assert minion.calls == []
    assert minion.context == {}


def test_configured_keeps_the_decision_once_there_is_data(node, tmp_path):
    minion = node(NEVER)
    minion.configured()
    start(tmp_path)
    before = minion.file.stat().st_mtime_ns
    state = minion.configured()
    assert (state["result"], state["changes"]) == (True, {})
    assert minion.file.stat().st_mtime_ns == before
    assert minion.calls == [{}]
    # A member more in the pillar is no reason to restart the ones that run.
    state = node(NEVER, members={"m1": "127.0.11.1", "m2": "127.0.11.2", "m3": "127.0.11.3"}).configured()
    assert state["changes"] == {}


def test_configured_writes_a_changed_setting(node, tmp_path):
    minion = node(NEVER)
    minion.configured()
    start(tmp_path)
    state = minion.configured(**{"election-timeout": 5000})
    assert state["changes"] == {"election-timeout": {"old": None, "new": 5000}}
    assert yaml.safe_load(minion.file.read_text())["initial-cluster-state"] == "new"


def test_configured_with_data_but_without_its_file(node, tmp_path):
    start(tmp_path)
    minion = node(NEVER)
    state = minion.configured()
    assert state["result"] is True
    assert yaml.safe_load(minion.file.read_text())["initial-cluster-state"] == "existing"
    assert minion.calls == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(FORMED, "cluster cafe1 was formed before", id="formed before and nobody answers"),
        pytest.param({}, "gave no answer", id="the CA minion is silent"),
        pytest.param({"ca": {"error": "m1 has no role etcd", "retry": False}}, "has no role etcd", id="refused"),
        pytest.param({"ca": "'kaas_ca.bootstrap' is not available."}, "state.highstate", id="not synced"),
    ],
)
def test_configured_never_forms_a_cluster_in_doubt(node, answer, message):
    minion = node(answer)
    state = minion.configured()
    assert state["result"] is False
    assert message in state["comment"]
    assert not minion.file.exists()


def test_configured_waits_for_the_ca_minion(node):
    minion = node({}, {"ca": {"error": "not yet", "retry": True}}, NEVER)
    assert minion.configured(timeout=10)["result"] is True
    assert len(minion.calls) == 3


def test_configured_in_test_mode(node, tmp_path):
    minion = node(NEVER, test=True)
    state = minion.configured()
    assert state["result"] is None
    assert state["changes"]
    assert minion.calls == []
    node(NEVER).configured()
    start(tmp_path)
    state = minion.configured()
    assert (state["result"], state["changes"]) == (True, {})
    before = minion.file.read_text()
    state = minion.configured(**{"election-timeout": 5000})
    assert state["result"] is None
    assert minion.file.read_text() == before


def with_id(minion, identifier):
    """The state sees a running etcd."""
    minion.states.pack["__salt__"]["kaas_etcd.cluster_id"] = lambda: identifier
    return minion


def test_recorded_tells_the_ca_once(node, tmp_path):
    minion = with_id(node(FORMED), "cafe1")
    state = minion.states["kaas_etcd.recorded"]("demo", timeout=0)
    assert (state["result"], state["changes"]) == (True, {"recorded": "cafe1"})
    assert minion.calls == [{"cluster_id": "cafe1"}]
    state = minion.states["kaas_etcd.recorded"]("demo", timeout=0)
    assert (state["result"], state["changes"]) == (True, {})
    assert len(minion.calls) == 1


def test_recorded_notices_a_second_cluster(node, tmp_path):
    minion = with_id(node(FORMED), "beef2")
    state = minion.states["kaas_etcd.recorded"]("demo", timeout=0)
    assert state["result"] is False
    assert "part of etcd cluster beef2, but the CA minion recorded cafe1" in state["comment"]
    assert not (tmp_path / "etc/etcd/cluster-id").exists()


def test_recorded_in_test_mode_and_without_etcd(node):
    minion = node(FORMED, test=True)
    assert minion.states["kaas_etcd.recorded"]("demo", timeout=0)["result"] is None
    assert minion.calls == []
    state = node(FORMED).states["kaas_etcd.recorded"]("demo", timeout=0)
    assert state["result"] is False
    assert "no member of etcd takes connections: 127.0.11.1, 127.0.11.2 port 2379" in state["comment"]


@pytest.mark.parametrize(
    ("roles", "name"), [(["etcd"], "etcd/healthcheck-client"), (["master"], "apiserver-etcd-client")]
)
def test_client_certificate_follows_the_role(roles, name):
    loaded = Loaded({"kaas": {"roles": roles}}, only=["kaas_etcd"])
    assert loaded.modules["kaas_etcd.client_tls"]()["cert"] == f"/etc/kubernetes/pki/{name}.crt"


# -- into a cluster that runs, with an etcd that is played -----------------------------------------------------------


class Running:
    """etcd as seen by `kaas_etcd.survey` and `etcdctl`: members by name; what was asked of it."""

    def __init__(self, *members, problems=()):
        self.members, self.asked, self.problems = list(members), [], list(problems)
        self.tools = {
            "kaas_etcd.survey": lambda addresses, tls, program: ("cafe1", self.members),
            "kaas_etcd.reachable": lambda addresses: addresses,
            "kaas_etcd.etcdctl": self.etcdctl,
        }

    def etcdctl(self, arguments, endpoints, tls, program):
        if self.problems:
            raise kaas_etcd.EtcdError(self.problems.pop(0))
        self.asked.append(" ".join(arguments))
        if arguments[:2] == ["member", "remove"]:
            self.members = [known for known in self.members if known["id"] != arguments[2]]
            return ""
        self.members.append(member("m1", started=False, listed="", address="127.0.11.1"))
        answer = [
            {"ID": 7, "name": known["name"], "peerURLs": known["peer_urls"], "clientURLs": known["client_urls"]}
            for known in self.members
        ]
        return json.dumps({"header": {"cluster_id": 1}, "members": answer})


OTHER = member("m2", address="127.0.11.2")
LOST = member("m1", address="127.0.11.1", healthy=False)
JOINS = "member add m1 --peer-urls=https://127.0.11.1:2380 --write-out=json"


@pytest.mark.parametrize(
    ("members", "problems", "asked", "changes"),
    [
        pytest.param([OTHER], [], [JOINS], {"member"}, id="joins"),
        pytest.param([LOST, OTHER], [], ["member remove id-m1", JOINS], {"lost member", "member"}, id="rejoins"),
        pytest.param([OTHER], ["unhealthy cluster"], [JOINS], {"member"}, id="joins when etcd lets it"),
    ],
)
def test_configured_gets_into_a_running_cluster(node, members, problems, asked, changes):
    etcd = Running(*members, problems=problems)
    minion = node(FORMED, tools=etcd.tools)
    state = minion.configured(timeout=30)
    assert state["result"] is True, state
    assert etcd.asked == asked
    assert changes <= set(state["changes"])
    found = yaml.safe_load(minion.file.read_text())
    assert found["initial-cluster-state"] == "existing"
    assert found["initial-cluster"] == "m1=https://127.0.11.1:2380,m2=https://127.0.11.2:2380"


def test_configured_tells_why_etcd_does_not_let_it_in(node):
    etcd = Running(OTHER, problems=["etcdctl member add: unhealthy cluster"])
    minion = node(FORMED, tools=etcd.tools)
    state = minion.configured(timeout=0)
    assert state["result"] is False and "unhealthy cluster" in state["comment"]
    assert not minion.file.exists() and etcd.asked == []


def test_recorded_waits_for_the_ca_minion(node):
    minion = with_id(node({}, {"ca": {"error": "not yet", "retry": True}}, FORMED), "cafe1")
    assert minion.states["kaas_etcd.recorded"]("demo", timeout=30)["result"] is True
    assert len(minion.calls) == 3


def test_recorded_does_not_ask_again_what_was_refused(node):
    minion = with_id(node({"ca": {"error": "m1 has no role etcd", "retry": False}}), "cafe1")
    state = minion.states["kaas_etcd.recorded"]("demo", timeout=30)
    assert state["result"] is False and "has no role etcd" in state["comment"]
    assert len(minion.calls) == 1
