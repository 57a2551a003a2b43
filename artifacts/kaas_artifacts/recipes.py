"""Recipes (recipes.yaml), image recipes (images.yaml) and the version table, as checked values."""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .errors import BuildError

RECIPE_KEYS = {"module", "packages", "ldflags", "tags", "cgo", "system", "artifact", "optional", "folder", "source",
               "pin", "generate", "generator", "tests"}
GENERATED = {"crds", "files", "file"}
IMAGE_KEYS = {"component", "ref", "files", "packages", "links", "texts", "dirs", "entrypoint", "cmd", "env", "user",
              "workdir", "optional", "version_of"}


@dataclass(frozen=True)
class Generated:
    """A file that is no program: `crds` from the Go types of packages, YAML `files` of the module, joined, or
    one `file` of it as it is."""

    kind: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """How one component is built. `packages` maps the output file to its main package."""

    name: str
    packages: dict[str, str]
    module: str | None = None
    ldflags: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    cgo: bool = False
    system: dict[str, str] = field(default_factory=dict)
    artifact: str = ""
    optional: bool = False
    folder: str | None = None
    source: str | None = None
    pin: dict[str, Any] = field(default_factory=dict)
    generate: dict[str, Generated] = field(default_factory=dict)
    generator: bool = False
    tests: dict[str, str] = field(default_factory=dict)

    @property
    def outputs(self) -> list[str]:
        """Names of the files that the recipe puts into the repository."""
        return [*self.packages, *self.tests, *self.generate]


@dataclass(frozen=True)
class Unit:
    """One thing to build: a recipe at a version in a folder."""

    recipe: Recipe
    version: str
    folder: Path

    @property
    def id(self) -> str:
        """Name of stamp, log and temporary folder: `<recipe>-<version>`."""
        return f"{self.recipe.name}-{self.version}"

    def ldflags(self) -> str:
        """The linker flags, version filled in; never with a date or a path, so that the result is reproducible."""
        major, minor = self.version.split(".")[:2] if "." in self.version else (self.version, "0")
        values = {"version": self.version, "major": major, "minor": minor, "module": self.recipe.module or ""}
        return " ".join(["-s", "-w", *(flag.format(**values) for flag in self.recipe.ldflags)])


@dataclass(frozen=True)
class Image:
    """One image; `ref` and the artifact versions are resolved."""

    name: str
    ref: str
    files: dict[str, str]
    component: str = ""
    version: str = ""
    version_of: str = ""
    packages: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    optional: str = ""
    dirs: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""

    @property
    def repository(self) -> str:
        """Path in the registry: the reference without its host and tag."""
        return self.ref.split("/", 1)[1].rsplit(":", 1)[0]

    @property
    def tag(self) -> str:
        """The reference's tag."""
        return self.ref.rsplit(":", 1)[1]

    @property
    def id(self) -> str:
        """Name of the stamp: the reference with characters that a file name can bear."""
        return "image-" + re.sub(r"[^A-Za-z0-9._-]", "_", self.ref)


def read_yaml(path: Path) -> Any:
    """Content of a YAML file; BuildError names the file and the line when it cannot be read."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as err:
        raise BuildError(f"{path}: {err}") from err


def load_recipes(path: Path) -> dict[str, Recipe]:
    """Recipes in the file's order."""
    found = {}
    for name, data in read_yaml(path).items():
        unknown = set(data) - RECIPE_KEYS
        nothing = not data.get("packages") and not data.get("generate")
        if unknown or nothing or bool(data.get("module")) == bool(data.get("source")):
            raise BuildError(f"{path}: {name}: needs packages or generate, and either module or source; "
                             f"unknown keys: {sorted(unknown)}")
        found[name] = Recipe(
            name=name,
            packages=dict(data.get("packages", {})),
            module=data.get("module"),
            ldflags=tuple(data.get("ldflags", ())),
            tags=tuple(data.get("tags", ())),
            cgo=bool(data.get("cgo")),
            system=dict(data.get("system", {})),
            artifact=data.get("artifact", name),
            optional=bool(data.get("optional")),
            folder=data.get("folder"),
            source=data.get("source"),
            pin=dict(data.get("pin", {})),
            generate={file: _generated(f"{path}: {name}: {file}", source)
                      for file, source in data.get("generate", {}).items()},
            generator=bool(data.get("generator")),
            tests=dict(data.get("tests", {})),
        )
    return found


