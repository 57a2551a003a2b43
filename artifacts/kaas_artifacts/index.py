"""index.json and SHA256SUMS: what the repository holds, from the stamps whose files are whole."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from . import stamps


def valid_stamps(state: Path, out: Path) -> list[dict[str, Any]]:
    """Stamps whose files are there as recorded, whatever run made them."""
    found = [stamps.read(path) for path in sorted((state / "stamps").glob("*.json"))]
    return [stamp for stamp in found if stamp and stamps.files_match(stamp["files"], out)]


def content(found: list[dict[str, Any]]) -> dict[str, Any]:
    """{"artifacts": {name: {version: {platform: {file: {sha256, size}}}}}, "images": {ref: {digest}}}."""
    index: dict[str, Any] = {"artifacts": {}, "images": {}}
    for stamp in found:
        if "image" in stamp:
            index["images"][stamp["image"]] = {"digest": stamp["digest"]}
            continue
        for path, facts in stamp["files"].items():
            name, version, platform, file = path.split("/")
            files = index["artifacts"].setdefault(name, {}).setdefault(version, {}).setdefault(platform, {})
            files[file] = {"sha256": facts["sha256"], "size": facts["size"]}
    return index


def checksums(index: dict[str, Any]) -> str:
    """The programs of an index as `sha256sum -c` reads them, in the order of their paths."""
    lines = [(f"{name}/{version}/{platform}/{file}", facts["sha256"])
             for name, versions in index["artifacts"].items() for version, platforms in versions.items()
             for platform, files in platforms.items() for file, facts in files.items()]
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(lines))


def write(out: Path, state: Path) -> dict[str, Any]:
    """Bring both files up to date (each replaced whole, and only when it differs); the index."""
    index = content(valid_stamps(state, out))
    for name, text in (("SHA256SUMS", checksums(index)), ("index.json", stamps.dump(index))):
        path = out / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stamps.write_atomic(path, text)
    return index
