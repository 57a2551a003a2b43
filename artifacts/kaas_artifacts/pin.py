"""Make go.mod and go.sum of a component anew, at the version of the table: the step after a version changed there."""
from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import goenv
from .cli import ARTIFACTS, ROOT
from .errors import BuildError
from .recipes import Recipe, default_minor, load_recipes, load_versions, pick_minor, pinned_version

LIMIT = 900         # seconds for one go command; they download, they do not compile


def go(work: Path, *args: str) -> str:
    """Run `go ARGS` in a folder, free to change go.mod; its output."""
    env = goenv.go_environment(os.environ, goenv.go_facts()["proxy"])
    env["GOFLAGS"] = "-mod=mod -buildvcs=false"
    done = subprocess.run(["go", *args], cwd=work, env=env, capture_output=True, text=True, timeout=LIMIT)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("go: downloading")]
        raise BuildError(f"go {' '.join(args[:3])} ... failed:\n" + "\n".join(lines[-15:]))
    return done.stdout


def skeleton(name: str, recipe: Recipe, version: str, upstream: str) -> str:
    """The go.mod to start from: upstream's language version and debug defaults, what must be required or replaced.

    upstream: text of the module's own go.mod. Its `go` and `godebug` lines decide defaults of the program and count
    only in the main module, so ours repeats them; the same goes for Kubernetes' replaces by its staging folder, whose
    content is published as v0.M.P with each v1.M.P.
    """
    language = re.search(r"^go (\S+)", upstream, re.M)
    text = f"module kaas/artifacts/{name}\n\ngo {language.group(1) if language else '1.16'}\n"
    debug = re.search(r"^godebug \(\n.*?^\)|^godebug .+", upstream, re.M | re.S if "godebug (" in upstream else re.M)
    if debug:
        text += f"\n{debug.group(0)}\n"
    text += f"\nrequire {recipe.module} v{version}\n"
    for requirement in recipe.pin.get("require", []):
        text += f"\nrequire {requirement.replace('@', ' ')}\n"
    if recipe.pin.get("replace"):
        text += "\nreplace (\n" + "".join(f"\t{entry.replace('@', ' ')}\n" for entry in recipe.pin["replace"]) + ")\n"
    if recipe.pin.get("staging"):
        staging = "v0." + version.split(".", 1)[1]
        modules = re.findall(r"^\s*(?:replace\s+)?(k8s\.io/\S+) => \./staging/", upstream, re.M)
        text += "\nreplace (\n" + "".join(f"\t{m} => {m} {staging}\n" for m in modules) + ")\n"
    return text


def folder_for(recipe: Recipe, minor: str) -> Path:
    """Where a component's go.mod belongs: Kubernetes has one folder per minor, the others one for all."""
    base = recipe.folder or recipe.artifact
    own = ARTIFACTS / f"{base}-{minor}"
    return own if recipe.pin.get("staging") or own.is_dir() else ARTIFACTS / base


def wanted(recipe: Recipe, packages: list[str], version: str, upstream: str) -> list[str]:
    """`package@version` for each package: the version of upstream's own go.mod for what belongs to another module."""
    found = []
    for package in packages:
        paths = [package.rsplit("/", count)[0] for count in range(package.count("/"))]
        other = None if package.startswith(str(recipe.module)) else next(
            filter(None, (pinned_version(upstream, path) for path in paths)), None)
        found.append(f"{package}@v{other or version}")
    return found


def pin(recipe: Recipe, packages: list[str], tests: list[str], version: str, folder: Path) -> None:
    """Resolve in a temporary folder, then replace go.mod and go.sum. tests: packages whose tests are built."""
    with tempfile.TemporaryDirectory(prefix="kaas-pin.") as name:
        work = Path(name)
        for own in (path for path in folder.glob("*") if path.is_dir()):        # stands in for a module
            shutil.copytree(own, work / own.name)
        facts = json.loads(go(work, "mod", "download", "-json", f"{recipe.module}@v{version}"))
        upstream = Path(facts["GoMod"]).read_text(encoding="utf-8")
        (work / "go.mod").write_text(skeleton(recipe.artifact, recipe, version, upstream), encoding="utf-8")
        if recipe.pin.get("only_tags"):
            # `go get` resolves the imports under all build tags, `go list` those of the build alone
            go(work, "mod", "edit", *(f"-tool={package}" for package in packages))
            go(work, "list", "-deps", f"-tags={','.join(recipe.tags)}", *packages)
        elif packages:
            go(work, "get", "-tool", *wanted(recipe, packages, version, upstream))
        else:           # a module whose files alone are wanted
            go(work, "mod", "download", str(recipe.module))
        if tests:
            go(work, "get", "-t", *wanted(recipe, tests, version, upstream))
        folder.mkdir(exist_ok=True)
        for file in ("go.sum", "go.mod"):
            shutil.copyfile(work / file, folder / file)


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="artifacts/pin",
                                     description="Make go.mod and go.sum at the versions of pillar/data/versions.yaml.")
    parser.add_argument("names", metavar="NAME", nargs="+", help="component, as in recipes.yaml")
    parser.add_argument("--kubernetes", metavar="MINOR", help="take the version of this minor; default: the oldest")
    args = parser.parse_args(argv)
    try:
        table = load_versions(ROOT / "pillar" / "data" / "versions.yaml")
        recipes = load_recipes(ARTIFACTS / "recipes.yaml")
        minor = pick_minor(table, args.kubernetes) if args.kubernetes else default_minor(table)
        for name in args.names:
            recipe = recipes.get(name)
            if recipe is None or recipe.source or recipe.artifact != name:
                raise BuildError(f"{name}: not a component of recipes.yaml with a module of its own")
            sharing = [other for other in recipes.values() if other.artifact == name]
            packages = [package for other in sharing for package in other.packages.values()]
            tests = [package for other in sharing for package in other.tests.values()]
            folder = folder_for(recipe, minor)
            pin(recipe, packages, tests, table[minor][name], folder)
            print(f"{folder.relative_to(ROOT)}: {recipe.module} v{table[minor][name]}", flush=True)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
