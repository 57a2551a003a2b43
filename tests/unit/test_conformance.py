"""How reports of the conformance tests are read, and that docs/conformance.md tells what the record holds."""

import re

import conformance
import pytest
import yaml

TABLE = conformance.load()


def case(name, status="passed", body="", seconds="1.5"):
    return f'<testcase name="{name}" status="{status}" time="{seconds}">{body}</testcase>'


def junit(*cases):
    return f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"


ONE = "[It] [sig-apps] Job should run [Conformance] [sig-apps, Conformance]"
TWO = "[It] [sig-node] Pods should stop [LinuxOnly] [NodeConformance] [Conformance] [sig-node, NodeConformance, Conformance]"


def test_outcomes_are_those_of_conformance_tests_alone():
    found = conformance.outcomes(junit(
        case(ONE), case(TWO, "failed", '<failure message="timed out">long</failure>'),
        case("[It] [sig-apps] Job other [sig-apps]"), case("[SynchronizedBeforeSuite] [Conformance]")))
    assert found == {
        "[sig-apps] Job should run": ("passed", 1.5, ""), "[sig-node] Pods should stop": ("failed", 1.5, "timed out")}


@pytest.mark.parametrize(("status", "judgement"), [
    ("passed", "passed"), ("skipped", "skipped"), ("failed", "failed"), ("panicked", "failed"), ("timedout", "failed"),
    ("interrupted", "failed"), ("", "failed"),
])
def test_whatever_is_not_known_to_have_passed_has_failed(status, judgement):
    assert conformance.outcomes(junit(case(ONE, status)))["[sig-apps] Job should run"][0] == judgement


@pytest.mark.parametrize(("status", "entries", "judgement"), [
    ("passed", [], "passed"), ("failed", [], "failed"), ("skipped", [], "not run"), ("skipped", [{"match": "Job"}], "left out"),
    ("passed", [{"match": "Job"}], "passed"),
])
def test_judgement(status, entries, judgement):
    assert conformance.judged({"[sig-apps] Job": (status, 1.0, "")}, entries) == {"[sig-apps] Job": judgement}


def test_a_later_run_adds_to_the_record():
    specs = {"a": "failed", "b": "not run", "c": "passed"}
    found = {"a": ("passed", 1.0, ""), "b": ("failed", 1.0, "x"), "c": ("skipped", 0.0, "")}
    assert conformance.merged(specs, found) == {"a": "passed", "b": "failed", "c": "passed"}


def test_an_entry_that_fits_no_test_is_an_error():
    with pytest.raises(ValueError, match="fits no test: Pods"):
        conformance.judged({"[sig-apps] Job": ("passed", 1.0, "")}, [{"match": "Pods"}])


def test_patterns():
    table = {"quick": ["Job should", "DNS"], "left_out": [{"match": "a"}, {"match": "b"}]}
    assert conformance.patterns(table) == (r"\[Conformance\]", "(a)|(b)")
    focus, skip = conformance.patterns(table, "quick")
    assert skip == "(a)|(b)"
    assert re.search(focus, "[sig-apps] Job should run [Conformance]") and not re.search(focus, "[sig-apps] Job should run")
    assert not re.search(focus, "Job may [Conformance]")


@pytest.mark.parametrize("skip", ["", "(a)"])
def test_command(tmp_path, skip):
    found = conformance.command(tmp_path, "/k", "focus", skip, tmp_path / "out" / "all.xml", processes=4)
    assert found[0] == f"{tmp_path}/ginkgo" and "--procs=4" in found and "--kubeconfig=/k" in found
    assert [word for word in found if word.startswith("--skip=")] == (["--skip=(a)"] if skip else [])
    assert found.index(f"{tmp_path}/e2e.test") < found.index("--") < found.index("--kubeconfig=/k")


def test_programs_that_are_built(tmp_path):
    assert conformance.repository(tmp_path) == {}
    folder = tmp_path / "1.36.3" / "linux-amd64"
    folder.mkdir(parents=True)
    assert conformance.repository(tmp_path) == {}
    (folder / "e2e.test").touch()
    assert conformance.repository(tmp_path) == {"1.36.3": folder}


def test_tables_count_and_give_reasons():
    record = {"kubernetes": "1.36.3", "cluster": "c", "specs": {
        "[sig-apps] Job": "passed", "[sig-apps] Cron": "left out", "[sig-node] Pods": "failed", "odd": "not run"}}
    text = conformance.tables(record, {"left_out": [{"match": "Cron", "reason": "slow"}], "failed": []})
    assert "| sig-apps | 2 | 1 | 0 | 1 | 0 |" in text and "| **all** | 4 | 1 | 1 | 1 | 1 |" in text
    assert "| [sig-apps] Cron | slow |" in text and "| [sig-node] Pods | not explained |" in text


@pytest.mark.parametrize("pattern", [entry["match"] for entry in TABLE["left_out"] + TABLE["failed"]] + TABLE["quick"])
def test_patterns_of_the_table_fit_tests_of_the_record(pattern):
    """The record names all conformance tests of the release."""
    assert [name for name in conformance.load(conformance.RECORD)["specs"] if re.search(pattern.replace(r" \[NodeConformance\]", ""), name)]


def test_every_entry_has_a_reason():
    assert all(len(entry["reason"]) > 10 for entry in TABLE["left_out"] + TABLE["failed"])


def test_page_tells_the_record():
    text = conformance.PAGE.read_text(encoding="utf-8")
    record = yaml.safe_load(conformance.RECORD.read_text(encoding="utf-8"))
    assert conformance.page(text, record, TABLE) == text, "make reference"
