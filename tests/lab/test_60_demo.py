"""The demo application: the steps of its story (lab/kaas_lab/steps.py), and that the highstate and the story agree."""

import base64
import json

import pytest
from kaas_lab import steps, story
from kaas_lab.guestbook import FRONTENDS, Guestbook
from polling import eventually, fetch

# The loss of a worker is a test of its own (test_91_worker_killed.py), where several masters keep the cluster going.
STEPS = [step for step in story.STORY if step.name not in ("heal-node", "tidy")]


@pytest.fixture(scope="module")
def book(cluster):
    """The guestbook of the cluster; what the module did is undone by Salt, which then finds nothing to do."""
    found = Guestbook(cluster.file)
    yield found
    steps.tidy(found)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_step(book, step):
    """Each step of the story does what it promises, and puts back what it changed."""
    book.complete()
    live = book.live()
    figures = step.run(book)
    print(f"{step.name}: {figures}")
    assert figures
    assert book.live() == live


def test_steps_leave_nothing_for_the_highstate(cluster, book):
    """After all steps, a highstate of the deployer changes nothing, and the autoscalers' numbers are left alone."""
    steps.tidy(book)
    cluster.highstate(cluster.deployer).assert_clean()


def test_frontend_finds_its_backend_by_name(cluster):
    """The front end asks `http://backend`: DNS, Service and pod answer."""
    reply = cluster.demo()
    assert reply["role"] == "frontend" and reply["backend"]["role"] == "backend", reply
    assert reply["backend"]["pod"].startswith("backend-")
    assert cluster.name in fetch(cluster.demo_url(path="/")), "the page does not greet from the cluster"


def test_pods_are_spread_over_the_workers(cluster):
    """The two pods of each front end run on different workers."""
    for app in FRONTENDS.values():
        used = {item["spec"]["nodeName"] for item in cluster.pods("demo", f"app={app}")}
        assert len(used) == min(2, len(cluster.workers)), f"{app} runs on {used}"


def test_highstate_predicts_and_repairs_what_was_changed_by_hand(cluster, book):
    """A changed image is reported by the dry run, which changes nothing, and put back by the highstate; the next one has no work."""
    book.complete()
    before, other = book.image("frontend"), book.image("frontend-green")
    book.kubectl("set", "image", "deployment/frontend", f"frontend={other}")
    predicted = cluster.highstate(cluster.deployer, test=True).assert_fine()
    assert "demo-deployed" in "\n".join(predicted.changed()), predicted.changed()
    assert book.image("frontend") == other, "the dry run changed the Deployment"
    changed = cluster.highstate(cluster.deployer).assert_fine().changed()
    assert len(changed) == 1 and "demo-deployed" in changed[0], changed
    assert book.image("frontend") == before
    book.complete()
    cluster.highstate(cluster.deployer).assert_clean()


def test_the_cluster_file_chooses_the_live_front_end(cluster, book):
    """`demo.live: green` in the cluster file and a highstate: green has the visitors; the file as it was: blue again."""
    with book.visits(every=0.05) as loop:
        try:
            with cluster.edited({"demo": {"live": "green"}}):
                changed = cluster.highstate(cluster.deployer).assert_fine().changed()
                assert len(changed) == 1 and "demo-deployed" in changed[0], changed
                assert book.live() == "green"
                eventually(lambda: cluster.demo()["colour"] == "green", 10, "green to answer")
                cluster.highstate(cluster.deployer).assert_clean()
        finally:
            cluster.highstate(cluster.deployer).assert_fine()
        eventually(lambda: cluster.demo()["colour"] == "blue", 10, "blue to answer again")
    assert not loop.failed, loop.report()


def test_the_password_is_the_databases_alone(cluster, book):
    """The database refuses who does not know the password; it stands in the Secret only, and each cluster has its own."""
    asked = ["exec", "deployment/backend", "--", "/demo", "entries", "-password-file", "/etc/hostname"]
    refused = cluster.kubectl("--namespace=demo", *asked, check=False)
    assert refused.returncode and "WRONGPASS" in refused.stderr, refused
    secret = cluster.get("secret", "database", "--namespace=demo")["data"]
    assert set(secret) == {"password", "auth.conf"}
    everything = json.dumps(cluster.get("all,configmap,pvc", "--namespace=demo"))
    password = base64.b64decode(secret["password"]).decode()
    assert len(password) == 40 and password not in everything


def test_entries_lie_in_the_folder_on_the_worker(cluster, book):
    """The volume is the folder that Salt made on the first worker, for the database's user alone."""
    node = cluster.workers[0]
    book.sign("test", "look for me on the disk")
    assert "look for me on the disk" in cluster.shell(node, "cat /var/lib/kaas/demo/appendonlydir/*.aof")
    assert cluster.shell(node, "stat --format='%a %u' /var/lib/kaas/demo").strip() == "700 65532"


def test_objects_of_the_demo(cluster):
    """What the docs promise is there: a budget and an autoscaler for each front end, policies, a volume of the local class."""
    names = {
        kind: {item["metadata"]["name"] for item in cluster.get(kind, "--namespace=demo")["items"]}
        for kind in ("pdb", "hpa", "networkpolicy", "statefulset", "pvc")
    }
    assert names == {
        "pdb": {"backend", "frontend", "frontend-green"},
        "hpa": {"frontend", "frontend-green"},
        "networkpolicy": {"default-deny", "dns", "frontend", "backend", "database"},
        "statefulset": {"database"},
        "pvc": {"data-database-0"},
    }
    claim = cluster.get("pvc", "data-database-0", "--namespace=demo")
    assert claim["spec"]["storageClassName"] == "demo-local" and claim["status"]["phase"] == "Bound"
