"""
The lab tests: what a cluster must do, proven on the running lab (docs/testing.md).

``KAAS_TEST_CLUSTERS`` names the clusters ("demo mini"); ``KAAS_TEST_DOWN=1`` removes each after its tests; ``KAAS_TEST_UP=0`` takes them as
they run, without ``lab/lab up`` first. A module whose tests need several masters says ``HIGHLY_AVAILABLE = True``, one that needs a single
node ``HIGHLY_AVAILABLE = False``; the others run on every cluster.
The numbers in the names of the modules order them: what only looks first, what breaks machines last.
"""

import os

import pytest
from laboratory import Laboratory, wanted_clusters


def pytest_generate_tests(metafunc):
    """Run each test of the lab once per cluster that fits its module."""
    if "cluster" not in metafunc.fixturenames:
        return
    wanted = getattr(metafunc.module, "HIGHLY_AVAILABLE", None)
    names = [name for name in wanted_clusters() if wanted in (None, Laboratory(name).highly_available)]
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
