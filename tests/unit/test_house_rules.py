"""Rules that no linter knows: each is a trap somebody fell into."""

import re

import formula
import pytest

PYTHON = [
    path for folder in ("_engines", "_modules", "_states", "_utils", "_pillar", "_runners") for path in (formula.ROOT / folder).glob("*.py")
]  # fmt: skip
STATES = [path for path in (formula.ROOT / "salt").rglob("*.sls") if not path.relative_to(formula.ROOT).parts[1].startswith("_")]  # fmt: skip
# What a state file must not do, and why.
FORBIDDEN_IN_STATES = {
    r"\b(cmd|module)\.(run|wait|script)\b": "always `changed`, no true test=True: write or use a real state",
    r"grains\[?['\".]*(roles|kaas|cluster)": "a minion writes its own grains",
    r"salt\['mine\.|mine\.get": "the mine is readable by every minion",
    r"salt\['kaas_": "custom modules may not be synced yet when the file renders",
    r"salt\['pillar\.get'\]": "a missing key must be an error: pillar.kaas is asserted by the top file",
}
FOLDERS = sorted({path.parent for path in STATES if path.name == "running.sls"})


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_python_reads_pillar_unmasked(path):
    """Salt 3008 masks what `pillar.get` returns: a module would write asterisks."""
    assert not re.search(r"__salt__\[.pillar\.(get|items|item|raw)", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", STATES, ids=lambda path: str(path.relative_to(formula.ROOT)))
def test_state_files_keep_the_rules(path):
    text = path.read_text(encoding="utf-8")
    found = [why for pattern, why in FORBIDDEN_IN_STATES.items() if re.search(pattern, text)]
    assert found == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(formula.ROOT)))
def test_what_can_run_can_be_taken_away(folder):
    """One shape for all components, and an undo for each."""
    names = {path.stem for path in folder.glob("*.sls")}
    assert {"installed", "configured", "running", "absent"} <= names


def test_no_secret_lies_where_every_minion_reads():
    """`cp.get_file` gives every minion every file of the file_roots."""
    for path in (formula.ROOT / "salt").rglob("*"):
        if path.is_file():
            assert path.suffix not in (".key", ".pem", ".crt")
            assert b"PRIVATE KEY-----\n" not in path.read_bytes()


def test_only_secret_writing_states_hold_secrets_and_hide_them():
    """A state that writes a secret must not print its diff."""
    for path in STATES:
        for block in re.split(r"\n(?=\S)", path.read_text(encoding="utf-8")):
            if re.search(r"kaas\.secrets\.|key\.key", block) and block[:2] != "{%":
                assert "show_changes: False" in block, f"{path}: {block.splitlines()[0]}"
