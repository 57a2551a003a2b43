"""The machines: bringing them up with Vagrant over whatever is left of earlier runs, running commands in them,
removing them.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import host, image, leftovers, stamp
from .cluster import Cluster, Machine
from .paths import ARTIFACTS, BUILD, ROOT, cluster_dir
from .run import environment, logged, run, wait
from .ui import say

# what the machines get at their first start: a change of these is brought to running machines by provisioning them
# again
PROVISIONED = [ROOT / "lab" / "bootstrap.sh", ROOT / "lab" / "salt"]


def provider() -> str:
    """Vagrant's provider."""
    return os.environ.get("VAGRANT_DEFAULT_PROVIDER", "docker")


def vagrant_environment(cluster: Cluster) -> dict[str, str]:
    """The environment in which Vagrant reads our Vagrantfile; all its state is under build/."""
    extra = {
        "CLUSTER": cluster.name,
        "VAGRANT_CWD": str(ROOT),
        "VAGRANT_HOME": str(BUILD / "vagrant-home"),
        "VAGRANT_DOTFILE_PATH": str(cluster_dir(cluster.name) / "vagrant"),
        "VAGRANT_DEFAULT_PROVIDER": provider(),
    }
    if provider() == "docker":
        extra["KAAS_NODE_IMAGE"] = image.tag()
    return environment(**extra)


def clear(cluster: Cluster) -> None:
    """Remove what earlier runs left and can't be used; start machines that are merely stopped. docker provider only."""
    found = leftovers.plan(
        cluster,
        containers(),
        _vagrant_ids(cluster),
        run(["docker", "volume", "ls", "--quiet"]).stdout.split(),
        _networks(),
        _bridges(),
    )
    for reason in found.reasons:
        say(f"    left over: {reason}")
    if found.containers:
        run(["docker", "rm", "--force", "--volumes", *found.containers], timeout=120)
    if found.volumes:
        run(["docker", "volume", "rm", "--force", *found.volumes])
    for network in found.networks:
        run(["docker", "network", "rm", network], check=False)
    for bridge in found.bridges:
        run(["ip", "link", "delete", bridge], check=False)
    if found.start:
        say(f"    starting {len(found.start)} stopped machines")
        run(["docker", "start", *found.start], timeout=120)


def up(cluster: Cluster) -> None:
    """Run `vagrant up`; returns when all machines run, are provisioned and have booted."""
    folder = cluster_dir(cluster.name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "resolv.conf").write_text(host.name_servers())
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    fresh = not containers(cluster) if provider() == "docker" else False
    wanted = stamp.key([machine.address6 for machine in cluster.machines if machine.address6], PROVISIONED)
    noted = folder / "provisioned"
    argv = ["vagrant", "up"]
    if not fresh and (not noted.is_file() or noted.read_text().strip() != wanted):
        argv.append("--provision")
    logged(argv, folder / "vagrant.log", timeout=900, env=vagrant_environment(cluster))
    noted.write_text(wanted + "\n")
    for machine in cluster.machines:
        wait(f"{machine.name} to boot", lambda machine=machine: booted(cluster, machine), timeout=90)  # type: ignore[misc]


def booted(cluster: Cluster, machine: Machine) -> bool:
    """True when systemd says that the machine has started (a failed unit does not count against it)."""
    state = execute(cluster, machine, ["systemctl", "is-system-running"], check=False).stdout.strip()
    return state in ("running", "degraded")


def execute(
    cluster: Cluster, machine: Machine, argv: Sequence[str], *, check: bool = True, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command in a machine and keep its output."""
    return run(command(cluster, machine, argv), check=check, timeout=timeout, env=_environment(cluster))


def command(cluster: Cluster, machine: Machine, argv: Sequence[str], *, options: Sequence[str] = ()) -> list[str]:
    """The host command that runs `argv` in a machine."""
    if provider() == "docker":
        return ["docker", "exec", *options, cluster.container(machine), *argv]
    return ["vagrant", "ssh", machine.name, "--no-tty", "--command", "sudo " + shlex.join(argv)]


def enter(cluster: Cluster, machine: Machine, argv: Sequence[str], *, interactive: bool = True) -> None:
    """Replace this process by a command in a machine: its input, output and exit code are the caller's."""
    options = ["--interactive"] if interactive else []
    if interactive and os.isatty(0) and os.isatty(1):
        options.append("--tty")
    full = command(cluster, machine, argv, options=options)
    os.execvpe(full[0], full, _environment(cluster))


def containers(cluster: Cluster | None = None) -> list[dict[str, Any]]:
    """`docker inspect` of all containers, or of one cluster's."""
    only = ["--filter", f"label=kaas.cluster={cluster.name}"] if cluster else []
    ids = run(["docker", "ps", "--all", "--quiet", "--no-trunc", *only]).stdout.split()
    return json.loads(run(["docker", "inspect", *ids], check=False).stdout or "[]") if ids else []


def clusters_left() -> list[str]:
    """Names of the clusters that have machines."""
    return sorted({str((item["Config"].get("Labels") or {}).get("kaas.cluster")) for item in containers()} - {"None"})


def down(cluster: Cluster) -> list[str]:
    """Remove a cluster's machines, volumes and network, and its state below build/lab. Returns what was removed."""
    done = []
    if provider() == "docker":
        ids = [str(item["Id"]) for item in containers(cluster)]
        if ids:
            run(["docker", "rm", "--force", "--volumes", *ids], timeout=180)
            done.append(f"{len(ids)} machines")
        prefix = f"kaas-{cluster.name}-"
        volumes = [
            name for name in run(["docker", "volume", "ls", "--quiet"]).stdout.split() if name.startswith(prefix)
        ]
        if volumes:
            run(["docker", "volume", "rm", "--force", *volumes])
            done.append(f"{len(volumes)} volumes")
        found = leftovers.plan(cluster, [], {}, [], _networks(), _bridges())
        for network in found.networks:
            run(["docker", "network", "rm", network])
            done.append("network")
        for bridge in found.bridges:
            run(["ip", "link", "delete", bridge], check=False)
    else:
        logged(
            ["vagrant", "destroy", "--force"],
            BUILD / "vagrant-destroy.log",
            timeout=600,
            env=vagrant_environment(cluster),
        )
        done.append("machines")
    shutil.rmtree(cluster_dir(cluster.name), ignore_errors=True)
    return done


def _environment(cluster: Cluster) -> dict[str, str]:
    return environment() if provider() == "docker" else vagrant_environment(cluster)


def _vagrant_ids(cluster: Cluster) -> dict[str, str]:
    base = cluster_dir(cluster.name) / "vagrant" / "machines"
    return {path.parents[1].name: path.read_text().strip() for path in base.glob("*/docker/id")}


def _networks() -> list[dict[str, Any]]:
    ids = run(["docker", "network", "ls", "--quiet", "--no-trunc"]).stdout.split()
    return json.loads(run(["docker", "network", "inspect", *ids]).stdout)


def _bridges() -> dict[str, str]:
    listed = json.loads(run(["ip", "-json", "-4", "address", "show", "type", "bridge"], check=False).stdout or "[]")
    found = {}
    for link in listed:
        for address in link.get("addr_info", []):
            found[str(link["ifname"])] = f"{address['local']}/{address['prefixlen']}"
    return found


def image_outdated(cluster: Cluster) -> bool:
    """True when the cluster's machines were made from another node image than the present one."""
    return any(item["Config"]["Image"] != image.tag() for item in containers(cluster))


def data_paths() -> list[Path]:
    """Folders that machines mount from the host, for reports."""
    return [ROOT, ARTIFACTS]
