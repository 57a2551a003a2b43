"""Shared by the unit tests."""

import os

import pytest


class Played:
    """Programs of the tests' own, found first in PATH; ``calls()``: how they were called."""

    def __init__(self, folder):
        self.folder, self._log = folder, folder / "calls"

    def __call__(self, name, script=""):
        """Make a program of a shell script; return its path."""
        path = self.folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {self._log}\n{script}\n')
        path.chmod(0o755)
        return str(path)

    def calls(self):
        """Return the command lines so far."""
        return self._log.read_text().splitlines() if self._log.exists() else []


@pytest.fixture
def played(tmp_path, monkeypatch):
    folder = tmp_path / "played"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return Played(folder)
