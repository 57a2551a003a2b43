"""CPU and memory of whole machines, from the host's view of their cgroups (version 1 or 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kaas_lab.errors import LabError

ROOT = Path("/sys/fs/cgroup")
MIB = 1024 * 1024


@dataclass(frozen=True)
class Memory:
    """Bytes: `working` is what the kernel can't give back at once (usage without inactive file pages), as the kubelet
    counts it; `anonymous` is the processes' own memory without any file pages.
    """

    working: int
    anonymous: int


def folder(container: str, controller: str, root: Path = ROOT) -> Path:
    """The folder of a container's cgroup. `container` is its full id; LabError when the engine keeps it elsewhere."""
    bases = [root] if (root / "cgroup.controllers").exists() else [root / controller]
    for base in bases:
        for path in (base / "docker" / container, base / "system.slice" / f"docker-{container}.scope"):
            if path.is_dir():
                return path
    raise LabError(f"no cgroup of container {container[:12]} below {bases[0]}: is this the machine that runs it?")


def cpu_seconds(container: str, root: Path = ROOT) -> float:
    """CPU time that the container has used since it was made."""
    path = folder(container, "cpuacct", root)
    if (path / "cpuacct.usage").exists():
        return int((path / "cpuacct.usage").read_text()) / 1e9
    return fields(path / "cpu.stat")["usage_usec"] / 1e6


def memory(container: str, root: Path = ROOT, below: str = "") -> Memory | None:
    """Memory of a container, or of a cgroup `below` its own; None when there is no such cgroup below it."""
    path = folder(container, "memory", root) / below
    if not path.is_dir():
        return None
    stat = fields(path / "memory.stat")
    if (path / "memory.usage_in_bytes").exists():
        usage = int((path / "memory.usage_in_bytes").read_text())
        return Memory(usage - stat["total_inactive_file"], stat["total_rss"])
    return Memory(int((path / "memory.current").read_text()) - stat["inactive_file"], stat["anon"])


def fields(path: Path) -> dict[str, int]:
    """A file of `name number` lines."""
    return {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}


def total_cpu(containers: Mapping[str, str], root: Path = ROOT) -> float:
    """CPU seconds of all containers ({name: id}) together."""
    return sum(cpu_seconds(container, root) for container in containers.values())


def host_busy(before: str, after: str) -> float:
    """Cores in use between two readings of /proc/stat (first line counts; the unit of its numbers cancels out).

    Guest time is part of user time already, so only the first eight fields count.
    """
    first, last = (
        next([int(word) for word in line.split()[1:9]] for line in text.splitlines() if line.startswith("cpu "))
        for text in (before, after)
    )
    cores = sum(line.startswith("cpu") for line in after.splitlines()) - 1
    spent = [end - begin for begin, end in zip(first, last, strict=True)]
    idle = spent[3] + spent[4]
    return cores * (1 - idle / sum(spent)) if sum(spent) else 0.0
