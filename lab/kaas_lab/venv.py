"""Python environments under build/, made from the dependency groups of pyproject.toml (Debian's pip has no --group)."""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

from . import stamp
from .errors import LabError
from .paths import BUILD, ROOT
from .run import environment, run

FOLDERS = {"runtime": "runtime-venv", "test": "venv", "mutation": "mutation-venv", "lint": "lint-venv"}


def requirements(groups: dict[str, Any], name: str) -> list[str]:
    """The pinned requirements of a dependency group, with included groups resolved, in order, each once."""
    if name not in groups:
        raise LabError(f"pyproject.toml: no dependency group {name!r}; it has: {', '.join(sorted(groups))}")
    found: list[str] = []
    for item in groups[name]:
        found += [item] if isinstance(item, str) else requirements(groups, item["include-group"])
    return list(dict.fromkeys(found))


def group(name: str) -> list[str]:
    """The requirements of a dependency group of this project."""
    return requirements(tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"], name)


def interpreter() -> str:
    """A Python 3.11, the version of the nodes: the wheels built with it are installed there."""
    candidates = [sys.executable, "/usr/bin/python3", shutil.which("python3.11", path=environment()["PATH"])]
    probe = "import sys, ensurepip; print(sys.version_info[:2] == (3, 11))"
    for candidate in filter(None, candidates):
        if run([candidate, "-c", probe], check=False).stdout.strip() == "True":
            return candidate
    raise LabError(
        "no Python 3.11 with venv found (the nodes are Debian 12): install python3 and python3-venv of Debian 12"
    )


def ensure(name: str) -> Path:
    """Make or renew the environment of a group; returns its folder.

    Re-made only when a pin or the interpreter changed.
    """
    folder = BUILD / FOLDERS[name]
    pins = group(name)
    python = interpreter()
    wanted = stamp.key([name, "3.11", *pins])
    if stamp.is_current(folder, wanted):
        return folder
    # a virtual environment holds its own path, so it can't be built elsewhere and renamed: the stamp alone says that
    # it is whole
    stamp.stamp_of(folder).unlink(missing_ok=True)
    stamp.remove(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run([python, "-m", "venv", folder], timeout=120)
    run([folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *pins], timeout=1200)
    stamp.stamp_of(folder).write_text(wanted + "\n")
    return folder
