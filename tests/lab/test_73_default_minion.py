"""The formula needs none of the lab's minion options: Salt's defaults do."""

import contextlib

import pytest

# who the minion is and whom it trusts stands in minion.d; this file then has nothing
EMPTY = "# Salt's own defaults\n"


@pytest.fixture
def defaults(cluster):
    """All minions of the cluster run with Salt's default options."""
    with contextlib.ExitStack() as stack:
        stack.callback(cluster.restart_minions, cluster.machines)
        for machine in cluster.machines:
            stack.enter_context(cluster.replaced(machine, "/etc/salt/minion", EMPTY))
        cluster.restart_minions(cluster.machines)
        yield


def test_highstate_with_default_options(cluster, defaults):
    """A minion that syncs at every run, has the mine and all grains: the highstate and a dry run find nothing to do."""
    assert set(cluster.salt("*", "config.get", "autoload_dynamic_modules").values()) == {True}
    cluster.highstate().assert_clean()
    cluster.highstate(test=True).assert_clean()
