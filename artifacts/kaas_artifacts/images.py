"""Put images together and into the registry's storage; one stamp each, like the programs'."""
from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from . import oci, registry, stamps
from .recipes import Image


def key_of(image: Image, files: dict[str, list[Path]], architecture: str) -> str:
    """Build key of an image: its recipe and the content of its files."""
    sums = {target: [_content(path) for path in paths] for target, paths in files.items()}
    return stamps.key_of({"image": dataclasses.asdict(image), "architecture": architecture, "files": sums})


def _content(path: Path) -> str:
    return f"link {os.readlink(path)}" if path.is_symlink() else stamps.sha256_file(path)


def make(image: Image, files: dict[str, list[Path]], architecture: str, *, out: Path, state: Path, crane: Path,
         address: str) -> dict[str, Any]:
    """Write, push and stamp one image; the stamp."""
    (state / "tmp").mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{image.id}.", dir=state / "tmp"))
    digest = oci.write_layout(image, files, architecture, work / "layout")
    registry.push(crane, work / "layout", image, address)
    root = out / "registry"
    stored = {str(path.relative_to(out)): stamps.describe(path) for path in registry.stored_files(root, image, digest)}
    shutil.rmtree(work)
    stamp = {"key": key_of(image, files, architecture), "image": image.ref, "digest": digest, "files": stored}
    stamps.write_atomic(stamps.path_of(state, image.id), stamps.dump(stamp))
    return stamp
