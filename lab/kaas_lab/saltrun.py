"""Salt from the host: waiting for the minions, the one highstate, and a readable report when it fails."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from typing import Any

from . import machines, summary
from .cluster import Cluster, Machine
from .errors import LabError
from .run import environment, tail, wait
from .ui import say

HIGHSTATE_SECONDS = 1500


def wait_connected(cluster: Cluster, timeout: float = 180) -> None:
    """Wait until every machine's minion has subscribed to the master.

    A job published before a minion listens is lost for it and waits for its whole time-out, so ask the kernel, not
    Salt.
    """
    expected = {machine.address for machine in cluster.machines}
    ask = ["ss", "-Htn", "state", "established", "sport = :4505"]

    def ready() -> bool:
        listed = machines.execute(cluster, cluster.salt, ask, check=False).stdout
        return expected <= {
            line.split()[-1].rsplit(":", 1)[0].removeprefix("[::ffff:").rstrip("]") for line in listed.splitlines()
        }

    wait("all minions to connect to the master", ready, timeout=timeout)


def ping(cluster: Cluster) -> None:
    """LabError unless every minion answers test.ping."""
    expected = [machine.id for machine in cluster.machines]
    absent = expected
    for _attempt in range(4):
        argv = ["salt", "--list", ",".join(expected), "test.ping", "--timeout=8", "--out=json", "--static"]
        done = machines.execute(cluster, cluster.salt, argv, check=False, timeout=120)
        answers = summary.merged(done.stdout)
        absent = [name for name in expected if answers.get(name) is not True]
        if not absent:
            return
        time.sleep(1)
    raise LabError(
        f"no answer to test.ping from: {', '.join(absent)}; see `lab/lab exec NODE journalctl -u salt-minion`"
    )


def highstate(cluster: Cluster) -> None:
    """Run one `salt '*' state.highstate`; print one line per node as it returns.

    LabError with a report when anything failed. When a node still works for an earlier run (whose caller was killed),
    wait for that to end and run again.
    """
    returns, noise = _highstate(cluster)
    if summary.busy(returns):
        say(f"    still busy with an earlier run: {', '.join(summary.busy(returns))}; waiting for it")
        wait("the earlier run to end", lambda: not _running(cluster), timeout=HIGHSTATE_SECONDS, every=2)
        returns, noise = _highstate(cluster)
    absent = summary.missing(returns, [machine.id for machine in cluster.machines])
    failed = summary.failures(returns)
    if not absent and not failed:
        return
    report = [explain(cluster, failure) for failure in failed[:12]]
    report += [f"{node}: did not return" for node in absent]
    if not returns and noise.strip():
        report.append(tail(noise))
    raise LabError("the highstate failed\n" + "\n".join(report))


def _highstate(cluster: Cluster) -> tuple[dict[str, Any], str]:
    """Returns by minion id, and what salt said on standard error. Ends after HIGHSTATE_SECONDS at the latest."""
    argv = machines.command(cluster, cluster.salt, ["salt", "*", "state.highstate", "--out=json", "--out-indent=-1"])
    returns: dict[str, Any] = {}
    begin = time.monotonic()
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
            env=environment(),
        ) as process,
    ):
        assert process.stdout is not None
        watchdog = threading.Timer(HIGHSTATE_SECONDS, process.kill)
        watchdog.start()
        try:
            for line in process.stdout:
                for document in summary.documents(line):
                    for node, value in document.items():
                        returns[node] = value
                        say("    " + line_of(node, value, time.monotonic() - begin))
        finally:
            watchdog.cancel()
        errors.seek(0)
        return returns, errors.read()


def _running(cluster: Cluster) -> list[str]:
    """Minions that run a state function now."""
    argv = ["salt", "*", "saltutil.is_running", "state.*", "--out=json", "--static"]
    done = machines.execute(cluster, cluster.salt, argv, check=False, timeout=120)
    return sorted(node for node, jobs in summary.merged(done.stdout).items() if jobs)


def line_of(node: str, value: Any, seconds: float) -> str:
    """One line about one node's return."""
    counted = summary.count(value)
    numbers = f"{counted.total:4} states {counted.changed:4} changed {counted.failed:3} failed"
    return f"{node:<12} {numbers}  after {seconds:.1f} s"


def explain(cluster: Cluster, failure: summary.Failure) -> str:
    """A failed state for people: where, which, why, and the last journal lines of the unit that it is about."""
    where = f"{failure.node}: {failure.id}" + (f" ({failure.function}, {failure.sls})" if failure.sls else "")
    text = f"{where}\n{tail(failure.comment, 25)}"
    try:
        machine = cluster.machine(failure.node)
    except LabError:
        return text
    for unit in failure.units():
        journal = _journal(cluster, machine, unit)
        if journal:
            return f"{text}\n    last lines of {unit} on {machine.name}:\n{tail(journal, 20)}"
    return text


def _journal(cluster: Cluster, machine: Machine, unit: str) -> str:
    shown = machines.execute(
        cluster, machine, ["systemctl", "show", "--property=LoadState", unit], check=False, timeout=20
    ).stdout
    if "LoadState=loaded" not in shown:
        return ""
    argv = ["journalctl", "--no-pager", "--output=short-iso", "--lines=20", f"--unit={unit}"]
    return machines.execute(cluster, machine, argv, check=False, timeout=20).stdout
