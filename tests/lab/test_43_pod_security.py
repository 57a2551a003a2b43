"""Pod Security and the event limit, for real objects: what each namespace accepts."""

import json

import pytest

PRIVILEGED = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kaas-test-privileged"},
    "spec": {
        "containers": [{"name": "main", "image": "registry.kaas.local/none:0", "securityContext": {"privileged": True}}],
        "terminationGracePeriodSeconds": 0,
        # nothing of it shall run
        "schedulerName": "nobody",
    },
}  # fmt: skip


def create(cluster, namespace, manifest, *options):
    """``kubectl create``; return the CompletedProcess."""
    arguments = ["create", f"--namespace={namespace}", "--filename=-", *options]
    return cluster.kubectl(*arguments, check=False, stdin=json.dumps(manifest))


@pytest.mark.parametrize("where", ["default", "demo", "a new one"])
def test_a_privileged_pod_is_refused(cluster, namespace, where):
    """Even for a cluster administrator: policy, not rights. (The demo's namespace has a level of its own.)"""
    done = create(cluster, namespace if where == "a new one" else where, PRIVILEGED)
    level = "restricted" if where == "demo" else "baseline"
    assert done.returncode and f'violates PodSecurity "{level}' in done.stderr, done.stderr


def test_a_controller_cannot_make_one_either(cluster, namespace):
    """A Deployment of such pods is taken with a warning, and gets no pods."""
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "privileged"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": "privileged"}},
            "template": {"metadata": {"labels": {"app": "privileged"}}, "spec": PRIVILEGED["spec"]},
        },
    }  # fmt: skip
    assert "would violate PodSecurity" in create(cluster, namespace, deployment).stderr
    cluster.kubectl(
        "wait", "--for=condition=ReplicaFailure", "deployment/privileged", f"--namespace={namespace}", "--timeout=15s"
    )
    assert cluster.pods(namespace, "app=privileged") == []


def test_an_administrator_may_in_kube_system(cluster):
    """The exempt namespace: agents of the cluster itself need the machine."""
    try:
        done = create(cluster, "kube-system", PRIVILEGED)
        assert done.returncode == 0, done.stderr
    finally:
        cluster.kubectl("delete", "pod", "kaas-test-privileged", "--namespace=kube-system", "--ignore-not-found")


def test_a_service_may_not_claim_an_address(cluster, namespace):
    """DenyServiceExternalIPs: traffic to somebody else's address cannot be taken over."""
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "thief"},
        "spec": {"ports": [{"port": 80}], "externalIPs": [cluster.address("salt")]},
    }  # fmt: skip
    done = create(cluster, namespace, service, "--dry-run=server")
    assert done.returncode and "externalIPs" in done.stderr, done.stderr


def test_a_flood_of_events_is_stopped(cluster, namespace):
    """EventRateLimit: beyond the burst of a namespace the API says "too many requests", and other namespaces are heard."""
    api = cluster.api(cluster.deployer)

    def event(where, name):
        api.call(
            "POST",
            f"/api/v1/namespaces/{where}/events",
            {
                "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"kaas-test-{name}", "namespace": where},
                "involvedObject": {"kind": "Namespace", "name": where, "namespace": where}, "reason": "Test", "type": "Normal",
            },
        )  # fmt: skip

    refused = []

    def flood(worker):
        for number in range(400):
            if refused:
                return
            try:
                event(namespace, f"{worker}-{number}")
            except OSError as error:
                assert "HTTP 429" in str(error), error
                refused.append(number)

    cluster.everywhere(flood, range(8))
    assert refused, "3200 events at once were all taken"
    event("default", namespace)
    cluster.kubectl("delete", "event", f"kaas-test-{namespace}", "--namespace=default")
