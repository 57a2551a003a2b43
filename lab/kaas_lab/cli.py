"""The command line of the lab."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from . import cluster as clusters
from . import engine, host, image, keys, kube, machines, saltrun, story, venv, wheels
from .cluster import Cluster
from .errors import LabError
from .paths import BUILD, CLUSTERS, LAB, ROOT, kubeconfig
from .run import streamed
from .ui import say, step, total, warn

# commands whose arguments belong to another program: nothing after the command's name is ours
PASSED_ON = ("exec", "salt", "kubectl")


def main(argv: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    own, rest = split(argv)
    arguments = parser().parse_args(own)
    try:
        return dispatch(arguments, rest)
    except LabError as err:
        warn(f"lab: {err}")
        return 1
    except KeyboardInterrupt:
        warn("lab: interrupted; run the same command again to go on")
        return 130


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the command line after exec, salt or kubectl: what follows goes to that program untouched."""
    words = list(argv)
    index = 0
    while index < len(words):
        if words[index] == "--cluster":
            index += 2
            continue
        if not words[index].startswith("-"):
            if words[index] in PASSED_ON:
                return words[: index + 1], words[index + 1 :]
            break
        index += 1
    return words, []


def parser() -> argparse.ArgumentParser:
    """The argument parser (also the source of --help)."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--cluster", default=argparse.SUPPRESS, metavar="NAME", help="cluster file in pillar/clusters (default: demo)"
    )
    top = argparse.ArgumentParser(prog="lab/lab", description="The KaaS lab on this host.", parents=[common])
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", parents=[common], help="bring everything up; run it again at any time")
    up.add_argument("--no-artifacts", action="store_true", help="take the artifacts as they are")
    up.add_argument("--no-highstate", action="store_true", help="stop when all minions answer")
    commands.add_parser(
        "down", parents=[common], help="remove the cluster's machines; the last one stops the engine too"
    )
    commands.add_parser("status", parents=[common], help="engine, machines, Kubernetes nodes, demo")
    commands.add_parser("exec", help="NODE CMD...: run a command in a machine")
    commands.add_parser("salt", help="ARGS...: run salt on the master")
    commands.add_parser("kubectl", help="ARGS...: run kubectl against the cluster")
    commands.add_parser("kubeconfig", parents=[common], help="fetch the operator's kubeconfig and print its path")
    commands.add_parser("demo-url", parents=[common], help="print the demo application's URL")
    demo = commands.add_parser("demo", parents=[common], help="tell what a running cluster is for, step by step")
    demo.add_argument("step", nargs="*", help="only these steps")
    demo.add_argument("--list", action="store_true", help="list the steps")
    demo.add_argument("--yes", action="store_true", help="do not wait for Enter (as without a terminal)")
    commands.add_parser("prerequisites", help="install the Debian packages that the lab and the checks need")
    env = commands.add_parser("venv", help="make a Python environment of a dependency group; print its folder")
    env.add_argument("group", choices=sorted(venv.FOLDERS))
    return top


def dispatch(arguments: argparse.Namespace, rest: list[str]) -> int:
    """Run the parsed command."""
    if arguments.command == "venv":
        with locked(f"venv-{arguments.group}"):
            say(str(venv.ensure(arguments.group)))
        return 0
    if arguments.command == "prerequisites":
        host.need_root("lab prerequisites")
        host.install_packages()
        return 0
    name = getattr(arguments, "cluster", None) or os.environ.get("CLUSTER") or "demo"
    cluster = clusters.load(CLUSTERS, name)
    if arguments.command == "up":
        with locked("lab"):
            return up(cluster, artifacts=not arguments.no_artifacts, highstate=not arguments.no_highstate)
    if arguments.command == "down":
        with locked("lab"):
            return down(cluster)
    if arguments.command == "exec":
        if len(rest) < 2:
            raise LabError("exec needs NODE CMD..., for example: lab/lab exec m1 systemctl --failed")
        machines.enter(cluster, cluster.machine(rest[0]), rest[1:])
    if arguments.command == "salt":
        machines.enter(cluster, cluster.salt, ["salt", *rest], interactive=False)
    if arguments.command == "kubectl":
        kube.enter_kubectl(cluster, rest)
    if arguments.command == "status":
        return status(cluster)
    if arguments.command == "kubeconfig":
        say(str(kube.write_kubeconfig(cluster)))
    if arguments.command == "demo" and arguments.list:
        say(story.listing())
    elif arguments.command == "demo":
        return story.tell(cluster, arguments.step, ask=False if arguments.yes else None)
    if arguments.command == "demo-url":
        url = kube.demo_url(cluster)
        if not url:
            raise LabError(f"cluster {cluster.name} has no Service with a NodePort in namespace demo")
        say(url)
    return 0


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One bring-up or removal at a time; the kernel frees the lock of a killed run."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f".{name}.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("    waiting for another lab command to end")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def up(cluster: Cluster, *, artifacts: bool, highstate: bool) -> int:
    """Bring the lab up from whatever is there; every step is skipped when its result is there already."""
    docker = machines.provider() == "docker"
    host.need_root("lab up")
    with step("prerequisites"):
        host.install_packages()
    if artifacts:
        build_artifacts(cluster)
    with step("Salt wheels"):
        say("    built" if wheels.build() else "    there")
    if docker:
        with step("node image"):
            say("    built" if image.build() else "    there")
        with step("container engine"):
            engine.note_state()
            say(f"    {engine.up()}")
            host.raise_sysctls()
            if image.load():
                say("    node image imported")
    with step("keys"):
        say("    made" if keys.ensure(cluster) else "    there")
    with step(f"machines: {', '.join(machine.name for machine in cluster.machines)}"):
        if docker:
            machines.clear(cluster)
            if machines.image_outdated(cluster):
                say("    note: the machines run an older node image; `lab/lab down` first renews them")
        machines.up(cluster)
    with step("minions"):
        saltrun.wait_connected(cluster)
        say("    connected")
        saltrun.ping(cluster)
    if highstate:
        with step("salt '*' state.highstate"):
            saltrun.highstate(cluster)
        with step("nodes Ready, demo answering"):
            kube.write_kubeconfig(cluster)
            kube.wait_ready(cluster)
            if kube.wants_demo(cluster):
                kube.wait_demo(cluster)
        status(cluster)
    say(f"==> cluster {cluster.name} is up, {total():.0f} s in all")
    return 0


def build_artifacts(cluster: Cluster) -> None:
    """Build what the cluster installs (binaries and images); the builder itself skips what is there."""
    with step("artifacts"):
        builder = ROOT / "artifacts" / "build"
        if not builder.exists():
            raise LabError(f"{builder} is missing; --no-artifacts takes build/artifacts as it is")
        streamed([builder, "--kubernetes", cluster.kubernetes], timeout=3600)


def down(cluster: Cluster) -> int:
    """Remove a cluster's machines; with the last one gone, the lab's engine and what it changed on the host."""
    host.need_root("lab down")
    docker = machines.provider() == "docker"
    if docker and not engine.answers():
        if not engine.state() and engine.own_pid() is None:
            say("no container engine runs: nothing to remove")
            return 0
        # machines of a dead engine can only be removed by a living one
        with step("container engine (to remove what it left)"):
            say(f"    {engine.up()}")
    with step(f"machines of {cluster.name}"):
        say(f"    removed: {', '.join(machines.down(cluster)) or 'nothing'}")
    if docker:
        left = machines.clusters_left()
        if left:
            say(f"    the engine stays: machines of {', '.join(left)} run")
            return 0
        with step("container engine and host settings"):
            own = bool(engine.state().get("started"))
            if own:
                engine.stop()
            say(
                f"    {'stopped; ' if own else ''}put back: {', '.join(engine.restore_host()) or 'nothing to put back'}"
            )
    return 0


def status(cluster: Cluster) -> int:
    """Print what runs and how to use it."""
    if machines.provider() == "docker":
        if not engine.answers():
            say("no container engine runs; `lab/lab up` starts everything")
            return 0
        found = {
            (item["Config"].get("Labels") or {}).get("kaas.machine"): item for item in machines.containers(cluster)
        }
    else:
        found = {}
    ready = kube.node_states(kube.query(cluster, "get", "nodes")) if kubeconfig(cluster.name).is_file() else {}
    say(f"cluster {cluster.name}  API {cluster.api_url}")
    for machine in cluster.machines:
        state = found.get(machine.name, {}).get("State", {}).get("Status", "absent" if found else "?")
        if machine is cluster.salt:
            text = "Salt master, CA, artifacts, registry"
        else:
            health = "Ready" if ready.get(machine.name) else "not Ready" if machine.name in ready else "-"
            text = f"{health:<10} {', '.join(machine.roles)}"
        say(f"  {machine.name:<6} {machine.address:<15} {state:<9} {text}")
    if kubeconfig(cluster.name).is_file():
        option = "" if cluster.name == "demo" else f"--cluster {cluster.name} "
        relative = kubeconfig(cluster.name).relative_to(ROOT)
        say(f"kubectl:    lab/lab {option}kubectl get nodes    or    export KUBECONFIG=$PWD/{relative}")
        url = kube.demo_url(cluster)
        if url:
            say(f"demo:       {url}    its story: lab/lab {option}demo")
        say(f"a machine:  lab/lab {option}exec {cluster.nodes[0].name} systemctl status")
        say(f"Salt:       lab/lab {option}salt '*' test.ping")
    return 0


def run() -> None:
    """Entry point."""
    LAB.mkdir(parents=True, exist_ok=True)
    sys.exit(main(sys.argv[1:]))
