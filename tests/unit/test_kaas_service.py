"""When a unit is started, restarted or left alone: decided from the disk and the process."""

import contextlib
import os
import time

import formula
import kaas_systemd
import pytest


def test_started_reads_systemds_time():
    found = kaas_systemd.started({"ExecMainStartTimestamp": "Mon 2026-11-23 13:20:30.123456 UTC"})
    assert found == pytest.approx(1795440030.123456, abs=1e-6)


@pytest.mark.parametrize("text", ["", "n/a"])
def test_a_unit_that_never_ran_has_no_start(text):
    assert kaas_systemd.started({"ExecMainStartTimestamp": text}) is None


def test_newer_inputs(tmp_path):
    now = time.time()
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("x")
    os.utime(target, (now - 100, now - 100))
    assert kaas_systemd.newer_than([target, tmp_path / "missing"], now - 50) == []
    link.symlink_to(target)
    assert kaas_systemd.newer_than([link], now - 50) == [link], "a fresh link to an old file is a switched version"
    os.utime(target, (now, now))
    assert kaas_systemd.newer_than([target], now - 50) == [target]


def test_the_first_drop_in_needs_a_reload(tmp_path):
    """systemd says by itself that a file changed, but does not see a folder of drop-ins that is new."""
    path = tmp_path / "x.service.d" / "kaas.conf"
    assert not kaas_systemd.needs_reload(shown(), [str(path)])
    path.parent.mkdir()
    path.write_text("[Service]\n")
    assert kaas_systemd.needs_reload(shown(), [str(path)])
    assert not kaas_systemd.needs_reload(shown(DropInPaths=f"/other.conf {path}"), [str(path)])
    assert kaas_systemd.needs_reload(shown(DropInPaths=str(path), NeedDaemonReload="yes"), [str(path)])


def test_the_process_that_is_replaced_does_not_count_as_active(monkeypatch):
    old, new = "Mon 2026-11-23 13:20:30.000000 UTC", "Mon 2026-11-23 13:20:40.000000 UTC"
    seen = iter([shown(), shown(ActiveState="deactivating"), shown(ExecMainStartTimestamp=new)])
    monkeypatch.setattr(kaas_systemd, "show", lambda unit: next(seen))
    assert kaas_systemd.wait_active("x.service", 5, interval=0, other_than=old) is None
    assert list(seen) == []


def shown(**over):
    return {
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "UnitFileState": "enabled",
        "NeedDaemonReload": "no",
        "DropInPaths": "",
        "ExecMainStartTimestamp": "Mon 2026-11-23 13:20:30.000000 UTC",
        "Result": "success",
        **over,
    }


class World:
    """systemd, the disk and etcd's lock as the state sees them; remembers what was done."""

    def __init__(self, properties, newer=(), wait=None, probe=None):
        self.done = []
        self.utils = {
            "kaas_systemd.show": lambda unit: properties,
            "kaas_systemd.started": kaas_systemd.started,
            "kaas_systemd.needs_reload": kaas_systemd.needs_reload,
            "kaas_systemd.newer_than": lambda inputs, since: list(newer),
            "kaas_systemd.systemctl": lambda *words: self.done.append(" ".join(words)),
            "kaas_systemd.wait_active": self.wait_active,
            "kaas_systemd.journal": lambda unit: "last words",
            "kaas_probe.wait_http": lambda url, timeout, **tls: self.done.append(f"ask {url}") or probe,
        }
        self.salt = {"kaas_etcd.lock": self.lock}
        self.wait = wait

    def wait_active(self, unit, timeout, other_than=None):
        if other_than:
            self.done.append("wait for a new process")
        return self.wait

    def lock(self, name, timeout):
        self.done.append(f"lock {name}")
        stack = contextlib.ExitStack()
        stack.callback(self.done.append, "release")
        return stack


def service(world, function="running", test=False, **kwargs):
    """Run a function of the state module in ``world``."""
    module = formula.load("_states/kaas_service.py", utils=world.utils, salt=world.salt, opts={"test": test})
    return getattr(module, function)("x.service", **kwargs)


HEALTH = {"url": "http://h"}
GATE = {"url": "http://g"}
RESTART = ["restart --no-block x.service", "wait for a new process"]
CASES = [
    # (properties, newer inputs, arguments, changes, what was done)
    ({}, [], {}, set(), []),
    ({}, [], {"health": HEALTH}, set(), ["ask http://h"]),
    ({}, [], {"gate": GATE}, set(), []),
    ({"ActiveState": "inactive"}, [], {"gate": GATE, "health": HEALTH}, {"running"}, ["ask http://g", "start --no-block x.service", "ask http://h"]),
    ({"ActiveState": "failed"}, [], {}, {"running"}, ["start --no-block x.service"]),
    ({"UnitFileState": "disabled"}, [], {}, {"enabled"}, ["enable --quiet --no-reload x.service"]),
    ({}, ["/bin/x"], {"gate": GATE}, {"restarted"}, RESTART),
    ({}, ["/bin/x"], {"lock": "etcd", "health": HEALTH}, {"restarted"}, ["lock restart/etcd", *RESTART, "ask http://h", "release"]),
    ({"NeedDaemonReload": "yes"}, ["/etc/x"], {}, {"restarted"}, ["daemon-reload", *RESTART]),
    ({"NeedDaemonReload": "yes"}, [], {}, set(), ["daemon-reload"]),
]  # fmt: skip


