"""One highstate converges; the next one, and a dry run, find nothing to do."""


def test_highstate_again_changes_nothing(cluster):
    """A second highstate of all machines, the CA minion among them: 0 failed, 0 changed."""
    found = cluster.highstate()
    assert len(found) == len(cluster.machines)
    found.assert_clean()


def test_dry_run_predicts_nothing(cluster):
    """`test=True` on a converged cluster predicts no change."""
    cluster.highstate(test=True).assert_clean()
