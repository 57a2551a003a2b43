"""Verified files in versioned folders, switched by symbolic links.

Layout: ``<store>/<component>/<version>/<file>`` and ``.installed.json`` beside the files, which remembers for each what
it was verified as and how it looked then (size, mtime, inode, mode). The quick check compares that; :func:`verify`
hashes.
"""

import contextlib
import glob
import hashlib
import http.client
import json
import os
import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.request

import yaml

STORE = "/opt/kaas"
RECORD = ".installed.json"
PART = ".part-"
CHUNK = 1 << 20
TRIES = 4
# Published checksums are small files; the index of a chart repository has every version that there ever was.
LARGEST_CHECKSUMS = 1 << 26


class Mismatch(ValueError):
    """A file is not what its checksum says."""


def folder(component, version, store=STORE):
    """Return the folder of a component's version."""
    return os.path.join(store, component, str(version))


def load_record(path):
    """Return ``{file: {...}}`` of a version's folder; empty when there is none or it is damaged."""
    try:
        with open(os.path.join(path, RECORD), encoding="utf-8") as handle:
            return json.load(handle)
    except (OSError, ValueError):
        return {}


def look(path):
    """Return ``[size, mtime_ns, inode, mode]`` of a file, or None."""
    try:
        stat = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_mode]


def identity(entry):
    """Return what identifies the wanted content: its sha256 where known, else where it comes from."""
    return entry.get("sha256") or entry["url"]


def missing(files, path):
    """Return the entries of ``files`` that ``path`` does not hold as recorded (quick check)."""
    record = load_record(path)
    return [
        entry
        for entry in files
        if (known := record.get(entry["name"])) is None
        or known["identity"] != identity(entry)
        or known["look"] != look(os.path.join(path, entry["name"]))
    ]


def sha256_file(path):
    """Return the sha256 of a file, in hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def verify(files, path):
    """Return problems found by hashing every file again (tampering that restores size and times is seen only here)."""
    record = load_record(path)
    problems = []
    for entry in files:
        target = os.path.join(path, entry["name"])
        expected = record.get(entry["name"], {}).get("sha256") or entry.get("sha256")
        if not os.path.isfile(target):
            problems.append(f"{target} is missing")
        elif expected and (actual := sha256_file(target)) != expected:
            problems.append(f"{target}: expected sha256 {expected}, found {actual}")
    return problems


def _open(url):
    """Open a URL, trying again for connection errors and answers that pass (429, 5xx)."""
    for attempt in range(1, TRIES + 1):
        try:
            return urllib.request.urlopen(url, timeout=30)
        except urllib.error.HTTPError as error:
            if attempt == TRIES or (error.code != 429 and error.code < 500):
                raise OSError(f"{url}: HTTP {error.code} {error.reason}") from None
        except OSError as error:
            if attempt == TRIES:
                raise OSError(f"{url}: {getattr(error, 'reason', error)}") from None
        time.sleep(attempt)
    raise AssertionError("unreachable")


def stream(url, path):
    """Write what ``url`` serves to ``path``; return its sha256. One pass: hashed while it is written."""
    total = hashlib.sha256()
    with _open(url) as response, open(path, "wb") as handle:
        try:
            while chunk := response.read(CHUNK):
                total.update(chunk)
                handle.write(chunk)
        except http.client.HTTPException as error:
            raise OSError(f"{url}: broke off: {error}") from None
    return total.hexdigest()


def published_checksum(text, name):
    """Return the sha256 of ``name`` from a published checksum file: a bare sum, or lines of ``SUM  NAME``."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    for words in lines:
        if len(words) >= 2 and words[-1].lstrip("*").rsplit("/", 1)[-1] == name:
            return words[0].lower()
    if len(lines) == 1 and len(lines[0]) == 1:
        return lines[0][0].lower()
    raise Mismatch(f"the published checksums do not name {name}")


