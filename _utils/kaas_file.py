"""
Small files that matter (keys, certificates): read without failing, written whole or not at all.
"""

import contextlib
import os
import tempfile
from pathlib import Path


def read(path, limit=1 << 20):
    """The text of a file (at most `limit` bytes), or None when it does not exist or is not text."""
    try:
        with Path(path).open("rb") as handle:
            return handle.read(limit).decode()
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return None


def write(path, text, *, mode=0o644, owner=(-1, -1), directory_mode=0o755):
    """
    Replace a file in one step: a reader sees the old text or the new one, and a crash leaves no half of it.

    Missing directories are made with `directory_mode`. `owner` is (uid, gid) in numbers; -1 keeps the writer's own.
    """
    make_directory(Path(path).parent, directory_mode)
    temporary = _staged(path, text, mode, owner)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink()
        raise


def write_once(path, text, mode=0o600):
    """Write a file only if there is none: True when this call made it. Of several writers exactly one wins."""
    temporary = _staged(path, text, mode, (-1, -1))
    try:
        Path(path).hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def make_directory(path, mode=0o755):
    """Make a directory and its parents; `mode` holds whatever the umask is, and only for those made here."""
    path = Path(path)
    for directory in reversed([path, *path.parents]):
        # Another writer may have been faster; then its mode counts.
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode)
            directory.chmod(mode)


def mode(path):
    """Permission bits of a file as a number, or None when there is none."""
    try:
        return Path(path).stat().st_mode & 0o7777
    except (FileNotFoundError, NotADirectoryError):
        return None


def owner(path):
    """``(uid, gid)`` of a file, or None when there is none."""
    try:
        found = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_uid, found.st_gid


def _staged(path, text, mode, owner):
    """The text in a temporary file beside `path`, safely on the disk."""
    path = Path(path)
    # mkstemp makes the file 0600: a key is never readable by others, not even for a moment.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fchown(handle.fileno(), *owner)
            os.fchmod(handle.fileno(), mode)
            os.fsync(handle.fileno())
    except BaseException:
        Path(temporary).unlink()
        raise
    return Path(temporary)
