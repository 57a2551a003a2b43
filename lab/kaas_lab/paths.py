"""Where things lie.

Everything that the lab builds is under ``build/``; the big caches (wheels, node image) move to ``$KAAS_CACHE_DIR``
when that is set.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
CACHE = Path(os.environ["KAAS_CACHE_DIR"]).resolve() if os.environ.get("KAAS_CACHE_DIR") else BUILD
LAB = BUILD / "lab"
ARTIFACTS = BUILD / "artifacts"
CLUSTERS = ROOT / "pillar" / "clusters"

# Runtime state of an engine that the lab started. Outside build/ on purpose: a clone that was removed while its
# engine ran, and the next clone on the same machine, must both find it. It is volatile, like the sysctls whose former
# values it holds.
ENGINE_RUN = Path("/run/kaas-lab-engine")
ENGINE_DATA = BUILD / "engine"


def cluster_dir(name: str) -> Path:
    """The folder of one cluster's lab state: keys, Vagrant's state, kubeconfig, logs."""
    return LAB / name


def kubeconfig(name: str) -> Path:
    """The operator's kubeconfig of a cluster."""
    return cluster_dir(name) / "kubeconfig"
