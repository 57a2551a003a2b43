"""Wheels of Salt and of everything that it needs, built once on the host and installed without network in the node
image.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from . import stamp, venv
from .paths import CACHE
from .run import run


def folder() -> Path:
    """Where the wheels lie."""
    return CACHE / "wheels"


def build() -> bool:
    """Build the wheels of the dependency group "runtime" unless they are there; True when something was built."""
    pins = venv.group("runtime")
    python = venv.interpreter()
    wanted = stamp.key(["3.11", *pins])
    return stamp.build(folder(), wanted, lambda partial: _make(python, pins, partial))


def _make(python: str, pins: list[str], target: Path) -> None:
    target.mkdir()
    scratch = tempfile.mkdtemp(prefix="kaas-wheels-")
    try:
        run([python, "-m", "venv", scratch], timeout=120)
        pip = Path(scratch) / "bin" / "pip"
        # one of Salt's dependencies has no wheel of its own: this needs a compiler, once
        run([pip, "wheel", "--quiet", "--disable-pip-version-check", "--wheel-dir", target, *pins], timeout=1500)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
