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


CONFLISTS = {"flannel": "10-kaas.conflist", "routes": "10-kaas.conflist", "calico": "10-calico.conflist"}


def of_network(folder, chosen, there, usable=True, pods=(), problem=None):
    """Run the state where these CNI configurations and pods are; return its answer."""

    def networked():
        if problem:
            raise RuntimeError(problem)
        return list(pods)

    for name in there:
        (folder / name).write_text("{}")
    utils = {"kaas_cri.usable": lambda: usable, "kaas_cri.networked": networked}
    module = formula.load("_states/kaas_pods.py", utils=utils, opts={"test": False})
    return module.of_network("pods", chosen, CONFLISTS, str(folder))


@pytest.mark.parametrize(
    ("chosen", "there", "more", "result"),
    [
        pytest.param("calico", [], {"pods": ["a/b"]}, True, id="a fresh machine"),
        pytest.param("calico", ["10-calico.conflist"], {"pods": ["a/b"]}, True, id="its own pods"),
        pytest.param("calico", ["10-kaas.conflist"], {}, True, id="no pod any more"),
        pytest.param("calico", ["10-kaas.conflist"], {"pods": ["a/b"]}, False, id="pods of another"),
        pytest.param("calico", ["10-kaas.conflist"], {"pods": ["a/b"], "usable": False}, True, id="no runtime"),
        pytest.param("calico", ["10-kaas.conflist"], {"problem": "no answer"}, False, id="a runtime that does not answer"),
        pytest.param("routes", ["10-kaas.conflist"], {"pods": ["a/b"]}, True, id="networks that share their pods"),
        pytest.param("flannel", ["10-calico.conflist", "99-mine.conf"], {"pods": ["a/b"]}, False, id="the way back"),
        pytest.param("flannel", ["99-mine.conf"], {"pods": ["a/b"]}, True, id="a configuration of nobody here"),
    ],
)
def test_pods_keep_their_network(tmp_path, chosen, there, more, result):
    ret = of_network(tmp_path, chosen, there, **more)
    assert (ret["result"], ret["changes"]) == (result, {})


def test_the_refusal_names_pods_networks_and_the_way(tmp_path):
    comment = of_network(tmp_path, "calico", ["10-kaas.conflist"], pods=["a/1", "a/2", "a/3", "a/4"])["comment"]
    for part in ("4 pods of the network routes run here (a/1, a/2, a/3, ...)", "kubelet.absent,containerd.emptied"):
        assert part in comment


def test_pods_with_a_network_of_their_own(played, monkeypatch):
    script = r"""
case "$2" in
pods) printf "own\nhost\ngone\n" ;;
*) case "$4" in
   own) echo '{"status": {"metadata": {"namespace": "demo", "name": "web"}, "linux": {"namespaces": {"options": {"network": "POD"}}}}}' ;;
   host) echo '{"status": {"metadata": {"namespace": "k", "name": "p"}, "linux": {"namespaces": {"options": {"network": "NODE"}}}}}' ;;
   *) echo 'rpc error: not found' >&2; exit 1 ;;
   esac ;;
esac
"""
    program = played("crictl", script)
    monkeypatch.setattr(kaas_cri.crictl, "__kwdefaults__", {**kaas_cri.crictl.__kwdefaults__, "program": program})
    assert kaas_cri.networked() == ["demo/web"]


def test_a_runtime_that_fails_while_it_is_asked_is_no_empty_one(played, monkeypatch):
    program = played("crictl", 'test "$2" != pods && { echo broken >&2; exit 1; }; echo a')
    monkeypatch.setattr(kaas_cri.crictl, "__kwdefaults__", {**kaas_cri.crictl.__kwdefaults__, "program": program})
    with pytest.raises(RuntimeError, match="broken"):
        kaas_cri.networked()
