"""Services of type LoadBalancer: reached from outside, moved when a machine is lost, and nothing left when the balancer goes."""

import contextlib
import socket
import time

import pytest
from polling import Loop, NotYet, eventually, fetch

# Seconds without an answer after the loss of the machine that holds the address.
MOVED = {"metallb": 60, "haproxy": 10}
SET_UP = 60  # seconds from a Service to its answer, with a controller that watches
PORT = 8080


@pytest.fixture(autouse=True)
def balanced(cluster):
    """The balancer of the cluster file."""
    plugin = cluster.spec.get("balancer", {}).get("plugin")
    if plugin is None:
        pytest.skip(f"{cluster.name} has no balancer")
    cluster.wait_workloads()
    return plugin


@contextlib.contextmanager
def service(cluster, balanced, name="kaas-test", port=PORT, **spec):
    """A Service of type LoadBalancer to the demo's front end, in front of which the balancer is up to date."""
    selector = cluster.get("service", "frontend", "--namespace=demo")["spec"]["selector"]
    ports = [{"name": "http", "port": port, "targetPort": "http"}]
    cluster.create({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "demo"},
        "spec": {"type": "LoadBalancer", "selector": selector, "ports": ports, **spec},
    })  # fmt: skip
    try:
        follow(cluster, balanced)
        yield name
    finally:
        cluster.kubectl("delete", "service", name, "--namespace=demo")
        follow(cluster, balanced)


def follow(cluster, balanced):
    """haproxy knows of Services by the highstate; MetalLB watches them."""
    if balanced == "haproxy":
        cluster.highstate().assert_fine()


def ingress(cluster, name="kaas-test"):
    """The addresses in the status of a Service."""
    found = cluster.get("service", name, "--namespace=demo")["status"]["loadBalancer"].get("ingress") or []
    return [one["ip"] for one in found]


def url(cluster, name="kaas-test"):
    """The URL of a Service, as soon as it has an address; each pod of the front end answers there by itself, without a back end."""
    (address,) = eventually(lambda: ingress(cluster, name), SET_UP, f"Service {name} to get an address")
    return f"http://{address}:{PORT}/healthz"


def holder(cluster, balanced, name="kaas-test"):
    """The machine that the network sends a Service's traffic to; None while there is none.

    Not to be asked after a loss: MetalLB's report goes on naming the lost node until its pod is deleted.
    """
    if balanced == "metallb":
        rows = cluster.get("servicel2statuses", "--namespace=metallb-system")["items"]
        nodes = [row["status"].get("node") for row in rows if row.get("status", {}).get("serviceName") == name]
        return next(iter(nodes), None)
    (address,) = ingress(cluster, name)
    show = "ip -4 -oneline address show"
    return next(
        (n for n in cluster.balancers if f" {address}/" in cluster.shell(n, show, check=False)), None
    )


def spread(cluster):
    """The front end's pods run on more than one machine, so that the loss of one takes none but its own part."""

    def apart():
        pods = cluster.pods("demo", "app=frontend")
        if len({pod["spec"]["nodeName"] for pod in pods}) < min(2, len(cluster.workers)):
            # Pods stay where they were placed first; a new one goes where none is.
            cluster.kubectl("delete", "pod", pods[0]["metadata"]["name"], "--namespace=demo")
            raise NotYet("all on one machine")
        return cluster.available("demo", "frontend")

    eventually(apart, 90, "the front end on several machines", every=2)


def closed(target):
    """Whether nobody answers at a URL any more."""
    host, _, port = target.removeprefix("http://").removesuffix("/healthz").partition(":")
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, int(port))) != 0


def test_a_service_is_reached_from_outside(cluster, balanced):
    """It gets an address, which leads to its pods; with the Service, both go."""
    start = time.monotonic()
    with service(cluster, balanced):
        target = url(cluster)
        eventually(lambda: fetch(target), SET_UP, f"{target} to answer")
        print(f"{cluster.name}, {balanced}: answers {time.monotonic() - start:.1f} s after it was made")
        cluster.highstate().assert_clean()
    eventually(lambda: closed(target), 30, f"{target} to be closed")


