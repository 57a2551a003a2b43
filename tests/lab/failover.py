"""The loss of the machine that holds the API address, watched from outside."""

import contextlib
import time

from kaas_lab import machines
from polling import Loop, eventually, fetch, get, verifying

API_BOUND = 10  # seconds without an answer of the API through its address


def holder(cluster):
    """The node that has the API address on an interface; None while no running node has it."""
    for node in cluster.api_holders:
        if f" {cluster.vip}/" in cluster.shell(node, "ip -4 -oneline address show", check=False):
            return node
    return None


@contextlib.contextmanager
def holder_killed(cluster):
    """
    The node that held the API address, killed, with what was seen before and until the API wrote again.

    Yields ``{node, readyz, writes, demo}``; the loops have ended. The machine is started at the end, whatever was found.
    """
    cluster.wait_workloads()
    node = holder(cluster)
    assert node, f"none of {cluster.api_holders} holds {cluster.vip}"
    trusting = verifying(cluster.api().ca)
    api = cluster.api()
    page = cluster.demo_url(cluster.workers[0], "/")

    def readyz():
        status, text = get(cluster.api_url + "/readyz", timeout=1, context=trusting)
        if (status, text) != (200, "ok"):
            raise OSError(f"{status} {text}")

    loops = {
        "readyz": Loop(readyz, every=0.1),
        "writes": Loop(lambda: api.write("kaas-test-holder", time.time_ns(), timeout=2), every=0.2),
        "demo": Loop(lambda: fetch(page, timeout=2), every=0.1),
    }
    try:
        with loops["readyz"], loops["writes"], loops["demo"]:
            eventually(lambda: len(loops["writes"].attempts) > 10, 30, "the loops to run")
            cluster.kill(node)
            at = time.monotonic()
            answered = [loops[name].answered_since for name in ("readyz", "writes")]
            eventually(lambda: all(since(at + 1) for since in answered), 60, "the API to answer again")
            # a while longer, so that a second interruption is seen too
            eventually(lambda: time.monotonic() > at + 20, 30, "the observation to end")
        yield {"node": node, **loops}
    finally:
        if node not in running(cluster):
            cluster.start(node)


def running(cluster):
    """Names of the machines that run."""
    up = [item for item in machines.containers(cluster.file) if item["State"]["Running"]]
    return {item["Config"]["Labels"]["kaas.machine"] for item in up}


def assert_moved(cluster, killed):
    """Another node has the address; reads and writes stopped for at most API_BOUND seconds."""
    assert killed["readyz"].failed, "the API never stopped answering: the wrong machine was killed"
    assert killed["readyz"].longest_gap() <= API_BOUND, killed["readyz"].report()
    assert killed["writes"].longest_gap() <= API_BOUND, killed["writes"].report()
    assert holder(cluster) not in (None, killed["node"])
