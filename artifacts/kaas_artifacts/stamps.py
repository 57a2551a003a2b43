"""What is finished: a stamp names the build key and the files with size and sha256. No stamp, no finished file."""
from __future__ import annotations

import functools
import hashlib
import json
import os
from pathlib import Path
from typing import Any

FORMAT = 1      # raise it when the builder changes what it makes from the same inputs


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's content; read once per process as long as the file stays what it is."""
    status = path.stat()
    return _sha256(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@functools.lru_cache(maxsize=4096)
def _sha256(path: Path, _inode: int, _size: int, _mtime: int, _ctime: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def key_of(inputs: dict[str, Any]) -> str:
    """Build key: hex sha256 over the inputs as canonical JSON. Equal inputs in any order give an equal key."""
    text = json.dumps({"format": FORMAT, **inputs}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write_atomic(path: Path, text: str) -> None:
    """Replace a file whole: a reader (or a crash) sees the old or the new content, never a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def describe(path: Path) -> dict[str, Any]:
    """{sha256, size} of a file."""
    return {"sha256": sha256_file(path), "size": path.stat().st_size}


def read(path: Path) -> dict[str, Any] | None:
    """A stamp, or None when it is missing or is not a whole stamp."""
    try:
        stamp = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(stamp, dict) or not isinstance(stamp.get("files"), dict):
        return None
    return stamp


def files_match(files: dict[str, dict[str, Any]], base: Path) -> bool:
    """Whether each file {path relative to base: {sha256, size}} is there, whole. Size first: it is free."""
    if not files:
        return False
    for name, recorded in files.items():
        path = base / name
        if not path.is_file() or path.stat().st_size != recorded.get("size"):
            return False
    return all(sha256_file(base / name) == recorded.get("sha256") for name, recorded in files.items())


def is_current(stamp: dict[str, Any] | None, key: str, base: Path) -> bool:
    """Whether a stamp speaks for this key and its files are still what it says."""
    return stamp is not None and stamp.get("key") == key and files_match(stamp["files"], base)


def path_of(state: Path, name: str) -> Path:
    """Where the stamp of a unit or image lies."""
    return state / "stamps" / f"{name}.json"


def dump(data: Any) -> str:
    """JSON as people read it, keys in order, with a last newline."""
    return json.dumps(data, indent=1, sort_keys=True) + "\n"
