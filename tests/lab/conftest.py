"""
The lab tests: what a cluster must do, proven on the running lab (docs/testing.md).

``KAAS_TEST_CLUSTERS`` names the clusters ("demo mini split"); ``KAAS_TEST_DOWN=1`` removes each after its tests; ``KAAS_TEST_UP=0`` takes them as
they run, without ``lab/lab up`` first. A module whose tests need several masters says ``HIGHLY_AVAILABLE = True``, one that needs a single
node ``HIGHLY_AVAILABLE = False``, one that needs the role loadbalancer ``LOAD_BALANCERS = True``, one that is for certain clusters
``CLUSTERS = {"split"}``; the others run on every cluster, but for those that ``ONLY`` names.
The numbers in the names of the modules order them: what only looks first, what breaks machines last.
"""

import os

import pytest
from laboratory import Laboratory, wanted_clusters

# A cluster that is there for its topology runs the modules in which that shows.
ONLY = {
    "split": {
        "test_10_converged",
        "test_20_nodes",
        "test_30_permissions",
        "test_31_cis",
        "test_51_dual_stack",
        "test_55_networks",
        "test_66_balancers",
        "test_93_load_balancers",
    },
}


def fits(module, name):
    """Whether the tests of a module are for the cluster of this name."""
    laboratory = Laboratory(name)
    if name not in getattr(module, "CLUSTERS", {name}):
        return False
    if name in ONLY and module.__name__ not in ONLY[name]:
        return False
    if getattr(module, "LOAD_BALANCERS", False) and not laboratory.balancers:
        return False
    return getattr(module, "HIGHLY_AVAILABLE", None) in (None, laboratory.highly_available)


def pytest_generate_tests(metafunc):
    """Run each test of the lab once per cluster that fits its module."""
    if "cluster" not in metafunc.fixturenames:
        return
    names = [name for name in wanted_clusters() if fits(metafunc.module, name)]
    metafunc.parametrize("cluster", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def cluster(request):
    """A converged cluster of the lab."""
    found = Laboratory(request.param)
    if os.environ.get("KAAS_TEST_UP") != "0":
        found.up()
    yield found
    if os.environ.get("KAAS_TEST_DOWN") == "1":
        found.down()


@pytest.fixture(scope="module")
def namespace(cluster, request):
    """A namespace for the objects of one module; removed afterwards."""
    name = "test-" + request.module.__name__.removeprefix("test_").replace("_", "-")
    cluster.kubectl("create", "namespace", name, check=False)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def image(cluster):
    """The demo's image."""
    frontend = cluster.get("deployment", "frontend", "--namespace=demo")
    return frontend["spec"]["template"]["spec"]["containers"][0]["image"]
