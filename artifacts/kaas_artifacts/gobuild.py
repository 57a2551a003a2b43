"""Build one unit: `go build` into a temporary folder, then renames into place and a stamp."""
from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from . import generate, goenv, stamps
from .errors import BuildError
from .recipes import Unit, pinned_version

LIMIT = 3 * 3600        # seconds for one project: far above any honest build, so a hang ends
TRIES = 3               # network faults only
NETWORK = re.compile(r"connection (reset|refused)|timeout|timed out|TLS handshake|unexpected EOF|no such host|"
                     r"temporary failure|50[0-9] |stream error|dial tcp", re.I)


class Children:
    """The running `go` processes, so that an interrupt ends them and all they started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen] = set()
        self.stopped = False

    def run(self, command: list[str], *, cwd: Path, env: dict[str, str], log: Path) -> int:
        """Run to the end (bounded by LIMIT), output appended to the log; the exit status."""
        with log.open("ab") as stream:
            with self._lock:
                if self.stopped:
                    raise BuildError("interrupted")
                # a session of its own: one signal reaches compilers and linkers too
                process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stream,
                                           stderr=subprocess.STDOUT, start_new_session=True)
                self._running.add(process)
            try:
                return process.wait(timeout=LIMIT)
            except subprocess.TimeoutExpired as err:
                raise BuildError(f"{command[0]} {command[1]} in {cwd} took longer than {LIMIT} s; log: {log}") from err
            finally:
                self._end(process)

    def _end(self, process: subprocess.Popen) -> None:
        with self._lock:
            self._running.discard(process)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        """End all of them and start no more."""
        with self._lock:
            self.stopped = True
            for process in self._running:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGTERM)


def executable_name(package: str) -> str:
    """File name `go build -o FOLDER/` gives a package: last element of its path, a major version left out.

    >>> executable_name("go.etcd.io/etcd/server/v3")
    'server'
    """
    parts = package.rstrip("/").split("/")
    if len(parts) > 1 and re.fullmatch(r"v[2-9]|v[1-9][0-9]+", parts[-1]):
        parts.pop()
    return parts[-1]


def build_inputs(unit: Unit) -> dict[str, Any]:
    """All that decides the bytes of the result, for the build key."""
    facts = goenv.go_facts()
    recipe = unit.recipe
    inputs: dict[str, Any] = {
        "packages": recipe.packages, "ldflags": unit.ldflags(), "tags": list(recipe.tags), "cgo": recipe.cgo,
        "go": facts["version"], "platform": goenv.platform(), "level": facts["level"],
        "sources": {str(path.relative_to(unit.folder)): stamps.sha256_file(path) for path in source_files(unit)},
    }
    if recipe.tests:
        inputs["tests"] = recipe.tests
    if recipe.generate:
        inputs["generate"] = {name: [source.kind, *source.names] for name, source in recipe.generate.items()}
        # and this project's part of it: what it makes of the generator's output
        inputs["generator"] = [stamps.sha256_file(path) for path in (*generate.inputs(unit), Path(generate.__file__))]
    if recipe.cgo:
        inputs["c"] = goenv.c_facts(tuple(sorted(recipe.system.items())))
    return inputs


def source_files(unit: Unit) -> list[Path]:
    """Files of this project that a build reads: go.mod and go.sum, and code of our own (not its tests)."""
    found = sorted(p for p in unit.folder.rglob("*") if p.is_file() and not p.name.endswith(("_test.go", ".md")))
    needed = ["go.mod"] if unit.recipe.source else ["go.mod", "go.sum"]
    missing = [str(unit.folder / name) for name in needed if unit.folder / name not in found]
    if missing:
        raise BuildError(f"{unit.recipe.name}: missing {', '.join(missing)}; make them with: "
                         f"artifacts/pin {unit.recipe.artifact}")
    return found


def check_pin(unit: Unit) -> None:
    """Refuse to build a version other than the one the table promises."""
    if unit.recipe.module is None:
        return
    pinned = pinned_version((unit.folder / "go.mod").read_text(encoding="utf-8"), unit.recipe.module)
    if pinned != unit.version:
        raise BuildError(f"{unit.folder}/go.mod pins {unit.recipe.module} at {pinned}, pillar/data/versions.yaml says "
                         f"{unit.version}; make them equal with: artifacts/pin {unit.recipe.artifact}")


def relative_folder(unit: Unit) -> str:
    """`<name>/<version>/<os>-<arch>`, the unit's place in the repository."""
    return f"{unit.recipe.artifact}/{unit.version}/{goenv.platform()}"


