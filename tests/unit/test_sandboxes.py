"""The units that have an account of their own stand whole in their state files; here they are kept alike."""

import re

import formula
import pytest

PROGRAMS = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
# What a unit needs beyond the others, and why nothing of it can go.
OWN = {
    "etcd": {"ReadWritePaths=/var/lib/etcd"},
    "kube-apiserver": {"LogsDirectory=kubernetes", "LogsDirectoryMode=0700", "SystemCallFilter=@chown"},
    "kube-controller-manager": {"LoadCredential=sa.key:{{ pki }}/sa.key"},
    "kube-scheduler": set(),
}
SANDBOX = re.compile(
    r"^(UMask|NoNewPrivileges|\w*Capabilit\w*|Lock\w+|Memory\w+|Private\w+|Protect\w+|Remove\w+|Restrict\w+|SystemCall\w+|ReadWrite\w+"
    r"|LogsDirectory\w*|LoadCredential|StateDirectory\w*)="
)


def sandbox(program):
    """The lines of a unit that confine it."""
    lines = (formula.ROOT / "salt" / program / "configured.sls").read_text(encoding="utf-8").splitlines()
    return {line.strip() for line in lines if SANDBOX.match(line.strip())}


@pytest.mark.parametrize("program", PROGRAMS)
def test_sandboxes_are_alike(program):
    assert sandbox(program) - OWN[program] == sandbox("kube-scheduler")
    assert OWN[program] <= sandbox(program)


def test_the_sandbox_is_a_full_one():
    wanted = {
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "SystemCallFilter=@system-service",
    }
    assert wanted <= sandbox("kube-scheduler") and len(sandbox("kube-scheduler")) > 20


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_runs_as_its_account(program):
    """The unit's user is the program's, and the program's keys are given to it."""
    text = (formula.ROOT / "salt" / program / "configured.sls").read_text(encoding="utf-8")
    assert re.findall(r"^ +User=(.+)$", text, re.MULTILINE) == [program]
    assert f"user: account {program}\n" in text