def chart_checksum(text, name):
    """Return the sha256 of the chart file ``name`` from the index of a chart repository (``index.yaml``)."""
    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        releases = [release for one in document["entries"].values() for release in one]
    except (yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise Mismatch(f"the index of the chart repository can't be read: {error}") from None
    for release in releases:
        if release.get("digest") and any(url.rsplit("/", 1)[-1] == name for url in release.get("urls") or []):
            return str(release["digest"]).lower().removeprefix("sha256:")
    raise Mismatch(f"the index of the chart repository does not name {name} with its digest")


def _expected(entry):
    """Return the sha256 that the download must have."""
    if "sha256" in entry:
        return entry["sha256"]
    with _open(entry["checksum"]) as response:
        text = response.read(LARGEST_CHECKSUMS).decode(errors="replace")
    name = entry["url"].rsplit("/", 1)[-1]
    return chart_checksum(text, name) if entry["checksum"].endswith("/index.yaml") else published_checksum(text, name)


def fetch(files, path):
    """Download ``files`` (entries ``{name, url, sha256 | checksum, member?}``) into ``path``.

    A file appears under its name only when its checksum is right; on an error nothing that was there before has
    changed. Raises :class:`Mismatch` (file, expected, actual) or OSError (URL, reason).
    """
    os.makedirs(path, mode=0o755, exist_ok=True)
    record = load_record(path)
    # What a killed run left: it could not clean up, and one highstate at a time runs on a node.
    for left in glob.glob(os.path.join(glob.escape(path), f"{PART}*")):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=PART, dir=path) as scratch:
        by_url: dict[str, list[dict]] = {}
        for entry in files:
            by_url.setdefault(entry["url"], []).append(entry)
        ready = []
        for url, entries in by_url.items():
            expected = _expected(entries[0])
            download = os.path.join(scratch, "download")
            actual = stream(url, download)
            if actual != expected:
                raise Mismatch(f"{url}: expected sha256 {expected}, actual {actual}; nothing was changed")
            for entry in entries:
                ready.append((entry, *_take_out(entry, url, download, actual, scratch)))
        for entry, source, digest in ready:
            target = os.path.join(path, entry["name"])
            os.chmod(source, 0o755)
            os.replace(source, target)
            record[entry["name"]] = {"identity": identity(entry), "sha256": digest, "look": look(target)}
        _write_json(os.path.join(path, RECORD), record)


def _take_out(entry, url, download, digest, scratch):
    """Return ``(path, sha256)`` of one wanted file out of a verified download."""
    target = os.path.join(scratch, f"ready-{entry['name']}")
    if "member" not in entry:
        os.replace(download, target)
        return target, digest
    with tarfile.open(download) as archive:
        try:
            member = archive.extractfile(entry["member"])
        except KeyError:
            member = None
        if member is None:
            raise Mismatch(f"{url}: holds no file {entry['member']}")
        with member, open(target, "wb") as handle:
            shutil.copyfileobj(member, handle, CHUNK)
    return target, sha256_file(target)


def _write_json(path, data):
    with open(f"{path}.new", "w", encoding="utf-8") as handle:
        json.dump(data, handle, indent=1, sort_keys=True)
    os.replace(f"{path}.new", path)


def unlinked(files, path, bin_dir):
    """Return the names whose link in ``bin_dir`` does not lead into ``path``."""
    found = []
    for entry in files:
        link = os.path.join(bin_dir, entry["name"])
        if not os.path.islink(link) or os.readlink(link) != os.path.join(path, entry["name"]):
            found.append(entry["name"])
    return found


def link(names, path, bin_dir):
    """Point the links of ``names`` in ``bin_dir`` into ``path``, each in one step (rename over the old link)."""
    os.makedirs(bin_dir, mode=0o755, exist_ok=True)
    for name in names:
        fresh = os.path.join(bin_dir, f".{name}.new")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
        os.symlink(os.path.join(path, name), fresh)
        os.replace(fresh, os.path.join(bin_dir, name))


def versions(component, store=STORE):
    """Return the installed versions of a component, the last installed first."""
    root = os.path.join(store, component)
    if not os.path.isdir(root):
        return []
    found = [name for name in os.listdir(root) if os.path.exists(os.path.join(root, name, RECORD))]
    return sorted(found, key=lambda name: os.stat(os.path.join(root, name, RECORD)).st_mtime, reverse=True)


def remove(component, version, store=STORE):
    """Remove one version's folder."""
    shutil.rmtree(folder(component, version, store))


def remove_links(component, bin_dir, store=STORE):
    """Remove the links in ``bin_dir`` that lead into the component's folder; return their names."""
    root = os.path.join(store, component) + os.sep
    gone = []
    for name in os.listdir(bin_dir) if os.path.isdir(bin_dir) else []:
        path = os.path.join(bin_dir, name)
        if os.path.islink(path) and os.readlink(path).startswith(root):
            os.unlink(path)
            gone.append(name)
    return gone