def test_the_address_moves_when_its_machine_is_lost(cluster, balanced):
    """The machine that holds the address is killed; another takes over. With `Local`, only machines with a pod count."""
    spread(cluster)
    with service(cluster, balanced, externalTrafficPolicy="Local"):
        target = url(cluster)
        eventually(lambda: fetch(target), SET_UP, f"{target} to answer")
        node = eventually(lambda: holder(cluster, balanced), 30, "somebody to hold the address")
        assert node in (cluster.balancers or cluster.workers)
        try:
            with Loop(lambda: fetch(target, timeout=1), every=0.1) as loop:
                eventually(lambda: len(loop.attempts) > 10, 30, "the loop to run")
                cluster.kill(node)
                killed = time.monotonic()
                eventually(lambda: loop.answered_since(killed + 1), 150, f"{target} to answer again")
            print(f"{cluster.name}, {balanced}: {loop.longest_gap():.1f} s without an answer after {node} was lost")
            assert loop.longest_gap() < MOVED[balanced], loop.report()
        finally:
            cluster.start(node)
            cluster.wait_minions()
            cluster.wait_nodes_ready()
    cluster.wait_workloads()
    cluster.highstate().assert_fine()


def test_a_balancer_that_goes_leaves_nothing(cluster, balanced):
    """Without the plug-in the Service is there and has no address any more; with it, it has one again."""
    with service(cluster, balanced):
        target = url(cluster)
        eventually(lambda: fetch(target), SET_UP, f"{target} to answer")
        with cluster.edited({"balancer": {"plugin": None}}):
            cluster.highstate().assert_fine()
            live = cluster.get("service", "kaas-test", "--namespace=demo")
            assert live["status"]["loadBalancer"] == {}
            assert not live["metadata"].get("annotations", {}).keys() & {
                "metallb.io/ip-allocated-from-pool",
                "balancer.kaas.local/address",
            }
            eventually(lambda: closed(target), 30, f"{target} to be closed")
            cluster.highstate().assert_clean()
        cluster.highstate().assert_fine()
        again = url(cluster)
        eventually(lambda: fetch(again), SET_UP, f"{again} to answer again")


def test_new_services_disturb_no_other(cluster, balanced):
    """While another Service comes and goes, not one request to the first is lost: haproxy is reloaded, not restarted."""
    with service(cluster, balanced):
        target = url(cluster)
        eventually(lambda: fetch(target), SET_UP, f"{target} to answer")
        with (
            Loop(lambda: fetch(target, timeout=3), every=0.01, threads=2) as loop,
            service(cluster, balanced, "kaas-test-2", PORT + 1),
        ):
            eventually(lambda: ingress(cluster, "kaas-test-2"), SET_UP, "the second Service to get an address")
        assert len(loop.attempts) > 50 and not loop.failed, loop.report()


def test_a_port_of_somebody_else_is_refused(cluster, balanced):
    """haproxy: the API's port and SSH's stay what they are, and the Service says by its missing address that it is not served."""
    if balanced != "haproxy":
        pytest.skip("MetalLB's addresses belong to no machine")
    port = cluster.spec["api"].get("port", 8443)
    with service(cluster, balanced, "kaas-test-ssh", 22), service(cluster, balanced, "kaas-test-api", port):
        assert ingress(cluster, "kaas-test-ssh") == [] and ingress(cluster, "kaas-test-api") == []
        done = cluster.apply(cluster.balancers[0], "balancers.haproxy.configured")
        said = str([state.get("warnings") for state in done.states(cluster.id(cluster.balancers[0])).values()])
        assert "port 22 is of SSH" in said, said
        assert "ok" in cluster.kubectl("get", "--raw=/readyz").stdout
