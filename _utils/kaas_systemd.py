"""What systemd says about a unit, and whether its process is older than what it was started from."""

import datetime
import os
import subprocess
import time

PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NeedDaemonReload",
    "DropInPaths",
    "ExecMainStartTimestamp",
    "Result",
)


def systemctl(*words, timeout=90):
    """Run systemctl; return its output. Raises RuntimeError with what it printed."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise RuntimeError(f"systemctl {' '.join(words)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def parse_show(text):
    """Return ``{property: value}`` from the output of ``systemctl show``."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def show(unit):
    """Return the unit's properties (:data:`PROPERTIES`)."""
    return parse_show(systemctl("show", unit, "--timestamp=us+utc", f"--property={','.join(PROPERTIES)}"))


def started(properties):
    """Return when the unit's main process started, in seconds since the epoch; None when it never did.

    systemd prints ``Mon 2026-11-23 13:20:30.123456 UTC``.
    """
    text = properties.get("ExecMainStartTimestamp", "")
    if not text or text == "n/a":
        return None
    return datetime.datetime.strptime(f"{text.split(None, 1)[1]}+0000", "%Y-%m-%d %H:%M:%S.%f UTC%z").timestamp()


def needs_reload(properties, inputs):
    """Return whether systemd must read unit files again before a start.

    It notices a changed file by itself, but not the first drop-in of a unit: that one is looked for in its ``inputs``.
    """
    known = properties.get("DropInPaths", "").split()
    dropins = [path for path in inputs if ".service.d/" in path and os.path.exists(path)]
    return properties["NeedDaemonReload"] == "yes" or not set(dropins) <= set(known)


def newer_than(inputs, since):
    """Return the paths of ``inputs`` that were written or re-linked after ``since`` (seconds since the epoch).

    A symbolic link counts itself (an atomic switch makes a new link) and by its target.
    """
    found = []
    for path in inputs:
        times = [stat(path).st_mtime for stat in (os.lstat, os.stat) if os.path.lexists(path) and os.path.exists(path)]
        if times and max(times) > since:
            found.append(path)
    return found


def journal(unit, lines=15):
    """Return the last lines of the unit's journal, for an error message."""
    done = subprocess.run(
        ["journalctl", "--unit", unit, "--lines", str(lines), "--no-pager", "--output", "cat"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.stdout.strip()


def wait_active(unit, timeout, interval=0.1, other_than=None):
    """Wait until the unit is active. Returns None, or why it is not.

    other_than
        ``ExecMainStartTimestamp`` of the process that a restart replaces: until systemd has begun with the restart, the
        old process is still active, and it does not count.
    """
    deadline = time.monotonic() + timeout
    while True:
        properties = show(unit)
        state = properties["ActiveState"]
        if state == "active" and (other_than is None or properties["ExecMainStartTimestamp"] != other_than):
            return None
        if state == "failed":
            return f"{unit} failed ({properties['Result']})"
        if time.monotonic() >= deadline:
            return f"{unit} is still {state} ({properties['SubState']}) after {timeout} s"
        time.sleep(interval)
