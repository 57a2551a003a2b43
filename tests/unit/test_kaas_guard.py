"""The guard in the Salt master: what a minion may send, case by case."""

import re

import formula
import pytest
import salt.exceptions
import salt.master

GUARD = formula.load("_engines/kaas_guard.py")
JID = "20260101000000000001"
PEER = {"__peer_id": "another", "fun": "cmd.run"}


def event(tag, data=None, **fields):
    return "_minion_event", {"id": "w1.demo", "pretag": None, "events": [{"tag": tag, "data": data or {}}], **fields}


def answer(fun="state.highstate", returned=None, **fields):
    return "_return", {"id": "w1.demo", "jid": JID, "fun": fun, "retcode": 2, "return": returned, **fields}


STATES = {"file_|-/etc/x_|-/etc/x_|-managed": {"result": False, "changes": {}}}


@pytest.mark.parametrize(
    "call",
    [
        event("minion_start"),
        event("salt/minion/w1.demo/start"),
        event("salt/beacon/w1.demo/inotify//etc/x"),
        event(f"salt/job/{JID}/prog/w1.demo/7"),
        event("minion/refresh/w1.demo"),
        ("_minion_event", {"id": "w1.demo", "tag": "minion_start", "data": "Minion w1.demo started", "pretag": None}),
        answer(returned=STATES),
        answer(fun="test.ping", returned=True, retcode=0),
        answer(fun=["state.highstate", "test.ping"], returned={"state.highstate": STATES, "test.ping": True}),
        answer(fun=["state.highstate"], returned=[STATES]),
        answer(fun=["state.highstate"], returned="broken"),
        answer(fun="state.highstate", returned=["Rendering failed: a/b"]),
        ("_pillar", {"id": "w1.demo", "grains": {}}),
        ("_register_resources", {"id": "w1.demo", "resources": {}}),
        ("_serve_file", {"id": "w1.demo", "path": "top.sls"}),
        ("minion_pub", {"id": "w1.demo", "fun": "kaas_ca.issue", "ret": ""}),
    ],
)
def test_what_minions_send_is_allowed(call):
    assert GUARD.refusal(*call) is None


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (event(f"salt/batch/{JID}/new"), "not one of this minion's"),
        (event("salt/jobs/publish"), "not one of this minion's"),
        (event(f"salt/job/{JID}/prog/w1.demo/publish"), "not one of this minion's"),
        (event(f"salt/job/{JID}/ret/ca"), "not one of this minion's"),
        (event("salt/minion/m1.demo/start"), "not one of this minion's"),
        (event("salt/minion/w1xdemo/start"), "not one of this minion's"),
        (event("minion_start\nsalt/batch/x/new"), "not one of this minion's"),
        (event("custom/join"), "not one of this minion's"),
        (event(None), "not one of this minion's"),
        (event(["minion_start"]), "not one of this minion's"),
        (event("minion_start", PEER), "another master"),
        (event("minion_start", {"minions": ["ca"], "jid": JID}), "another master"),
        (event("publish", pretag="salt/job"), "pretag"),
        (event("minion_start", pretag=""), "pretag"),
        (("_minion_event", {"id": "w1.demo", "tag": "minion_start", **PEER}), "another master"),
        (("_minion_event", {"id": "w1.demo", "events": {"tag": "minion_start"}}), "not a list"),
        (("_minion_event", {"id": "w1.demo", "events": ["minion_start"]}), "not a list"),
        (("_minion_event", {"id": "w1.demo"}), "not one of this minion's"),
        (answer(resource_id="ca"), "for itself alone"),
        (answer(**PEER), "another master"),
        (answer(jid=f"{JID}/ret/ca"), "the job's id"),
        (answer(jid=7), "the job's id"),
        (answer(returned={"salt/job_|-x_|-x_|-x/publish": {"result": False}}), "a state's key"),
        (answer(returned={"x_|-x_|-x_|-x": {"result": False, **PEER}}), "a state's key"),
        (answer(fun=["state.sls"], returned=[{"salt/batch_|-a/new": {}}]), "a state's key"),
        (answer(fun=["state.sls"], returned={"state.sls": {"salt/batch_|-a/new": {}}}), "a state's key"),
        (("_syndic_return", {"id": "w1.demo", "return": {}}), "closed"),
        (("_register_resources", {"id": "w1.demo", "resources": {"ssh": ["ca"]}}), "closed"),
        (("_pillar", {"id": "w1.demo", "ext": {"cmd_yaml": "id"}}), "external pillar"),
        (("minion_pub", {"id": "w1.demo", "ret": "smtp"}), "no returner"),
        (("minion_publish", {"id": "w1.demo", "ret": "smtp"}), "no returner"),
    ],
)
def test_what_speaks_for_others_is_refused(call, expected):
    assert expected in GUARD.refusal(*call)


def test_no_allowed_tag_is_one_that_the_master_acts_on():
    """EventMonitor publishes what comes as salt/job.../publish, BatchManager runs salt/batch/<jid>/new."""
    for pattern in GUARD.EVENTS:
        expression = pattern.replace("{id}", re.escape("w1.demo"))
        for tag in ("salt/job/x/publish", "salt/jobs/publish", f"salt/job/{JID}/prog/w1.demo/x/publish", f"salt/batch/{JID}/new"):
            assert not re.fullmatch(expression, tag)


def test_operators_allow_events_of_their_own():
    extra = GUARD.extra_events({"engines": ["other", {"kaas_guard": {"events": ["backup/{id}/done"]}}]})
    assert GUARD.refusal(*event("backup/w1.demo/done"), patterns=GUARD.EVENTS + extra) is None
    assert GUARD.refusal(*event("backup/m1.demo/done"), patterns=GUARD.EVENTS + extra)
    for engines in (None, ["kaas_guard"], [{"kaas_guard": None}]):
        assert GUARD.extra_events({"engines": engines}) == ()


@pytest.fixture
def functions(monkeypatch):
    """A stand-in for the master's functions that minions call, with Salt's names."""

    class Functions:
        expose_methods = salt.master.AESFuncs.expose_methods

        def run_func(self, func, load):
            return "done", {"fun": "send"}

    monkeypatch.setattr(salt.master, "AESFuncs", Functions)
    return Functions


def test_the_guard_stands_before_the_masters_functions(functions):
    for _ in range(2):
        GUARD.install({})
    assert functions().run_func(*event("minion_start")) == ("done", {"fun": "send"})
    refused, options = functions().run_func(*event("salt/jobs/publish"))
    assert refused["error"].startswith("kaas_guard: ") and options == {"fun": "send"}


def test_a_salt_that_the_guard_does_not_know_is_refused(functions):
    functions.expose_methods = ("_pillar",)
    with pytest.raises(salt.exceptions.SaltMasterError, match="_minion_event"):
        GUARD.install({})


def test_the_master_ends_when_the_guard_cannot_be_set_up(functions, monkeypatch):
    functions.expose_methods = ()
    monkeypatch.setitem(GUARD.__dict__, "__opts__", {"__role": "master"})
    with pytest.raises(SystemExit):
        GUARD.__virtual__()


def test_it_is_an_engine_of_the_master_alone(functions, monkeypatch):
    monkeypatch.setitem(GUARD.__dict__, "__opts__", {"__role": "minion"})
    assert GUARD.__virtual__()[0] is False
    monkeypatch.setitem(GUARD.__dict__, "__opts__", {"__role": "master"})
    assert GUARD.__virtual__() is True
