"""Command line of the builder."""
from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import fcntl
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import gobuild, goenv, images, index, oci, registry, stamps
from .errors import BuildError
from .recipes import (
    Image,
    Unit,
    default_minor,
    load_images,
    load_recipes,
    load_versions,
    pick_minor,
    units_for,
)

ARTIFACTS = Path(__file__).resolve().parents[1]
ROOT = ARTIFACTS.parent
LOCK_LIMIT = 3600           # seconds to wait for another builder in the same folder
MEMORY_PER_JOB = 5          # GiB: linking a Kubernetes program takes 2 to 3, its compilers the rest
IMAGE_TOOLS = ("crane", "registry")


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="artifacts/build",
                                     description="Build the artifact repository (docs/artifacts.md).")
    parser.add_argument("--kubernetes", metavar="MINOR", action="append",
                        help="minor or full version in pillar/data/versions.yaml; repeatable; default: oldest minor")
    parser.add_argument("--only", metavar="NAME", nargs="+", action="extend", help="these programs and images alone")
    parser.add_argument("--with", metavar="NAME", nargs="+", action="extend", dest="extra", default=[],
                        help="optional programs and images too (kubeadm, conformance)")
    parser.add_argument("--jobs", metavar="N", type=int, help="projects side by side; default: by cores and memory")
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=ROOT / "build" / "artifacts",
                        help="the repository")
    parser.add_argument("--list", action="store_true", help="show what is there and what would be built")
    args = parser.parse_args(argv)
    if args.jobs is not None and args.jobs < 1:
        parser.error("--jobs needs a number of 1 or more")
    return args


def default_jobs() -> int:
    """Projects to build side by side: one per core, one per MEMORY_PER_JOB GiB of free memory, at least one."""
    with open("/proc/meminfo", encoding="ascii") as stream:
        memory = next(int(line.split()[1]) for line in stream if line.startswith("MemAvailable")) / 2**20
    return max(1, min(len(os.sched_getaffinity(0)), int(memory / MEMORY_PER_JOB)))


def selected(units: list[Unit], pictures: dict[str, Image], only: list[str] | None,
             extra: list[str]) -> tuple[list[Unit], dict[str, Image]]:
    """What to build. `only` names programs or images; an image brings the programs it needs."""
    known = {unit.recipe.name for unit in units}
    image_names = {name for picture in pictures.values() for name in (picture.name, picture.component)}
    unknown = sorted({*(only or []), *extra} - known - image_names)
    if unknown:
        raise BuildError(f"unknown: {', '.join(unknown)}; there are: {', '.join(sorted(known | image_names))}")
    if only is None:
        return ([unit for unit in units if not unit.recipe.optional or unit.recipe.name in extra],
                {name: picture for name, picture in pictures.items()
                 if not picture.optional or {picture.name, picture.optional} & set(extra)})
    wanted = {name: picture for name, picture in pictures.items()
              if {picture.name, picture.component, picture.optional} & set(only)}
    needed = set(only) | set(extra) | (set(IMAGE_TOOLS) if wanted else set())
    for picture in wanted.values():
        needed |= {source.removeprefix("artifact:").split("/")[0] for source in picture.files.values()
                   if source.startswith("artifact:")}
    return [unit for unit in units if unit.recipe.name in needed], wanted


@contextlib.contextmanager
def locked(state: Path) -> Iterator[None]:
    """Hold the repository's lock; it falls with the process, however that ends. Waits at most LOCK_LIMIT seconds."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("a+", encoding="ascii") as stream:
        end = time.monotonic() + LOCK_LIMIT
        said = False
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                stream.seek(0)
                if time.monotonic() > end:
                    raise BuildError(f"{state}/lock: process {stream.read().strip()} still builds after "
                                     f"{LOCK_LIMIT} s") from None
                if not said:
                    say(f"waiting for another builder (process {stream.read().strip()})")
                    said = True
                time.sleep(0.5)
        stream.seek(0)
        stream.truncate()
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def say(text: str) -> None:
    """One line of progress, at once even into a pipe."""
    print(text, flush=True)


def size_of(stamp: dict[str, Any]) -> str:
    """Size of a stamp's files in MB, as text."""
    return f"{sum(facts['size'] for facts in stamp['files'].values()) / 1e6:.0f} MB"


def is_current(unit: Unit, out: Path, state: Path) -> bool:
    """Whether a unit need not be built."""
    stamp = stamps.read(stamps.path_of(state, unit.id))
    return stamps.is_current(stamp, stamps.key_of(gobuild.build_inputs(unit)), out)


def build_programs(units: list[Unit], out: Path, state: Path, jobs: int) -> list[str]:
    """Build what is not current; the errors, one text each. What can be built is built, whatever else fails."""
    todo = [unit for unit in units if not is_current(unit, out, state)]
    say(f"programs: {len(units)}, up to date: {len(units) - len(todo)}"
        + (f", to build: {len(todo)} ({jobs} side by side)" if todo else ""))
    children = gobuild.Children()
    errors: list[str] = []
    cores = len(os.sched_getaffinity(0))

    def one(number: int, unit: Unit) -> None:
        label = f"[{number}/{len(todo)}] {unit.recipe.name} {unit.version}"
        say(f"{label} ...")
        start = time.monotonic()
        stamp = gobuild.build(unit, out, state, children, cores)
        say(f"{label} ... {time.monotonic() - start:.0f} s, {size_of(stamp)}")

    with concurrent.futures.ThreadPoolExecutor(max_workers=jobs) as pool:
        running = {pool.submit(one, number, unit): unit for number, unit in enumerate(todo, 1)}
        try:
            waiting = set(running)
            start = time.monotonic()
            while waiting:
                done, waiting = concurrent.futures.wait(waiting, timeout=60, return_when="FIRST_COMPLETED")
                if not done:
                    busy = [unit.id for future, unit in running.items() if future.running()]
                    say(f"  {time.monotonic() - start:.0f} s: still building {', '.join(busy)}")
                for future in done:
                    error = future.exception()
                    if isinstance(error, (BuildError, OSError)):
                        errors.append(f"{running[future].recipe.name} {running[future].version}: {error}")
                    elif error:
                        raise error
        except BaseException:
            for future in running:
                future.cancel()
            children.stop()
            raise
    return errors


