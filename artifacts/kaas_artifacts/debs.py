"""Files out of Debian packages, without installing them."""
from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from .errors import BuildError


def unpacked(package: str, state: Path) -> Path:
    """Folder with a Debian package's content; fetched with apt-get and unpacked at the first use.

    A package that is there is used as it is, so a machine without a network needs only `<state>/debs/<package>`.
    """
    target = state / "debs" / package
    if target.is_dir():
        return target
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise BuildError(f"no {tool}: unpack the Debian package {package} of another machine into {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{package}.") as folder:
        work = Path(folder)
        fetch = subprocess.run(["apt-get", "-q", "download", "-o", "APT::Sandbox::User=", package], cwd=work,
                               timeout=300, capture_output=True, text=True)
        found = sorted(work.glob("*.deb"))
        if fetch.returncode or not found:
            raise BuildError(f"apt-get download {package} failed (apt-get update?): {fetch.stderr.strip()[-400:]}")
        content = work / "content"
        unpack = subprocess.run(["dpkg-deb", "-x", str(found[0]), str(content)], timeout=300, capture_output=True,
                                text=True)
        if unpack.returncode:
            raise BuildError(f"dpkg-deb -x {found[0].name}: {unpack.stderr.strip()[-400:]}")
        content.rename(target)          # whole or not at all
    return target
