"""Running programs: no shell, no terminal, no standard input, errors that say what was run."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import LabError

# cron, CI runners and sudo often leave out the folders where iptables, dockerd, sysctl and Go live
SBIN = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/go/bin"]


def environment(**extra: str) -> dict[str, str]:
    """The environment for child processes: ours, with the sbin folders in PATH, without prompts."""
    env = dict(os.environ)
    parts = env.get("PATH", "/usr/bin:/bin").split(":")
    env["PATH"] = ":".join(parts + [path for path in SBIN if path not in parts])
    env.setdefault("DEBIAN_FRONTEND", "noninteractive")
    env.setdefault("VAGRANT_CHECKPOINT_DISABLE", "1")
    env.update(extra)
    return env


def run(
    argv: Sequence[str | Path],
    *,
    check: bool = True,
    timeout: float | None = 600,
    stdin: str | None = None,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep its output.

    With `check`, a failure raises LabError with the last lines of what it printed.
    """
    command = [str(part) for part in argv]
    try:
        done = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=env or environment(),
            cwd=cwd,
            check=False,
        )
    except FileNotFoundError as err:
        raise LabError(f"{command[0]}: not installed") from err
    except subprocess.TimeoutExpired as err:
        raise LabError(f"no end after {timeout:.0f} s: {' '.join(command)}") from err
    if check and done.returncode != 0:
        raise LabError(f"exit {done.returncode}: {' '.join(command)}\n{tail(done.stderr or done.stdout)}")
    return done


def output(argv: Sequence[str | Path], *, timeout: float | None = 600) -> str:
    """Standard output of a program that must succeed, stripped."""
    return run(argv, timeout=timeout).stdout.strip()


def logged(argv: Sequence[str | Path], log: Path, *, timeout: float, env: dict[str, str] | None = None) -> None:
    """Run a program with its output in a log file; on failure raise LabError with the end of that log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [str(part) for part in argv]
    with log.open("w") as stream:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                env=env or environment(),
                check=False,
            )
        except FileNotFoundError as err:
            raise LabError(f"{command[0]}: not installed") from err
        except subprocess.TimeoutExpired as err:
            raise LabError(
                f"no end after {timeout:.0f} s: {' '.join(command)}\n{tail(log.read_text(errors='replace'))}"
            ) from err
    if done.returncode != 0:
        raise LabError(
            f"exit {done.returncode}: {' '.join(command)} (log: {log})\n{tail(log.read_text(errors='replace'))}"
        )


def streamed(argv: Sequence[str | Path], *, timeout: float) -> None:
    """Run a program whose own output is the progress to show; LabError when it fails."""
    command = [str(part) for part in argv]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=timeout, env=environment(), check=False)
    except subprocess.TimeoutExpired as err:
        raise LabError(f"no end after {timeout:.0f} s: {' '.join(command)}") from err
    if done.returncode != 0:
        raise LabError(f"exit {done.returncode}: {' '.join(command)}")


def tail(text: str, lines: int = 30) -> str:
    """The last lines of a text, indented."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-lines:])


def wait(what: str, ready: Callable[[], bool], *, timeout: float, every: float = 0.3) -> None:
    """Call `ready` until it is true; LabError after `timeout` seconds."""
    end = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > end:
            raise LabError(f"waited {timeout:.0f} s in vain for: {what}")
        time.sleep(every)
