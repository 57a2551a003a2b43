"""Keys of a lab cluster, made on the host: the SSH key for Vagrant and the key pairs of the Salt master and of each
minion.

The minions' public keys are put on the master and the master's fingerprint on the minions before Salt starts for the
first time, so that neither `auto_accept` nor `open_mode` is needed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from .cluster import Cluster
from .paths import cluster_dir
from .run import run

BITS = "2048"


def fingerprint(public_pem: str) -> str:
    """Salt's fingerprint of a public key (`master_finger`): SHA-256 over the PEM text without its first and last
    line, as xx:xx:....
    """
    body = "\n".join(public_pem.strip().splitlines()[1:-1])
    digest = hashlib.sha256((body + "\n").encode()).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def ensure(cluster: Cluster) -> bool:
    """Make the keys that are missing below build/lab/<cluster>/keys; True when some were made."""
    folder = cluster_dir(cluster.name) / "keys"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    made = [_pair(folder, "master"), *(_pair(folder, machine.id) for machine in cluster.machines)]
    finger = fingerprint((folder / "master.pub").read_text())
    (folder / "master.finger").write_text(finger + "\n")
    return any([*made, _ssh(folder.parent / "id")])


def _pair(folder: Path, name: str) -> bool:
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    if private.is_file() and public.is_file():
        return False
    partial = folder / f"{name}.pem.partial"
    run(["openssl", "genrsa", "-out", partial, BITS])
    partial.chmod(0o600)
    run(["openssl", "rsa", "-in", partial, "-pubout", "-out", public])
    partial.rename(private)
    return True


def _ssh(private: Path) -> bool:
    if private.is_file() and private.with_suffix(".pub").is_file():
        return False
    private.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ecdsa", "-b", "256", "-m", "PEM", "-N", "", "-C", "kaas-lab", "-f", private])
    return True
