"""Put a downloaded file (a chart, a release manifest, a program) into the repository, beside what is built."""
from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from . import index, stamps
from .cli import ROOT, locked, say
from .errors import BuildError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")       # one path element; no `..`, nothing hidden
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def platform() -> str:
    """`linux-amd64` of this machine; needs no Go."""
    machine = os.uname().machine
    return f"linux-{MACHINES.get(machine, machine)}"


def add(component: str, version: str, source: Path, *, out: Path, name: str = "", sha256: str = "",
        where: str = "", replace: bool = False) -> str:
    """Copy `source` to `<component>/<version>/<platform>/<name>` and into the index; its sha256.

    The sum is that of the copy, compared with `sha256` when that is given. BuildError: bad names, another sum, a file
    that the builder makes, or another content under the same name without `replace`.
    """
    name, where = name or source.name, where or platform()
    for part in (component, version, name, where):
        if not NAME.fullmatch(part):
            raise BuildError(f"{part!r} can't be a part of the repository's paths: letters, digits, . _ + - alone")
    if sha256 and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise BuildError(f"{sha256!r} is no sha256: 64 hexadecimal digits")
    state, path = out / ".state", f"{component}/{version}/{where}/{name}"
    stamp_path = stamps.path_of(state, f"added-{component}-{version}-{where}-{name}")
    with locked(state):
        if not stamp_path.is_file() and any(path in stamp["files"] for stamp in index.valid_stamps(state, out)):
            raise BuildError(f"{path} is made by artifacts/build")
        (state / "tmp").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="add.", dir=state / "tmp") as work:
            copy = Path(work) / name
            try:
                shutil.copyfile(source, copy)
            except OSError as err:
                raise BuildError(f"{source}: {err.strerror}") from err
            facts = stamps.describe(copy)
            if sha256 and facts["sha256"] != sha256:
                raise BuildError(f"{source} has sha256 {facts['sha256']}, wanted was {sha256}: not added")
            old = stamps.read(stamp_path)
            if old and old["files"].get(path, facts) != facts and not replace:
                raise BuildError(f"{path} is there with sha256 {old['files'][path]['sha256']}; --replace changes it "
                                 "for every cluster that installs it")
            copy.chmod(0o644)
            with copy.open("rb") as stream:
                os.fsync(stream.fileno())
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            copy.replace(out / path)
        stamp = {"key": facts["sha256"], "name": component, "version": version, "files": {path: facts}}
        stamps.write_atomic(stamp_path, stamps.dump(stamp))
        index.write(out, state)
    return str(facts["sha256"])


def main(argv: list[str] | None = None) -> int:
    """Entry point; 1 when the file was not added."""
    parser = argparse.ArgumentParser(
        prog="artifacts/add", description="Put a downloaded file into the artifact repository (docs/artifacts.md).")
    parser.add_argument("component")
    parser.add_argument("version")
    parser.add_argument("file", type=Path)
    parser.add_argument("--sha256", default="", help="what the file must have, from its project's release page")
    parser.add_argument("--name", default="", help="name in the repository; default: the file's own")
    parser.add_argument("--platform", default="", help="default: this machine's (linux-amd64)")
    parser.add_argument("--replace", action="store_true", help="although another file has this place")
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=ROOT / "build" / "artifacts",
                        help="the repository")
    args = parser.parse_args(argv)
    try:
        found = add(args.component, args.version, args.file, out=args.out.resolve(), name=args.name,
                    sha256=args.sha256.lower(), where=args.platform, replace=args.replace)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    say(f"{args.component}/{args.version}/{args.platform or platform()}/{args.name or args.file.name}: sha256 {found}"
        + ("" if args.sha256 else " (of the file as it is: compare it with the project's release page)"))
    return 0
