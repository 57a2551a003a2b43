"""The container engine: the one that runs already, or a dockerd of the lab's own, started by hand and stopped without
a trace.

Machines without an init system that starts services (build containers, small virtual machines) have no dockerd
running. The lab then starts one with its data under build/engine. Its state in /run/kaas-lab-engine says that it is
the lab's, and holds what has to be put back afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from . import host
from .errors import LabError
from .paths import ENGINE_DATA, ENGINE_RUN, ROOT
from .run import environment, run, tail, wait
from .ui import say

CAP_SYS_RESOURCE = 24
BRIDGE = "172.31.255.1/24"
SOCKET = Path("/var/run/docker.sock")
# dockerd and its containerd make these beside what they are told to use
MADE_BY_ENGINE = [Path("/run/docker"), Path("/run/containerd")]


def state() -> dict[str, Any]:
    """What the lab noted on this boot: {boot, sysctls, forward_policy, folders, started, data}.

    Empty after a reboot or when nothing was noted.
    """
    try:
        noted = json.loads((ENGINE_RUN / "state.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return noted if noted.get("boot") == host.boot_id() else {}


def note_state() -> None:
    """Note the host's settings before the lab changes any of them; a note of this boot stays as it is."""
    if state():
        return
    ENGINE_RUN.mkdir(parents=True, exist_ok=True)
    data = {
        "boot": host.boot_id(),
        "sysctls": host.read_sysctls(),
        "forward_policy": _forward_policy(),
        "folders": [str(path) for path in MADE_BY_ENGINE if path.exists()],
        "started": False,
    }
    _write(data)


def answers() -> bool:
    """True when an engine answers on the default socket."""
    return run(["docker", "version", "--format", "{{.Server.Version}}"], check=False, timeout=20).returncode == 0


def up() -> str:
    """Make sure that an engine runs; returns what was found or done."""
    pid = own_pid()
    if answers():
        root = Path(run(["docker", "info", "--format", "{{.DockerRootDir}}"]).stdout.strip())
        if pid is None:
            return f"the engine that runs already (data in {root})"
        # The engine names its folder without symbolic links; the working trees of one clone share theirs by one.
        if root == (ENGINE_DATA / "root").resolve() and intact(root):
            return f"the lab's engine runs (pid {pid})"
        say(f"    the lab's engine has its data in {root}, which is gone or another clone's: restarting it here")
        stop()
    elif pid is not None:
        say(f"    the lab's engine (pid {pid}) does not answer: restarting it")
        stop()
    _clear_dead()
    if not intact(ENGINE_DATA / "root"):
        shutil.rmtree(ENGINE_DATA / "root", ignore_errors=True)
    return f"started dockerd (pid {_start()})"


def intact(root: Path) -> bool:
    """False for an engine's data folder that was removed in part: `rm -rf build` stops at what is mounted."""
    return all((root / part).is_dir() for part in ("image", "containers", "network", "volumes"))


