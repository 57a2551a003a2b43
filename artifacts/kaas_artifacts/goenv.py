"""The Go toolchain's environment: the same whatever the machine's own settings are."""
from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Mapping

from .errors import BuildError


def module_proxies(goproxy: str) -> str:
    """GOPROXY without `direct`, so that no build reaches for a source host.

    >>> module_proxies("https://one.example,direct|off")
    'https://one.example|off'

    Keeps the separators' meaning (`,` = next on 404 only, `|` = next on any error). `off` stays: it is the air-gapped
    setting where the module cache already has everything. BuildError when nothing is left.
    """
    parts = re.split(r"([,|])", goproxy.strip())
    kept = ""
    for position in range(0, len(parts), 2):
        name = parts[position].strip()
        if name and name != "direct":
            separator = parts[position - 1] if position else ""
            kept += (separator if kept else "") + name
    if not kept:
        raise BuildError(f"GOPROXY is {goproxy!r}: it names no module proxy. Set it: go env -w GOPROXY=<its URL>")
    return kept


def go_environment(base: Mapping[str, str], goproxy: str, cgo: bool = False) -> dict[str, str]:
    """Environment for `go`: pinned modules only, this toolchain only, no workspace, no VCS stamp.

    -mod=readonly makes go.mod and go.sum law: a build that would need another version fails instead of fetching it.
    """
    env = {key: value for key, value in base.items() if not key.startswith(("CGO_", "GOEXPERIMENT"))}
    env.update(
        GOPROXY=module_proxies(goproxy), GOFLAGS="-mod=readonly -buildvcs=false -trimpath", GOTOOLCHAIN="local",
        GOWORK="off", CGO_ENABLED="1" if cgo else "0", LC_ALL="C",
    )
    return env


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@functools.cache
def go_facts() -> dict[str, str]:
    """`version` (go1.26.8), `os`, `arch`, `proxy` of the Go in PATH; BuildError when there is none."""
    if not shutil.which("go"):
        raise BuildError("no `go` in PATH: install the Go toolchain (the `go` lines in artifacts/*/go.mod say which)")
    names = ["GOVERSION", "GOOS", "GOARCH", "GOPROXY", "GOAMD64"]
    values = subprocess.run(["go", "env", *names], check=True, capture_output=True, text=True, timeout=60,
                            env={**os.environ, "GOTOOLCHAIN": "local"}).stdout.splitlines()
    facts = dict(zip(names, values, strict=True))
    return {"version": facts["GOVERSION"], "os": facts["GOOS"], "arch": facts["GOARCH"], "level": facts["GOAMD64"],
            "proxy": facts["GOPROXY"]}


def platform() -> str:
    """`linux-amd64`: the platform folder of the repository."""
    facts = go_facts()
    return f"{facts['os']}-{facts['arch']}"


@functools.cache
def c_facts(libraries: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Compiler and library versions that end up in a static cgo program.

    `libraries` = ((pkg-config name, Debian package), ...). BuildError names the packages to install.
    """
    missing = [package for tool, package in (("gcc", "gcc libc6-dev"), ("pkg-config", "pkg-config"))
               if not shutil.which(tool)]
    facts = {}
    if not missing:
        facts["cc"] = _output(["gcc", "-dumpfullversion"])
        facts["libc"] = " ".join(_output(["ldd", "--version"]).splitlines()[:1])
        for library, package in libraries:
            found = subprocess.run(["pkg-config", "--modversion", library], capture_output=True, text=True, timeout=60)
            if found.returncode:
                missing.append(package)
            else:
                facts[library] = found.stdout.strip()
    if missing:
        raise BuildError(f"missing to build with C: apt-get install {' '.join(missing)}")
    return facts