def _generated(where: str, source: dict[str, list[str]]) -> Generated:
    if len(source) != 1 or not set(source) <= GENERATED:
        raise BuildError(f"{where}: needs one of {', '.join(sorted(GENERATED))}")
    ((kind, names),) = source.items()
    return Generated(kind, tuple(names))


def load_images(path: Path, versions: dict[str, str]) -> dict[str, Image]:
    """Image recipes with the versions of one Kubernetes minor filled in."""
    found = {}
    for name, data in read_yaml(path).items():
        unknown = set(data) - IMAGE_KEYS
        if unknown or not data.get("ref") or not (data.get("files") or data.get("packages")):
            raise BuildError(f"{path}: {name}: needs ref, and files or packages; unknown keys: {sorted(unknown)}")
        component = data.get("component", name)
        if component not in versions:
            raise BuildError(f"{path}: {name}: no version of {component!r} in versions.yaml")
        found[name] = Image(
            name=name,
            ref=data["ref"].format(version=versions[component]),
            files=dict(data.get("files", {})),
            component=component,
            version=versions[component],
            version_of=data.get("version_of", ""),
            packages=tuple(data.get("packages", ())),
            links=dict(data.get("links", {})),
            texts=dict(data.get("texts", {})),
            optional=data.get("optional", ""),
            dirs=dict(data.get("dirs", {})),
            entrypoint=tuple(data.get("entrypoint", ())),
            cmd=tuple(data.get("cmd", ())),
            env=dict(data.get("env", {})),
            user=str(data.get("user", "")),
            workdir=data.get("workdir", ""),
        )
    return found


def load_versions(path: Path) -> dict[str, dict[str, str]]:
    """Kubernetes minor -> component -> version, with the tools' and our own versions in each; newest minor first."""
    data = read_yaml(path)
    common = {**data.get("tools", {}), **data.get("own", {})}
    table = {str(minor): {k: str(v) for k, v in {**common, **components}.items()}
             for minor, components in data["kubernetes"].items()}
    return dict(sorted(table.items(), key=lambda item: version_key(item[0]), reverse=True))


def version_key(version: str) -> tuple[int, ...]:
    """`1.36.3` -> (1, 36, 3): versions in their own order, not in that of their letters."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def default_minor(table: dict[str, dict[str, str]]) -> str:
    """The oldest minor of the table: the lab runs it, the newer one is for upgrades."""
    return min(table, key=version_key)


def pick_minor(table: dict[str, dict[str, str]], wanted: str) -> str:
    """The minor for `1.36` or a full version that the table names; BuildError lists what there is."""
    for minor, components in table.items():
        if wanted in (minor, components["kubernetes"]):
            return minor
    known = ", ".join(f"{m} ({c['kubernetes']})" for m, c in table.items())
    raise BuildError(f"Kubernetes {wanted} is not in pillar/data/versions.yaml; it knows {known}")


def folder_of(recipe: Recipe, minor: str, artifacts: Path, root: Path) -> Path:
    """Folder that holds the recipe's go.mod: the minor's own one where it exists."""
    if recipe.source:
        return root / recipe.source
    base = recipe.folder or recipe.artifact
    own = artifacts / f"{base}-{minor}"
    return own if own.is_dir() else artifacts / base


def units_for(recipes: dict[str, Recipe], table: dict[str, dict[str, str]], minors: list[str],
              artifacts: Path, root: Path) -> list[Unit]:
    """What the given minors need, each (recipe, version) once, in the order of the recipes."""
    units: dict[str, Unit] = {}
    for recipe in recipes.values():
        if recipe.generator:        # built and run by the units that need it; nothing of it is kept
            continue
        for minor in minors:
            version = table[minor].get(recipe.artifact)
            if version is None:
                raise BuildError(f"recipes.yaml: {recipe.name}: versions.yaml has no version of "
                                 f"{recipe.artifact!r} for Kubernetes {minor}")
            unit = Unit(recipe, version, folder_of(recipe, minor, artifacts, root))
            units.setdefault(unit.id, unit)
    return list(units.values())


def pinned_version(go_mod: str, module: str) -> str | None:
    """Version (without `v`) at which a go.mod requires a module, or None. Reads the text; needs no Go."""
    match = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+v(\S+)", go_mod, re.M)
    return match.group(1) if match else None


def tools_of(go_mod: str) -> list[str]:
    """Packages in the `tool` directives of a go.mod."""
    block = re.search(r"^tool \(\n(.*?)^\)", go_mod, re.M | re.S)
    if block:
        return block.group(1).split()
    return re.findall(r"^tool (\S+)", go_mod, re.M)