def own_pid() -> int | None:
    """Process id of the engine that the lab started, when it lives (pid files of dead or other processes don't
    count).
    """
    try:
        pid = int((ENGINE_RUN / "dockerd.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if _is_own(pid, "dockerd") else None


def stop(seconds: float = 40) -> None:
    """Stop the lab's own engine and what it left running; does nothing to an engine of somebody else."""
    pid = own_pid()
    if pid is not None:
        _terminate(pid, seconds)
    _clear_dead()


def restore_host() -> list[str]:
    """Undo what the engine and the nodes changed on the host; returns what was put back. Only after `stop`."""
    noted = state()
    done = []
    if noted.get("started"):
        done += _clear_firewall(noted.get("forward_policy", "ACCEPT"))
        if run(["ip", "link", "show", "docker0"], check=False).returncode == 0:
            run(["ip", "link", "delete", "docker0"], check=False)
            done.append("docker0")
        _clear_cgroups()
        for path in MADE_BY_ENGINE:
            if str(path) not in noted.get("folders", []):
                _unmount_below(path)
                shutil.rmtree(path, ignore_errors=True)
    done += host.restore_sysctls(noted.get("sysctls", {}))
    shutil.rmtree(ENGINE_RUN, ignore_errors=True)
    return done


def lacks_sys_resource(status: str) -> bool:
    """True when /proc/self/status shows a bounding set without CAP_SYS_RESOURCE."""
    match = re.search(r"^CapBnd:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return match is not None and not int(match.group(1), 16) >> CAP_SYS_RESOURCE & 1


def _start() -> int:
    ENGINE_DATA.mkdir(parents=True, exist_ok=True)
    ENGINE_RUN.mkdir(parents=True, exist_ok=True)
    pid_file = ENGINE_RUN / "dockerd.pid"
    argv = [
        "dockerd",
        "--data-root",
        str(ENGINE_DATA / "root"),
        "--exec-root",
        str(ENGINE_RUN / "exec"),
        "--pidfile",
        str(pid_file),
    ]
    argv += ["--host", f"unix://{SOCKET}", "--storage-driver", "overlay2", "--oom-score-adjust", "0"]
    argv += ["--bip", BRIDGE, "--log-level", "warn"]
    if lacks_sys_resource(Path("/proc/self/status").read_text()):
        wrapper = ROOT / "lab" / "labrunc"
        argv += ["--add-runtime", f"labrunc={wrapper}", "--default-runtime", "labrunc"]
    log = ENGINE_DATA / "dockerd.log"
    with log.open("ab") as stream:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            cwd="/",
            env=environment(LABRUNC_REAL=shutil.which("runc", path=environment()["PATH"]) or "runc"),
        )
    noted = state()
    noted.update(started=True, data=str(ENGINE_DATA))
    _write(noted)

    def ready() -> bool:
        if process.poll() is not None:
            raise LabError(
                f"dockerd ended with {process.returncode} (log: {log})\n{tail(log.read_text(errors='replace'))}"
            )
        return answers()

    try:
        wait("the container engine", ready, timeout=60, every=0.2)
    except LabError as err:
        raise LabError(f"{err}\n{tail(log.read_text(errors='replace'))}") from err
    return process.pid


def _write(data: dict[str, Any]) -> None:
    ENGINE_RUN.mkdir(parents=True, exist_ok=True)
    partial = ENGINE_RUN / "state.json.partial"
    partial.write_text(json.dumps(data, indent=1) + "\n")
    partial.rename(ENGINE_RUN / "state.json")


def _clear_dead() -> None:
    """Remove what a killed engine leaves: its containerd and shims, pid files that would keep a new one from
    starting, its socket.
    """
    for pid in _processes_of_exec_root():
        _terminate(pid, 10)
    # machines whose shim was killed live on without anybody who could stop them, and keep their addresses
    if not _somebody_elses_engine():
        for pid in _orphaned_machines():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # dockerd leaves its rules behind; one that masquerades what does not leave by a bridge that is gone would
        # rewrite the addresses of the machines on the next bridge with the same network
        if state().get("started"):
            _clear_firewall(state()["forward_policy"])
    for folder in (ENGINE_RUN, Path(state().get("data", ENGINE_DATA)), ENGINE_DATA):
        _unmount_below(folder)
    for pid_file in (ENGINE_RUN / "dockerd.pid", ENGINE_RUN / "exec" / "containerd" / "containerd.pid"):
        pid_file.unlink(missing_ok=True)
    if SOCKET.exists() and not answers() and not _somebody_elses_engine():
        SOCKET.unlink(missing_ok=True)


def _processes_of_exec_root() -> list[int]:
    """containerd and its shims below our exec root, newest state of /proc; shims come after containerd, which
    would restart none.
    """
    marker = str(ENGINE_RUN / "exec")
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        words = _cmdline(int(entry.name))
        if words and Path(words[0]).name.startswith("containerd") and any(marker in word for word in words[1:]):
            found.append(int(entry.name))
    return sorted(found)


def _orphaned_machines() -> list[int]:
    """First processes of the lab's machines, told by the mount that the Vagrantfile gives to each of them."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            is_first = re.search(r"^NSpid:\s.*\s1$", (entry / "status").read_text(), re.MULTILINE)
            if is_first and " /etc/lab-resolv.conf " in (entry / "mountinfo").read_text():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _unmount_below(folder: Path) -> None:
    """Detach what is mounted below a folder (a killed engine leaves network namespaces and its own data folder so)."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True):
        run(["umount", "--lazy", point], check=False)


def _somebody_elses_engine() -> bool:
    return any(_program(int(entry.name)) == "dockerd" for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _is_own(pid: int, program: str) -> bool:
    return _program(pid) == program and any(str(ENGINE_RUN) in word for word in _cmdline(pid))


def _program(pid: int) -> str:
    words = _cmdline(pid)
    return Path(words[0]).name if words else ""


def _cmdline(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def _terminate(pid: int, seconds: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + seconds
        while time.monotonic() < end and _alive(pid):
            time.sleep(0.1)
        if _alive(pid):
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def _forward_policy() -> str:
    listed = run(["iptables", "-S", "FORWARD"], check=False).stdout
    match = re.search(r"^-P FORWARD (\w+)$", listed, re.MULTILINE)
    return match.group(1) if match else "ACCEPT"


def firewall_undo(listed: str) -> list[list[str]]:
    """iptables arguments that remove the engine's rules and chains from one table, given its `iptables -S` listing.

    Rules that jump to a DOCKER chain or name one of the engine's bridges go first, then the chains are emptied, then
    deleted.
    """
    lines = listed.splitlines()
    chains = [line.split()[1] for line in lines if re.match(r"-N DOCKER\S*$", line)]
    ours = re.compile(r"(-j DOCKER\S*|[-]-?[io]\S* (docker0|br-[0-9a-f]{12})|-s 172\.31\.255\.0/24)")
    undo = [
        ["-D", *line.split()[1:]]
        for line in lines
        if line.startswith("-A ") and not line.split()[1].startswith("DOCKER") and ours.search(line)
    ]
    return undo + [["-F", chain] for chain in chains] + [["-X", chain] for chain in chains]


def _clear_firewall(policy: str) -> list[str]:
    removed = 0
    for table in ("filter", "nat"):
        for arguments in firewall_undo(run(["iptables", "-t", table, "-S"], check=False).stdout):
            removed += run(["iptables", "-t", table, *arguments], check=False).returncode == 0
    run(["iptables", "-P", "FORWARD", policy], check=False)
    return [f"{removed} firewall rules and chains"] if removed else []


def _clear_cgroups() -> None:
    """Remove the empty cgroups that the engine leaves below each hierarchy's docker folder."""
    for base in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*/")):
        for path, _folders, _files in os.walk(base / "docker", topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()
