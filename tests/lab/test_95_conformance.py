"""A short selection of the release's own conformance tests (docs/conformance.md); all of them: `make conformance`."""

import conformance
import pytest
from polling import NotYet, eventually

# One cluster is enough: the tests look at Kubernetes, not at its topology.
HIGHLY_AVAILABLE = True


@pytest.fixture(scope="module")
def built():
    """The folder with the tests; they take minutes to build and are no part of a cluster."""
    found = conformance.repository()
    if not found:
        pytest.skip("the conformance tests are not built (make test-all, or artifacts/build --with conformance)")
    return found[min(found)]


def test_a_selection_of_the_conformance_tests_passes(cluster, built):
    table = conformance.load()
    focus, skip = conformance.patterns(table, "quick")
    report = conformance.BUILD / "conformance" / f"quick-{cluster.name}.xml"
    text = conformance.run(built, cluster.kubeconfig, report, focus, skip, limit=1200)
    ran = {name: found for name, found in conformance.outcomes(text).items() if found[0] != "skipped"}
    assert len(ran) >= len(table["quick"]), sorted(ran)
    assert {name: found for name, found in ran.items() if found[0] == "failed"} == {}


def test_nothing_of_them_is_left(cluster):
    """The tests take their namespaces away."""

    def gone():
        names = [item["metadata"]["name"] for item in cluster.get("namespaces", "-l", "e2e-framework")["items"]]
        if names:
            raise NotYet(f"namespaces {names}")
        return True

    eventually(gone, 120, "the tests' namespaces to be gone")
    assert cluster.highstate(test=True).assert_clean()
