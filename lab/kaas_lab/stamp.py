"""Stamps: what was built from which inputs, so that it is built again when an input changes and only then.

A product counts as built when the file `<product>.stamp` holds the key of its inputs. The stamp is written last, and
products are built under another name and renamed, so that a killed run never leaves something that looks finished.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path


def key(texts: Iterable[str] = (), files: Iterable[Path] = ()) -> str:
    """Hash of texts, and of the names and contents of files and folders (hex, 16 digits).

    The order of `files` does not matter.
    """
    digest = hashlib.sha256()
    for text in texts:
        digest.update(b"text\0" + text.encode() + b"\0")
    # sorted by what they are, not by where the repository lies: clones share caches
    for entry in sorted(_entries(files)):
        digest.update(b"file\0" + entry)
    return digest.hexdigest()[:16]


def _entries(files: Iterable[Path]) -> Iterable[bytes]:
    for root in files:
        for path in root.rglob("*") if root.is_dir() else [root]:
            if path.is_file():
                name = path.relative_to(root.parent).as_posix()
                mode = b"x" if os.access(path, os.X_OK) else b"-"
                yield name.encode() + b"\0" + mode + hashlib.sha256(path.read_bytes()).digest()


def stamp_of(product: Path) -> Path:
    """The stamp file of a product."""
    return product.with_name(product.name + ".stamp")


def is_current(product: Path, wanted: str) -> bool:
    """True when the product exists and was built from the inputs with this key."""
    stamp = stamp_of(product)
    return product.exists() and stamp.is_file() and stamp.read_text().strip() == wanted


def build(product: Path, wanted: str, make: Callable[[Path], None]) -> bool:
    """Build a product unless it is current.

    `make` gets a temporary path and fills it. Returns True when something was built.
    """
    if is_current(product, wanted):
        return False
    product.parent.mkdir(parents=True, exist_ok=True)
    partial = product.with_name(product.name + ".partial")
    remove(partial)
    make(partial)
    stamp_of(product).unlink(missing_ok=True)
    remove(product)
    partial.rename(product)
    stamp_of(product).write_text(wanted + "\n")
    return True


def remove(path: Path) -> None:
    """Remove a file or a folder, if there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
