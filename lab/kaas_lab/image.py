"""The node image: a Debian root file system (kept as a tar file, so that a new engine needs no second build),
imported into the engine.
"""

from __future__ import annotations

from pathlib import Path

from . import stamp, wheels
from .paths import BUILD, CACHE, ROOT
from .run import run

NAME = "kaas-node"
INPUTS = ROOT / "lab" / "image"


def key() -> str:
    """Hash of everything that goes into the image."""
    trusted = Path("/usr/local/share/ca-certificates").glob("*.crt")
    names = sorted(path.name for path in wheels.folder().glob("*.whl"))
    return stamp.key(names, [INPUTS, *trusted])


def tag() -> str:
    """The image's name in the engine, with the hash of its inputs as tag."""
    return f"{NAME}:{key()}"


def build() -> bool:
    """Build the root file system unless it is current; True when it was built."""
    return stamp.build(CACHE / "node" / "rootfs.tar", key(), _make)


def _make(partial: Path) -> None:
    work = BUILD / "node-work"
    stamp.remove(work)
    try:
        run([INPUTS / "build-rootfs", partial, work, wheels.folder()], timeout=1500)
    finally:
        stamp.remove(work)


def load() -> bool:
    """Import the root file system into the engine unless the image is there; True when it was imported."""
    wanted = tag()
    if run(["docker", "image", "inspect", "--format", "{{.Id}}", wanted], check=False).returncode == 0:
        return False
    changes = ["--change", 'CMD ["/sbin/init"]', "--change", "ENV container=docker", "--change", "EXPOSE 22"]
    run(["docker", "import", *changes, CACHE / "node" / "rootfs.tar", wanted], timeout=300)
    # older images of ours are of no use any more; those in use by another cluster refuse to go
    listed = run(["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", NAME]).stdout.split()
    for old in listed:
        if old != wanted:
            run(["docker", "image", "rm", old], check=False)
    return True
