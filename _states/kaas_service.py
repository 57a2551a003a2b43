"""A systemd unit that runs, runs what is on the disk, and answers.

Salt's ``watch`` restarts a service only in the run that changed its file: a highstate that was interrupted in between
leaves the old process for ever. Here the world decides: a process that is older than one of its inputs is restarted,
whoever changed the input and when.
"""

import contextlib

ACTIVE = ("active", "reloading")


def _fail(ret, unit, reason):
    ret["result"] = False
    log = __utils__["kaas_systemd.journal"](unit)
    ret["comment"] = f"{reason}\n{unit} journal:\n{log}" if log else reason
    return ret


def _locked(lock, timeout):
    """Take the cluster-wide lock ``lock`` (see :mod:`kaas_etcd`); return the handle. Raises TimeoutError."""
    return __salt__["kaas_etcd.lock"](f"restart/{lock}", timeout=timeout)


def running(name, inputs=(), health=None, gate=None, lock=None, timeout=120):
    """
    The unit is enabled, active, started from the present inputs, and healthy.

    name
        The unit, for example ``kubelet.service``.
    inputs
        Files the process was started from: binary, unit file, configuration, certificates. One that is newer than the
        process causes a restart.
    health
        ``{url, ca, cert, key}``: a GET that must answer 200 within ``timeout``.
    gate
        Like ``health``: waited for before a start of a unit that is not active (never before a restart), so that an
        agent is not started into its own exponential back-off. It is no part of the unit: a reboot needs no gate.
    lock
        Name of a lock in etcd held from a restart until the unit is healthy again, so that one node at a time restarts.
    timeout
        Seconds for each of the waits.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": f"{name} runs"}
    found = __utils__["kaas_systemd.show"](name)
    if found["LoadState"] != "loaded":
        if __opts__["test"]:
            ret.update(
                result=None,
                comment=f"{name} would be started (its unit file is not there yet)",
                changes={"running": True},
            )
            return ret
        ret.update(
            result=False,
            comment=f"{name}: systemd knows no such unit ({found['LoadState']}); its configured.sls must come first",
        )
        return ret
    active = found["ActiveState"] in ACTIVE
    enabled = found["UnitFileState"] in ("enabled", "static", "generated")
    newer = __utils__["kaas_systemd.newer_than"](inputs, __utils__["kaas_systemd.started"](found)) if active else []
    if not enabled:
        ret["changes"]["enabled"] = True
    if not active:
        ret["changes"]["running"] = True
    elif newer:
        ret["changes"]["restarted"] = f"newer than the process: {', '.join(newer)}"
    if __opts__["test"]:
        if ret["changes"]:
            ret["result"] = None
            ret["comment"] = f"{name} would be {' and '.join(ret['changes'])}"
        return ret
    try:
        if __utils__["kaas_systemd.needs_reload"](found, inputs):
            __utils__["kaas_systemd.systemctl"]("daemon-reload")
        if not enabled:
            __utils__["kaas_systemd.systemctl"]("enable", "--quiet", "--no-reload", name)
        problem = _bring_up(name, found, newer, gate, health, lock, timeout)
    except (RuntimeError, TimeoutError) as error:
        problem = str(error)
    if problem:
        return _fail(ret, name, problem)
    if ret["changes"]:
        ret["comment"] = f"{name}: {', '.join(ret['changes'])}"
    return ret


def _bring_up(name, found, newer, gate, health, lock, timeout):
    """Start or restart the unit as needed, and wait until it is healthy; return None or the problem."""
    # Starts and restarts do not block: a unit of Type=notify may wait for other nodes, and only our own wait is bounded
    # and explained.
    if found["ActiveState"] not in ACTIVE:
        problem = __utils__["kaas_probe.wait_http"](timeout=timeout, **gate) if gate else None
        if problem:
            return f"{name} was not started: {problem}"
        __utils__["kaas_systemd.systemctl"]("start", "--no-block", name)
        return __utils__["kaas_systemd.wait_active"](name, timeout) or _unhealthy(health, timeout)
    if not newer:
        return _unhealthy(health, timeout)
    # The next node may restart only when this one serves again.
    handle = _locked(lock, timeout) if lock else contextlib.nullcontext()
    with handle:
        __utils__["kaas_systemd.systemctl"]("restart", "--no-block", name)
        return __utils__["kaas_systemd.wait_active"](
            name, timeout, other_than=found["ExecMainStartTimestamp"]
        ) or _unhealthy(health, timeout)


def _unhealthy(health, timeout):
    """Wait for the health check, if there is one; return None or what is wrong."""
    return __utils__["kaas_probe.wait_http"](timeout=timeout, **health) if health else None


def mod_watch(name, **_kwargs):
    """
    Predict a restart under ``test=True``, when a watched state would change an input that is still the old one.

    Outside test mode :func:`running` has looked at the disk itself, and nothing is left to do.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": f"{name} runs"}
    if __opts__["test"]:
        ret.update(result=None, comment=f"{name} would be restarted", changes={"restarted": "its inputs would change"})
    return ret


def dead(name):
    """
    The unit is neither active nor enabled; a unit that does not exist is fine.

    name
        The unit.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": f"{name} does not run"}
    found = __utils__["kaas_systemd.show"](name)
    if found["LoadState"] != "loaded":
        return ret
    if found["ActiveState"] not in ("inactive", "failed"):
        ret["changes"]["running"] = False
    if found["UnitFileState"] == "enabled":
        ret["changes"]["enabled"] = False
    if not ret["changes"] or __opts__["test"]:
        ret["result"] = None if ret["changes"] else True
        return ret
    try:
        __utils__["kaas_systemd.systemctl"]("disable", "--quiet", "--now", name)
    except RuntimeError as error:
        return _fail(ret, name, str(error))
    return ret