def programs_of(units: list[Unit], out: Path, state: Path) -> dict[str, Path]:
    """{`<component>/<file>`: path} of the finished programs."""
    found = {}
    for unit in units:
        stamp = stamps.read(stamps.path_of(state, unit.id))
        for path in (stamp or {"files": {}})["files"]:
            found[f"{unit.recipe.artifact}/{Path(path).name}"] = out / path
    return found


def build_images(pictures: list[tuple[Image, dict[str, Path]]], out: Path, state: Path) -> list[str]:
    """Put together and push what is not current; the errors. A registry runs only if there is something to push."""
    architecture = goenv.go_facts()["arch"]
    todo: list[tuple[Image, dict[str, list[Path]], dict[str, Path]]] = []
    errors = []
    for picture, programs in pictures:
        try:
            files = oci.contents(picture, programs, state)
        except BuildError as error:
            errors.append(f"image {picture.ref}: {error}")
            continue
        stamp = stamps.read(stamps.path_of(state, picture.id))
        if not stamps.is_current(stamp, images.key_of(picture, files, architecture), out):
            todo.append((picture, files, programs))
    say(f"images: {len(pictures)}, up to date: {len(pictures) - len(todo) - len(errors)}"
        + (f", to make: {len(todo)}" if todo else ""))
    if not todo:
        return errors
    tools = todo[0][2]
    missing = [tool for tool in IMAGE_TOOLS if f"{tool}/{tool}" not in tools]
    if missing:
        return [*errors, f"images: {', '.join(missing)} is not built"]
    with tempfile.TemporaryDirectory(prefix="registry.", dir=state / "tmp") as work, registry.serving(
        tools["registry/registry"], ARTIFACTS / "registry.yml", out / "registry", Path(work)
    ) as address:
        for number, (picture, files, _) in enumerate(todo, 1):
            start = time.monotonic()
            try:
                stamp = images.make(picture, files, architecture, out=out, state=state, crane=tools["crane/crane"],
                                    address=address)
            except BuildError as error:
                errors.append(f"image {picture.ref}: {error}")
                continue
            say(f"[{number}/{len(todo)}] {picture.ref} ... {time.monotonic() - start:.1f} s, {stamp['digest'][:19]}")
    return errors


def show(units: list[Unit], pictures: list[Image], out: Path, state: Path) -> None:
    """Print the table of `--list`."""
    for unit in units:
        there = "up to date" if is_current(unit, out, state) else "to build"
        say(f"{unit.recipe.name:16} {unit.version:10} {there:11} {gobuild.relative_folder(unit)}/"
            f"{{{','.join(unit.recipe.outputs)}}}")
    whole = index.content(index.valid_stamps(state, out))["images"]
    for picture in pictures:
        say(f"{'image':16} {'':10} {'there' if picture.ref in whole else 'to make':11} {picture.ref}")


def run(args: argparse.Namespace) -> int:
    """Do what the command line asks; the exit status."""
    table = load_versions(ROOT / "pillar" / "data" / "versions.yaml")
    recipes = load_recipes(ARTIFACTS / "recipes.yaml")
    minors = list(dict.fromkeys(pick_minor(table, wanted) for wanted in args.kubernetes or [default_minor(table)]))
    if args.only is None:
        unknown = sorted(set(args.extra) - set(recipes))
        if unknown:
            raise BuildError(f"--with {' '.join(unknown)}: recipes.yaml has {', '.join(recipes)}")
    units: dict[str, Unit] = {}
    pictures: dict[str, tuple[Image, list[Unit]]] = {}
    for minor in minors:
        of_minor = units_for(recipes, table, [minor], ARTIFACTS, ROOT)
        chosen, wanted = selected(of_minor, load_images(ARTIFACTS / "images.yaml", table[minor]), args.only, args.extra)
        units.update({unit.id: unit for unit in chosen})
        pictures.update({picture.ref: (picture, of_minor) for picture in wanted.values()})
    out = args.out.resolve()
    state = out / ".state"
    if args.list:
        show(list(units.values()), [picture for picture, _ in pictures.values()], out, state)
        return 0
    started = time.monotonic()
    with locked(state):
        shutil.rmtree(state / "tmp", ignore_errors=True)        # left by builders that were killed
        (state / "tmp").mkdir(parents=True)
        errors = build_programs(list(units.values()), out, state, args.jobs or default_jobs())
        if pictures:
            errors += build_images([(picture, programs_of(of_minor, out, state))
                                    for picture, of_minor in pictures.values()], out, state)
        made = index.write(out, state)
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    programs = sum(len(files) for versions in made["artifacts"].values() for platforms in versions.values()
                   for files in platforms.values())
    say(f"{out}: {programs} programs, {len(made['images'])} images; {time.monotonic() - started:.1f} s")
    return 1 if errors else 0


def interrupt(*_: object) -> None:
    """Handler of SIGTERM: end as at Ctrl-C, whose own signal a shell's background job inherits as ignored."""
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """Entry point; exit status 0 done, 1 something failed, 130 interrupted."""
    args = arguments(argv)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        return run(args)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what is finished stays", file=sys.stderr)
        return 130
    except BrokenPipeError:         # `artifacts/build --list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