def tail(log: Path, lines: int = 25) -> str:
    """Last lines of a log, indented, without the download chatter."""
    text = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return "\n".join("    " + line for line in [t for t in text if "go: downloading" not in t][-lines:])


def build_command(unit: Unit, work: Path, parallel: int) -> list[str]:
    """`go build` of all packages of a unit into the folder `work`."""
    command = ["go", "build", "-p", str(parallel), f"-ldflags={unit.ldflags()}", "-o", f"{work}/"]
    if unit.recipe.tags:
        command.append(f"-tags={','.join(unit.recipe.tags)}")
    return [*command, *unit.recipe.packages.values()]


def test_command(unit: Unit, package: str, target: Path, parallel: int) -> list[str]:
    """`go test -c`: the tests of a package as a program; not vetted, for that is upstream's work (and minutes)."""
    return ["go", "test", "-c", "-vet=off", "-p", str(parallel), f"-ldflags={unit.ldflags()}", "-o", str(target),
            package]


def output(command: list[str], folder: Path, env: dict[str, str]) -> str:
    """Standard output of a short command; BuildError with what it printed when it fails."""
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise BuildError(f"{' '.join(command)} in {folder}: {done.stderr.strip()[-800:]}")
    return done.stdout


def build(unit: Unit, out: Path, state: Path, children: Children, parallel: int) -> dict[str, Any]:
    """Build a unit and return its stamp (already written).

    out: the repository. state: the builder's own folder on the same file system (renames must not copy).
    parallel: `go build -p`.
    """
    check_pin(unit)
    key = stamps.key_of(build_inputs(unit))
    # a folder of its own for each try: what a killed builder left running cannot write into it
    (state / "tmp").mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{unit.id}.", dir=state / "tmp"))
    log = state / "logs" / f"{unit.id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    recipe = unit.recipe
    env = goenv.go_environment(os.environ, goenv.go_facts()["proxy"], cgo=recipe.cgo)
    log.write_text("", encoding="utf-8")

    def run(command: list[str]) -> None:
        for attempt in range(1, TRIES + 1):
            status = children.run(command, cwd=unit.folder, env=env, log=log)
            if status == 0 or children.stopped or attempt == TRIES or not NETWORK.search(tail(log)):
                break
            time.sleep(2 * attempt)
        if status != 0:
            raise BuildError(f"{' '.join(command[:2])} ended with status {status} in {unit.folder}; the whole log: "
                             f"{log}\n{tail(log)}")

    if recipe.packages:
        run(build_command(unit, work, parallel))
    for name, package in recipe.tests.items():
        run(test_command(unit, package, work / name, parallel))
    made = [(name, work / (executable_name(package) if package != "." else name), 0o755)
            for name, package in recipe.packages.items()]
    made += [(name, work / name, 0o755) for name in recipe.tests]
    made += [(name, generate.make(unit, name, work, run, lambda command: output(command, unit.folder, env)), 0o644)
             for name in recipe.generate]
    target = out / relative_folder(unit)
    target.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, path, mode in made:
        path.chmod(mode)
        with path.open("rb") as stream:
            os.fsync(stream.fileno())           # the stamp must not outlive the file's content in a power cut
        files[f"{relative_folder(unit)}/{name}"] = stamps.describe(path)
        path.replace(target / name)
    shutil.rmtree(work)
    stamp = {"key": key, "name": recipe.artifact, "version": unit.version, "files": files}
    stamps.write_atomic(stamps.path_of(state, unit.id), stamps.dump(stamp))
    return stamp
