"""The demo taken away leaves nothing in the API; put back, it has a new password and the old entries."""

import pytest
from kaas_lab.guestbook import Guestbook


@pytest.fixture(scope="module")
def removed(cluster):
    """``(guestbook, entries, Secret's data)`` before `demo.undeployed`; the highstate puts the demo back, whatever happened."""
    book = Guestbook(cluster.file)
    book.complete()
    book.sign("test", "written before the demo was taken away")
    before = book.entries(), book.get("secret", "database")["data"]
    cluster.apply(cluster.deployer, "demo.undeployed").assert_fine()
    yield book, *before
    cluster.highstate(cluster.deployer)
    book.complete()


def test_nothing_is_left_in_the_api(cluster, removed):
    """No namespace, no volume, no storage class, no set; a second `demo.undeployed` finds nothing."""
    for kind, name in (("namespace", "demo"), ("persistentvolume", "demo-database"), ("storageclass", "demo-local")):
        assert "NotFound" in cluster.kubectl("get", kind, name, check=False).stderr, f"{kind} {name}"
    assert "NotFound" in cluster.kubectl("get", "configmap", "kaas-demo", "--namespace=kube-system", check=False).stderr
    assert cluster.apply(cluster.deployer, "demo.undeployed").assert_fine().changed() == []


def test_the_highstate_brings_it_back_with_its_entries(cluster, removed):
    """One highstate of the deployer; the folder on the worker was kept, the password is another one."""
    book, entries, secret = removed
    cluster.highstate(cluster.deployer).assert_fine()
    book.complete()
    assert book.entries() == entries
    assert book.get("secret", "database")["data"] != secret
    cluster.highstate(cluster.deployer).assert_clean()


def test_the_workers_folder_goes_by_hand_only(cluster, removed):
    """`demo.absent` would remove the folder, and says so before it does; other workers have none."""
    first, *others = cluster.workers
    planned = cluster.salt(first, "state.apply", "demo.absent", "test=True")[cluster.id(first)]
    assert [state["result"] for state in planned.values()] == [None]
    for node in others:
        assert not cluster.host(node).file("/var/lib/kaas/demo").exists, node
