"""Kernel modules: loaded, built in, loadable, missing."""

import kaas_kernel
import pytest


@pytest.mark.parametrize(
    ("module", "there"),
    [
        pytest.param("proc", True, id="a file system that is built in"),
        pytest.param("no_such_module", False, id="none"),
        pytest.param("with_evidence", True, id="told by what it provides"),
    ],
)
def test_present(monkeypatch, module, there):
    monkeypatch.setitem(kaas_kernel.EVIDENCE, "with_evidence", "/proc/sys/kernel")
    assert kaas_kernel.present(module) is there


def test_load(played):
    played("modprobe", "echo 'FATAL: Module not found' >&2; exit 1")
    assert kaas_kernel.load("no_such_module") == "modprobe no_such_module: FATAL: Module not found"
    # What is built in needs no file that modprobe could find.
    assert kaas_kernel.load("proc") is None
    played("modprobe")
    assert kaas_kernel.load("no_such_module") is None
    assert played.calls()[-1] == "modprobe no_such_module"


@pytest.mark.parametrize(
    ("found", "version", "older"),
    [
        ("5.9.16", "5.10", True),
        ("5.10.0-8-amd64", "5.10", False),
        ("5.10", "5.10.3", True),
        ("6.1.0-18-amd64", "5.10", False),
        ("4.19", "5", True),
    ],
)
def test_versions_are_numbers(found, version, older):
    assert kaas_kernel.older(found, version) is older


def test_the_running_kernel():
    assert kaas_kernel.older(kaas_kernel.release(), "3.0") is False
