"""Files out of Debian packages, without installing them."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from .errors import BuildError

# what no container needs: documentation, translations, the packages' own service and packaging files
LEFT_OUT = re.compile(r"usr/share/(doc|doc-base|man|info|locale|lintian|bash-completion|zsh|bug|menu|applications)/|"
                      r"etc/(init\.d|default|logrotate\.d|cron\.\w+|systemd|init|ufw|bash_completion\.d)/|"
                      r"(usr/)?lib/(systemd|tmpfiles\.d|sysusers\.d|udev)/|usr/lib/x86_64-linux-gnu/gconv/")
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")     # links into usr/ on a Debian machine
FIELDS = ("Package", "Version", "Pre-Depends", "Depends")


def unpacked(package: str, state: Path) -> Path:
    """Folder with a Debian package's content; fetched with apt-get and unpacked at the first use.

    A package that is there is used as it is, so a machine without a network needs only `<state>/debs/<package>` (and
    `.<package>.control` beside it where an image names whole packages).
    """
    target = unpacked_at(package, state)
    if not target.is_dir():
        fetch([package], state)
    return target


def fetch(packages: list[str], state: Path) -> None:
    """Fetch and unpack packages by one call of apt-get, whose start costs more than most packages."""
    folder = state / "debs"
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise BuildError(f"no {tool}: unpack the Debian package {packages[0]} of another machine into "
                             f"{folder}/{packages[0]}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch.") as name:
        work = Path(name)
        done = subprocess.run(["apt-get", "-q", "download", "-o", "APT::Sandbox::User=", *packages], cwd=work,
                              timeout=300 + 30 * len(packages), capture_output=True, text=True)
        found = {path.name.split("_")[0]: path for path in work.glob("*.deb")}
        if done.returncode or not set(packages) <= set(found):
            raise BuildError(f"apt-get download {' '.join(packages)} failed (apt-get update?): "
                             f"{done.stderr.strip()[-400:]}")
        for package in packages:
            content, control = work / package, work / f"{package}.control"
            control.write_text(_dpkg_deb("-f", str(found[package]), *FIELDS), encoding="utf-8")
            _dpkg_deb("-x", str(found[package]), str(content))
            control.rename(control_of(package, state))
            if (folder / package).is_dir():
                shutil.rmtree(folder / package)
            content.rename(folder / package)        # whole or not at all


def _dpkg_deb(*words: str) -> str:
    done = subprocess.run(["dpkg-deb", *words], timeout=300, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"dpkg-deb {' '.join(words)}: {done.stderr.strip()[-400:]}")
    return done.stdout


def unpacked_at(package: str, state: Path) -> Path:
    """Where a package's content lies."""
    return state / "debs" / package


def control_of(package: str, state: Path) -> Path:
    """Where the fields FIELDS of an unpacked package lie."""
    return state / "debs" / f".{package}.control"


def control(package: str, state: Path) -> dict[str, str]:
    """Those fields of a package that was fetched."""
    text = control_of(package, state).read_text(encoding="utf-8")
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def libraries(depends: str) -> list[str]:
    """Names of the shared libraries' packages in a Depends field: of alternatives the first, others are left out.

    >>> libraries("adduser, libc6 (>= 2.34), libssl3 (>= 3.0) | libssl1.1, libjemalloc2:any")
    ['libc6', 'libssl3', 'libjemalloc2']
    """
    firsts = [re.split(r"[\s(|:]", entry.strip(), maxsplit=1)[0] for entry in depends.split(",")]
    return [name for name in firsts if name.startswith(("lib", "zlib")) and not name.endswith(("-perl", "-common"))]


def with_libraries(packages: list[str], state: Path) -> dict[str, str]:
    """{package: version} of these packages and, all the way down, the shared libraries that they depend on.

    Other dependencies (users, service managers, shells) are not followed: an image names what it wants.
    """
    found: dict[str, str] = {}
    todo = sorted(set(packages))
    while todo:
        missing = [name for name in todo
                   if not (control_of(name, state).is_file() and unpacked_at(name, state).is_dir())]
        if missing:
            fetch(missing, state)
        wanted: set[str] = set()
        for name in todo:
            fields = control(name, state)
            found[name] = fields["Version"]
            wanted.update(libraries(f"{fields.get('Pre-Depends', '')},{fields.get('Depends', '')}"))
        todo = sorted(wanted - set(found))
    return dict(sorted(found.items()))


def upstream_version(version: str) -> str:
    """The upstream part of a Debian version: without epoch and Debian's revision.

    >>> upstream_version("5:7.0.15-1~deb12u7")
    '7.0.15'
    """
    return version.split(":", 1)[-1].rsplit("-", 1)[0].split("+dfsg")[0]


def merged(name: str) -> str:
    """A path of a package as it is on a machine whose /bin, /lib ... are links into /usr.

    >>> merged("lib/x86_64-linux-gnu/libc.so.6"), merged("etc/x")
    ('usr/lib/x86_64-linux-gnu/libc.so.6', 'etc/x')
    """
    return f"usr/{name}" if name.split("/", 1)[0] in MERGED else name


def tree(packages: list[str], state: Path) -> dict[str, Path]:
    """{path in an image: file or symbolic link of an unpacked package} for whole packages, /usr merged.

    Documentation, translations, services are left out; empty folders too (`dirs` of the image names those it needs).
    """
    found = {}
    for package in packages:
        base = unpacked(package, state)
        for folder, folders, files in os.walk(base):
            for name in [*files, *(one for one in folders if (Path(folder) / one).is_symlink())]:
                path = Path(folder) / name
                inner = str(path.relative_to(base))
                if not LEFT_OUT.match(inner):
                    found[merged(inner)] = path
    return found
