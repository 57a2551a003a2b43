"""Pods are ended when a node leaves; nothing is done where no container runtime is."""

import formula
import kaas_cri
import pytest


def absent(usable=True, pods=(), problem=None, test=False):
    """Run the state with a runtime that has these pods; return its answer and what was removed."""
    removed = []

    def remove(ids, timeout):
        if problem:
            raise RuntimeError(problem)
        removed.extend(ids)

    utils = {"kaas_cri.usable": lambda: usable, "kaas_cri.pods": lambda: list(pods), "kaas_cri.remove": remove}
    module = formula.load("_states/kaas_pods.py", utils=utils, opts={"test": test})
    return module.absent("pods"), removed


@pytest.mark.parametrize(
    ("kwargs", "result", "changes", "removed"),
    [
        ({"usable": False, "pods": ["a"]}, True, {}, []),
        ({}, True, {}, []),
        ({"pods": ["a", "b"]}, True, {"removed": ["a", "b"]}, ["a", "b"]),
        ({"pods": ["a"], "test": True}, None, {"removed": ["a"]}, []),
        ({"pods": ["a"], "problem": "no answer"}, False, {}, []),
    ],
)
def test_absent(kwargs, result, changes, removed):
    ret, done = absent(**kwargs)
    assert (ret["result"], ret["changes"], done) == (result, changes, removed)


def test_failures_of_crictl_are_told(played):
    program = played("crictl", "echo 'cannot reach the runtime' >&2; exit 1")
    with pytest.raises(RuntimeError, match="crictl pods: cannot reach the runtime"):
        kaas_cri.crictl("pods", program=program)


def test_a_crictl_that_hangs_is_ended(played, monkeypatch):
    # crictl keeps the time-out it is given; ours comes 5 s later, for one that does not.
    program = played("crictl", "exec sleep 60")
    with pytest.raises(RuntimeError, match=r"crictl pods did not end within -4\.8 s"):
        kaas_cri.crictl("pods", program=program, timeout=-4.8)


def test_pods_and_their_removal(played, monkeypatch):
    program = played("crictl", 'test "$2" != pods || printf "a\\nb\\n"')
    monkeypatch.setattr(kaas_cri.crictl, "__kwdefaults__", {"timeout": 120, "program": program})
    assert kaas_cri.pods() == ["a", "b"]
    kaas_cri.remove(["a", "b"], timeout=9)
    assert played.calls() == ["crictl --timeout=30s pods --quiet", "crictl --timeout=9s rmp --force a b"]


def test_usable_needs_the_client_and_a_runtime_that_listens(tmp_path):
    client, socket = tmp_path / "crictl", tmp_path / "socket"
    found = []
    for path in (None, client, socket):
        if path:
            path.touch()
        found.append(kaas_cri.usable(str(client), str(socket)))
    assert found == [False, False, True]
