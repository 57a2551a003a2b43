"""Pods of a lost worker run elsewhere; the worker comes back by itself."""

import contextlib

import pytest
from kaas_lab import steps
from kaas_lab.guestbook import Guestbook
from polling import eventually, fetch

HIGHLY_AVAILABLE = True
# The controllers take 50 s to call a node unreachable, the demo's pods tolerate that for 20 s, then others start. Until the node
# is called unreachable, a visitor may still be led to a pod that is not there any more; after the pods have moved, none may fail
# (the step itself sees to that).
MOVED_WITHIN = 120
ANSWER_WITHIN = 30


@pytest.fixture(scope="module")
def lost(cluster):
    """The story's step: the last worker killed under visitors, its pods moved. ``(figures, power)``: closing power starts it again."""
    cluster.wait_workloads()
    with contextlib.ExitStack() as power:
        figures = power.enter_context(steps.node_lost(Guestbook(cluster.file)))
        print(figures)
        yield figures, power


def test_pods_run_elsewhere(cluster, lost):
    """All replicas of the demo are available on other nodes within two minutes, and the demo answers."""
    figures, _ = lost
    assert figures["seconds until all pods ran elsewhere"] <= MOVED_WITHIN, figures
    assert figures["node"] not in cluster.ready_nodes()
    url = cluster.demo_url(cluster.workers[0])
    for _ in range(20):
        fetch(url)


def test_failed_visits_are_bounded(lost):
    """Visitors of the other nodes fail only until the pods have moved, and never all of them for long."""
    figures, _ = lost
    assert figures["seconds until the last failed visit"] <= figures["seconds until all pods ran elsewhere"], figures
    assert figures["longest time without an answer, seconds"] <= ANSWER_WITHIN, figures


def test_entries_outlive_a_worker_without_the_database(cluster, lost):
    """The database is on another worker: people write and read meanwhile."""
    book = Guestbook(cluster.file)
    written = eventually(lambda: book.sign("test", "written while a worker is away"), 30, "an entry to be written")
    assert written in book.entries()


def test_worker_comes_back_by_itself(cluster, lost):
    """Started again, it is Ready, and its NodePort and its pod network work: without Salt."""
    figures, power = lost
    power.close()
    node = figures["node"]
    cluster.wait_nodes_ready(90)
    cluster.wait_workloads()
    eventually(lambda: cluster.demo(node), 60, f"the NodePort of {node}")
    assert cluster.shell(node, "systemctl is-system-running --wait", timeout=90, check=False).strip() == "running"


def test_highstate_has_no_work_afterwards(cluster, lost):
    """What the worker needs after a start is all in its units."""
    cluster.wait_minions()
    cluster.highstate().assert_clean()
