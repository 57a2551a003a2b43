"""The demo application: found by name, healed, updated without a lost request, scaled."""

import json

import pytest
from polling import Loop, NotYet, eventually, fetch


@pytest.fixture(autouse=True)
def complete(cluster):
    """Each test starts with a complete demo."""
    cluster.wait_workloads()


def image(cluster):
    """The front end's image in the Deployment."""
    template = cluster.get("deployment", "frontend", "--namespace=demo")["spec"]["template"]
    return template["spec"]["containers"][0]["image"]


def assert_serves(cluster, wanted):
    """Soon only this image's version answers; an old pod that drains may still do so for a moment."""
    number = wanted.partition("@")[0].rsplit(":", 1)[1]
    eventually(
        lambda: {cluster.demo()["version"] for _ in range(10)} == {number}, 15, f"version {number} alone to answer"
    )


def test_frontend_finds_its_backend_by_name(cluster):
    """The front end asks `http://backend`: DNS, Service and pod answer."""
    reply = cluster.demo()
    assert reply["role"] == "frontend" and reply["backend"]["role"] == "backend", reply
    assert reply["backend"]["pod"].startswith("backend-")
    assert cluster.name in fetch(cluster.demo_url(path="/")), "the page does not greet from the cluster"


def test_pods_are_spread_over_the_workers(cluster):
    """The front end's pods run on all workers."""
    used = {item["spec"]["nodeName"] for item in cluster.pods("demo", "app=frontend")}
    assert used == set(cluster.workers)


def test_deleted_pod_comes_back(cluster):
    """A pod that is deleted is replaced by another one, and no request is lost meanwhile."""
    victim = cluster.pods("demo", "app=frontend")[0]["metadata"]["name"]
    with Loop(lambda: fetch(cluster.demo_url(path="/")), every=0.05) as loop:
        cluster.kubectl("delete", "pod", victim, "--namespace=demo", "--wait=false")

        def replaced():
            pods = cluster.get("pods", "--namespace=demo", "--selector=app=frontend")["items"]
            names = {item["metadata"]["name"] for item in pods}
            return victim not in names and cluster.available("demo", "frontend")

        eventually(replaced, 60, f"pod {victim} to be replaced")
    assert not loop.failed, loop.report()


def test_rolling_update_loses_no_request_and_highstate_repairs_the_drift(cluster):
    """
    Front and back end are updated to another version under a request loop, and brought back by the highstate: not one request fails.

    The highstate predicts the repair first, reports it, and finds nothing the next time.
    """
    before = image(cluster)
    repository, _, version = before.partition("@")[0].rpartition(":")
    other = f"{repository}:{'2' if version == '1' else '1'}"
    urls = [cluster.demo_url(node, path) for node in cluster.kubelets for path in ("/", "/api")]
    turn = iter(range(10**9))
    with Loop(lambda: fetch(urls[next(turn) % len(urls)]), every=0.03, threads=2) as loop:
        for name in ("frontend", "backend"):
            cluster.kubectl("set", "image", f"deployment/{name}", f"{name}={other}", "--namespace=demo")
        eventually(lambda: cluster.available("demo", "frontend", "backend"), 120, f"the update to {other}")
        assert image(cluster) == other
        assert_serves(cluster, other)

        predicted = cluster.highstate(cluster.deployer, test=True).assert_fine()
        assert "demo-deployed" in "\n".join(predicted.changed()), predicted.changed()
        assert image(cluster) == other, "the dry run changed the Deployment"

        repaired = cluster.highstate(cluster.deployer).assert_fine()
        changed = repaired.changed()
        assert len(changed) == 1 and "demo-deployed" in changed[0], changed
        eventually(lambda: cluster.available("demo", "frontend", "backend"), 120, f"the way back to {before}")
        assert image(cluster) == before
        assert_serves(cluster, before)
    assert len(loop.attempts) > 100
    assert not loop.failed, loop.report()
    cluster.highstate(cluster.deployer).assert_clean()


def test_autoscaler_answers_to_load(cluster):
    """Requests that burn processor time bring more front ends than before; the highstate does not fight the autoscaler."""

    def scaler():
        return cluster.get("hpa", "frontend", "--namespace=demo")

    low = scaler()["spec"]["minReplicas"]

    def measured():
        """The autoscaler reads metrics, and is back at its minimum after what earlier tests did."""
        status = scaler()["status"]
        if not status.get("currentMetrics"):
            raise NotYet(f"no metrics yet: {json.dumps(status.get('conditions'))[:500]}")
        return status["desiredReplicas"] == low

    eventually(measured, 180, "the autoscaler to know the load and to want its minimum", every=2)

    def more():
        status = scaler()["status"]
        if status["desiredReplicas"] <= low:
            raise NotYet(json.dumps(status.get("currentMetrics")))
        return True

    with Loop(lambda: fetch(cluster.demo_url(path="/load?ms=400"), timeout=15), every=0, threads=3) as load:
        eventually(more, 150, f"more than {low} front ends under load", every=2)
    assert load.attempts
    eventually(lambda: cluster.available("demo", "frontend"), 90, "the additional front ends")
    cluster.highstate(cluster.deployer).assert_clean()
