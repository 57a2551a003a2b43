"""A changed formula never runs with stale modules, although the minions do not sync at every run."""

import shutil

import kaas_formula
from laboratory import repository

KINDS = ("modules", "states", "utils")
WORDS = 'f"{name} runs"'
OTHER = 'f"{name} runs, says the changed module"'


def digest(folder):
    """The formula's hash, as the master computes it, of the three folders below `folder`."""
    return kaas_formula.digest({kind: str(folder / f"_{kind}") for kind in KINDS})


def test_highstate_runs_the_changed_module_at_once(cluster, tmp_path):
    """The first highstate after a change of a state module runs the new code, and still changes nothing."""
    node = cluster.kubelets[-1]
    minion = cluster.id(node)
    assert cluster.salt(node, "config.get", "autoload_dynamic_modules")[minion] is False
    assert cluster.salt(node, "kaas_formula.digest")[minion] == digest(repository())

    for kind in KINDS:
        shutil.copytree(repository(f"_{kind}"), tmp_path / f"_{kind}")
    changed = tmp_path / "_states" / "kaas_service.py"
    text = changed.read_text()
    assert WORDS in text, f"the test looks for {WORDS} in {changed.name}"
    changed.write_text(text.replace(WORDS, OTHER))

    with cluster.replaced("salt", "/srv/kaas/_states/kaas_service.py", changed.read_text()):
        found = cluster.highstate(node).assert_clean()
        assert "says the changed module" in found.state(minion, "kubelet.service")["comment"]
        assert cluster.salt(node, "kaas_formula.digest")[minion] == digest(tmp_path)
    found = cluster.highstate(node).assert_clean()
    assert "says the changed module" not in found.state(minion, "kubelet.service")["comment"]


def test_dry_run_runs_the_changed_module_at_once(cluster):
    """So does a dry run: it predicts with the code that would run."""
    node = cluster.kubelets[-1]
    text = repository("_states", "kaas_service.py").read_text().replace(WORDS, OTHER)
    with cluster.replaced("salt", "/srv/kaas/_states/kaas_service.py", text):
        found = cluster.highstate(node, test=True).assert_clean()
        assert "says the changed module" in found.state(cluster.id(node), "kubelet.service")["comment"]
    cluster.highstate(node).assert_clean()