@pytest.mark.parametrize(("properties", "newer", "kwargs", "changes", "done"), CASES)
def test_running(properties, newer, kwargs, changes, done):
    world = World(shown(**properties), newer)
    ret = service(world, **kwargs)
    assert ret["result"] is True
    assert set(ret["changes"]) == changes
    assert world.done == done


@pytest.mark.parametrize(("properties", "newer", "kwargs", "changes", "done"), CASES)
def test_test_mode_predicts_and_does_nothing(properties, newer, kwargs, changes, done):
    world = World(shown(**properties), newer)
    ret = service(world, test=True, **kwargs)
    assert set(ret["changes"]) == changes
    assert ret["result"] is (None if changes else True)
    assert world.done == []


def test_a_fresh_node_under_test_mode_is_no_error():
    ret = service(World(shown(LoadState="not-found")), test=True)
    assert ret["result"] is None


def test_a_unit_that_is_not_there_is_an_error():
    ret = service(World(shown(LoadState="not-found")))
    assert ret["result"] is False and "knows no such unit" in ret["comment"]


@pytest.mark.parametrize(
    "world",
    [
        World(shown(ActiveState="inactive"), wait="x.service failed (exit-code)"),
        World(shown(), probe="http://h did not answer"),
    ],
)
def test_a_failure_shows_the_journal(world):
    ret = service(world, health=HEALTH)
    assert ret["result"] is False
    assert "last words" in ret["comment"]


def test_a_closed_gate_starts_nothing():
    world = World(shown(ActiveState="inactive"), probe="http://g did not answer")
    ret = service(world, gate=GATE)
    assert ret["result"] is False and "was not started" in ret["comment"]
    assert world.done == ["ask http://g"]


@pytest.mark.parametrize(
    ("properties", "done"),
    [
        ({"LoadState": "not-found"}, []),
        ({"ActiveState": "inactive", "UnitFileState": "disabled"}, []),
        ({}, ["disable --quiet --now x.service"]),
        ({"ActiveState": "inactive"}, ["disable --quiet --now x.service"]),
    ],
)
def test_dead(properties, done):
    world = World(shown(**properties))
    assert service(world, "dead")["result"] is True
    assert world.done == done


# -- systemd itself, played ---------------------------------------------------------------------------------------


def test_what_systemctl_refuses_is_told(played):
    played("systemctl", "echo 'Unit x.service not found.' >&2; exit 5")
    with pytest.raises(RuntimeError, match=r"systemctl start x\.service: Unit x\.service not found\."):
        kaas_systemd.systemctl("start", "x.service")
    played("systemctl", "echo 'on the wrong stream'; exit 5")
    with pytest.raises(RuntimeError, match=r"systemctl start x\.service: on the wrong stream"):
        kaas_systemd.systemctl("start", "x.service")


def test_show_and_journal(played):
    played("systemctl", "printf 'LoadState=loaded\\nExecMainStartTimestamp=a=b\\n\\n'")
    assert kaas_systemd.show("x.service") == {"LoadState": "loaded", "ExecMainStartTimestamp": "a=b"}
    assert played.calls()[0].startswith("systemctl show x.service --timestamp=us+utc --property=LoadState,ActiveState")
    played("journalctl", "echo 'last words'; echo")
    assert kaas_systemd.journal("x.service", lines=3) == "last words"
    assert "--unit x.service --lines 3" in played.calls()[1]


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"ActiveState": "failed", "Result": "exit-code"}, "x.service failed (exit-code)"),
        ({"ActiveState": "activating", "SubState": "start"}, "x.service is still activating (start) after 0 s"),
    ],
)
def test_a_unit_that_does_not_become_active(monkeypatch, properties, told):
    monkeypatch.setattr(kaas_systemd, "show", lambda unit: shown(**properties))
    assert kaas_systemd.wait_active("x.service", timeout=0) == told


def test_a_watched_change_predicts_a_restart_only():
    predicted = service(World(shown()), "mod_watch", test=True)
    assert predicted["result"] is None and predicted["changes"]
    done = service(World(shown()), "mod_watch")
    assert (done["result"], done["changes"]) == (True, {})


@pytest.mark.parametrize("properties", [{}, {"ActiveState": "inactive"}, {"UnitFileState": "disabled"}])
def test_dead_in_test_mode(properties):
    world = World(shown(**properties))
    assert service(world, "dead", test=True)["result"] is None
    assert world.done == []


def test_a_lock_that_stays_taken_restarts_nothing():
    world = World(shown(), ["/bin/x"])

    def lock(name, timeout):
        raise TimeoutError(f"lock {name} in etcd was not free within {timeout} s")

    world.salt["kaas_etcd.lock"] = lock
    ret = service(world, lock="etcd", timeout=3)
    assert ret["result"] is False and "lock restart/etcd in etcd was not free within 3 s" in ret["comment"]
    assert world.done == []


@pytest.mark.parametrize(("wait", "probe"), [("x failed", None), (None, "no answer")])
def test_a_lock_is_given_back_when_the_restart_fails(wait, probe):
    world = World(shown(), ["/bin/x"], wait=wait, probe=probe)
    assert service(world, lock="etcd", health=HEALTH)["result"] is False
    assert world.done[0] == "lock restart/etcd" and world.done[-1] == "release"


def test_a_failure_without_a_journal_is_told_alone():
    world = World(shown(ActiveState="inactive"), wait="x.service failed (exit-code)")
    world.utils["kaas_systemd.journal"] = lambda unit: ""
    assert service(world)["comment"] == "x.service failed (exit-code)"
