"""Files that are no programs: CRDs generated from a module's Go types, files that lie in a module."""
from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from .errors import BuildError
from .recipes import Unit

CONTROLLER_GEN = "controller-gen"
GENERATOR_FOLDER = "controller-tools"       # beside the units' folders: its go.mod pins the generator


def inputs(unit: Unit) -> list[Path]:
    """Files beyond the unit's own go.mod and go.sum that decide what is generated: the generator's."""
    if not any(source.kind == "crds" for source in unit.recipe.generate.values()):
        return []
    return [unit.folder.parent / GENERATOR_FOLDER / name for name in ("go.mod", "go.sum")]


def make(unit: Unit, name: str, work: Path, run: Callable[[list[str]], None],
         ask: Callable[[list[str]], str]) -> Path:
    """Make one file of a recipe's `generate` in the folder `work`; its path.

    run: runs a command in the unit's folder, raises BuildError when it fails; ask: the same, returns its output.
    """
    source = unit.recipe.generate[name]
    if source.kind == "crds":
        made = work / f"{name}.d"
        made.mkdir()
        modfile = unit.folder.parent / GENERATOR_FOLDER / "go.mod"
        # `go tool -modfile` builds the generator by its own pins, and runs it where the types are pinned
        run(["go", "tool", f"-modfile={modfile}", CONTROLLER_GEN, "crd",
             *(f"paths={pattern}" for pattern in source.names), f"output:dir={made}"])
        text = joined([dumped(crd) for path in sorted(made.glob("*.yaml"))
                       for crd in documents(path)])
    else:
        module = json.loads(ask(["go", "mod", "download", "-json", str(unit.recipe.module)]))
        found = [path for pattern in source.names for path in sorted(Path(module["Dir"]).glob(pattern))]
        if source.kind == "file" and len(found) == 1:
            return Path(shutil.copyfile(found[0], work / name))
        text = joined([path.read_text(encoding="utf-8") for path in found])
    if not text:
        raise BuildError(f"recipes.yaml: {unit.recipe.name}: {name}: {' '.join(source.names)} gives nothing")
    target = work / name
    target.write_text(text, encoding="utf-8")
    return target


def documents(path: Path) -> list[dict[str, Any]]:
    """The objects of a YAML file, empty documents left out."""
    try:
        return [found for found in yaml.safe_load_all(path.read_text(encoding="utf-8")) if found]
    except (OSError, yaml.YAMLError) as err:
        raise BuildError(f"{path}: {err}") from err


def dumped(data: dict[str, Any]) -> str:
    """An object as YAML, keys in order: the same text on any machine."""
    return yaml.safe_dump(data, sort_keys=True, default_flow_style=False, width=120)


def joined(texts: list[str]) -> str:
    """YAML texts as one file of many documents.

    >>> joined(["---\\na: 1\\n", "b: 2"])
    '---\\na: 1\\n---\\nb: 2\\n'
    """
    return "".join("---\n" + text.removeprefix("---\n").rstrip("\n") + "\n" for text in texts)
