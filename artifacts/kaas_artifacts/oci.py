"""Images: one deterministic layer, a configuration, an OCI layout. Same inputs, same digest, on any machine."""
from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from . import debs
from .errors import BuildError
from .recipes import Image

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
# not compressed: another zlib would mean another digest, and in a cluster's own network unpacking costs more than
# sending
LAYER = "application/vnd.oci.image.layer.v1.tar"
# the shape of a Debian machine since the merge of /usr; the packages' own files are put there (debs.merged)
MERGED = {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")}
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def contents(image: Image, artifacts: dict[str, Path], state: Path) -> dict[str, list[Path]]:
    """The files behind an image's packages and sources: {path in the image: files to be joined}.

    artifacts: {`<component>/<file>`: finished program}. BuildError names a source that is not there, or the package
    whose version is not the one that the image's reference promises.
    """
    found: dict[str, list[Path]] = {}
    if image.packages:
        versions = debs.with_libraries(list(image.packages), state)
        named = versions.get(image.version_of)
        if named and debs.upstream_version(named) != image.version:
            raise BuildError(f"images.yaml: {image.name}: this machine's Debian has {image.version_of} {named}, "
                             f"pillar/data/versions.yaml says {image.version}")
        found.update({f"/{name}": [path] for name, path in debs.tree(list(versions), state).items()})
    for target, source in image.files.items():
        kind, _, where = source.partition(":")
        if kind == "artifact":
            paths = [artifacts[where]] if where in artifacts else []
        elif kind in ("deb", "deb-concat"):
            package, _, inner = where.partition("/")
            base = debs.unpacked(package, state)
            paths = sorted(base.glob(inner)) if kind == "deb-concat" else [base / inner]
        else:
            raise BuildError(f"images.yaml: {image.name}: {target}: unknown kind of source {source!r}")
        if not paths or not all(path.is_file() for path in paths):
            raise BuildError(f"images.yaml: {image.name}: {target}: {source} is not there")
        found[target] = paths
    return found


def layer(files: dict[str, list[Path]], dirs: dict[str, str], links: dict[str, str] | None = None,
          texts: dict[str, str] | None = None) -> bytes:
    """A tar with these files, folders (and their parents) and links: sorted, owner 0:0, time 0; programs 0755, others
    0644.

    links: {path: where it points}. texts: {path: content}. A file that is a symbolic link stays one.
    """
    entries: dict[str, tuple[int, list[Path] | str | bytes | None]] = {}
    for name, mode in dirs.items():
        entries[name.strip("/")] = (int(mode, 8), None)
    for name, paths in files.items():
        if len(paths) == 1 and paths[0].is_symlink():
            entries[name.strip("/")] = (0o777, os.readlink(paths[0]))
            continue
        program = len(paths) == 1 and paths[0].stat().st_mode & 0o111
        entries[name.strip("/")] = (0o755 if program else 0o644, paths)
    entries.update({name.strip("/"): (0o644, text.encode()) for name, text in (texts or {}).items()})
    entries.update({name.strip("/"): (0o777, target) for name, target in (links or {}).items()})
    for name in list(entries):
        for parent in PurePosixPath(name).parents:
            if str(parent) != ".":
                entries.setdefault(str(parent), (0o755, None))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(entries):
            mode, sources = entries[name]
            info = tarfile.TarInfo(name)
            info.mode = mode
            if sources is None:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            elif isinstance(sources, str):
                info.type, info.linkname = tarfile.SYMTYPE, sources
                archive.addfile(info)
            else:
                data = sources if isinstance(sources, bytes) else b"".join(path.read_bytes() for path in sources)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _blob(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": "sha256:" + hashlib.sha256(data).hexdigest(), "size": len(data)}


def _json(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def write_layout(image: Image, files: dict[str, list[Path]], architecture: str, target: Path) -> str:
    """Write the image as an OCI layout folder; its manifest's digest (`sha256:...`)."""
    tar = layer(files, image.dirs, {**(MERGED if image.packages else {}), **image.links}, image.texts)
    run: dict[str, Any] = {"Env": [DEFAULT_PATH, *(f"{key}={value}" for key, value in sorted(image.env.items()))]}
    for key, value in (("Entrypoint", list(image.entrypoint)), ("Cmd", list(image.cmd)), ("User", image.user),
                       ("WorkingDir", image.workdir)):
        if value:
            run[key] = value
    layer_blob = _blob(LAYER, tar)
    config = _json({"architecture": architecture, "os": "linux", "created": "1970-01-01T00:00:00Z", "config": run,
                    "rootfs": {"type": "layers", "diff_ids": [layer_blob["digest"]]},
                    "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "kaas artifacts/build"}]})
    manifest = _json({"schemaVersion": 2, "mediaType": MANIFEST, "config": _blob(CONFIG, config),
                      "layers": [layer_blob]})
    entry = {**_blob(MANIFEST, manifest), "platform": {"architecture": architecture, "os": "linux"}}
    blobs = target / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for data in (tar, config, manifest):
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
    (target / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    (target / "index.json").write_bytes(_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}))
    return entry["digest"]
