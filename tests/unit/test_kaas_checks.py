"""The corpus of bad cluster files: each is refused with exactly what its case says; and how checks are acknowledged."""

import clusterfiles
import kaas_checks
import pytest
import yaml


def cases(name):
    """Return the cases of a table of the corpus."""
    table = yaml.safe_load((clusterfiles.CORPUS / name).read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["name"]) for case in table]


def document(case):
    """Return good.sls as the case changes it."""
    return clusterfiles.patched(clusterfiles.good(), {**case.get("file", {}), "cluster": case.get("change", {})})


@pytest.fixture(scope="module")
def known():
    return clusterfiles.known()


def said(folder, known, content, neighbours=()):
    return clusterfiles.said(folder, content, neighbours, {**known, "read": {}})


def test_what_all_cases_are_changes_of_is_valid(tmp_path, known):
    text = (clusterfiles.CORPUS / "good.sls").read_text(encoding="utf-8")
    cluster, lines = said(tmp_path, known, text, [clusterfiles.CORPUS / "neighbour.sls"])
    assert cluster and lines == []


@pytest.mark.parametrize("case", cases("yaml.yaml"))
def test_traps_of_yaml(tmp_path, known, case):
    cluster, lines = said(tmp_path, known, case["text"])
    assert lines == case["says"]
    assert cluster is None


@pytest.mark.parametrize("case", cases("schema.yaml"))
def test_what_the_schema_refuses(tmp_path, known, case):
    cluster, lines = said(tmp_path, known, document(case))
    assert lines == case["says"]
    assert cluster is None


@pytest.mark.parametrize("case", cases("checks.yaml"))
def test_what_the_checks_find(tmp_path, known, case):
    neighbour = clusterfiles.CORPUS / "neighbour.sls"
    if "neighbour" in case:
        changed = clusterfiles.patched(
            yaml.safe_load(neighbour.read_text(encoding="utf-8")), {"cluster": case["neighbour"]}
        )
        neighbour = tmp_path / "neighbour.sls"
        neighbour.write_text(yaml.safe_dump(changed), encoding="utf-8")
    cluster, lines = said(tmp_path, known, document(case), [neighbour])
    assert lines == case["says"]
    assert (cluster is None) is any(not line.startswith("warning: ") for line in lines)


def test_every_check_has_a_case():
    found = "\n".join(line for case in cases("checks.yaml") for line in case.values[0]["says"])
    missing = [name for name in kaas_checks.CHECKS if f"({name})" not in found]
    assert missing == []


def test_the_corpus_is_large():
    assert sum(len(cases(name)) for name in ("yaml.yaml", "schema.yaml", "checks.yaml")) >= 60
