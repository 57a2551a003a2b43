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


def test_failures_of_crictl_are_told(tmp_path):
    program = tmp_path / "crictl"
    program.write_text("#!/bin/sh\necho 'cannot reach the runtime' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(RuntimeError, match="crictl pods: cannot reach the runtime"):
        kaas_cri.crictl("pods", program=str(program))
