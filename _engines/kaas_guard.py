"""
A guard in the Salt master: a minion speaks for itself alone.

The master's own processes act on what minions send: Salt 3008.3 publishes any job that an event ``salt/job.../publish``
or ``salt/batch/<jid>/new`` describes, and lets a return name another minion. So root on one node would be root on all
of them, whatever ``peer`` says. This engine puts a list of what is allowed before the functions that take such data.

Master configuration::

    engines:
      - kaas_guard: {}          # or {events: ['custom/{id}/.+']} for events of your own; {id} is the minion that sends

The guard is set up when Salt loads the engine: in the master's first process, before it forks the workers, which
inherit it. If that fails the master does not start.
"""

import logging
import re
import sys
import time

import salt.defaults.exitcodes
import salt.exceptions
import salt.master
import salt.utils.event

log = logging.getLogger(__name__)

# What the minions' own code sends. Whole tags; "{id}" is the sender. None may begin with salt/job and end with
# /publish, or begin with salt/batch.
EVENTS = (
    r"minion_start",
    r"_salt_error",
    r"salt/minion/{id}/start",
    r"salt/beacon/{id}/[^\n]+",
    r"salt/job/[0-9]+/prog/{id}/[0-9]+",
    r"minion/refresh/{id}",
)
# A syndic's, and those of minions that stand for other devices: both name other ids.
CLOSED = ("_syndic_return", "_register_resources")
# With this key Salt takes an event for one of another master.
FOREIGN = "__peer_id"


def __virtual__():
    if __opts__.get("__role") != "master":
        return False, "kaas_guard is an engine of the master"
    try:
        install(__opts__)
    except Exception:
        # Loaders swallow exceptions; a master without its guard must not run.
        log.critical("kaas_guard could not be set up: the master ends", exc_info=True)
        sys.exit(salt.defaults.exitcodes.EX_GENERIC)
    return True


def start(events=()):
    """The engine's process has no work: the guard is in the workers. Salt would start it again if it ended."""
    del events  # read by install()
    while True:
        time.sleep(3600)


def install(opts):
    """Put the guard in front of the master's functions for minions. Once per process."""
    functions = salt.master.AESFuncs
    if hasattr(functions.run_func, "guarded"):
        return
    original, patterns = functions.run_func, EVENTS + extra_events(opts)
    missing = {"_minion_event", "_return", *CLOSED} - set(functions.expose_methods)
    if missing:
        raise salt.exceptions.SaltMasterError(f"this Salt has no {', '.join(sorted(missing))}: the guard does not fit")

    def run_func(self, func, load):
        problem = refusal(func, load, patterns)
        if not problem:
            return original(self, func, load)
        log.warning("kaas_guard: %s of %s refused: %s", func, load.get("id"), problem)
        return {"error": f"kaas_guard: {problem}"}, {"fun": "send"}

    run_func.guarded = True
    functions.run_func = run_func


def extra_events(opts):
    """Tags that the operator allows besides :data:`EVENTS`."""
    for engine in opts.get("engines") or []:
        if isinstance(engine, dict) and "kaas_guard" in engine:
            return tuple((engine["kaas_guard"] or {}).get("events", ()))
    return ()


def refusal(func, load, patterns=EVENTS):
    """Why a minion may not send this to the master's function ``func``, or None. ``load["id"]`` is proven by Salt."""
    if func in CLOSED and (func != "_register_resources" or load.get("resources")):
        return f"{func} is closed: it speaks for other minions"
    if func == "_minion_event":
        return _event_refusal(load, patterns)
    if func == "_return":
        return _return_refusal(load)
    if func == "_pillar" and load.get("ext"):
        return "a minion chooses no external pillar"
    if func in ("minion_pub", "minion_publish") and load.get("ret"):
        return "a minion chooses no returner for others"
    return None


def _event_refusal(load, patterns):
    if load.get("pretag") is not None:
        return "pretag is for syndics"
    events = load.get("events", [load])
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        return "events are not a list of mappings"
    for event in events:
        tag = event.get("tag")
        if not isinstance(tag, str) or not any(_matches(pattern, tag, load["id"]) for pattern in patterns):
            return f"the event's tag is not one of this minion's: {str(tag)[:80]!r}"
        data = event.get("data")
        if FOREIGN in event or (isinstance(data, dict) and (FOREIGN in data or "minions" in data)):
            return "the event speaks for another master"
    return None


def _matches(pattern, tag, minion_id):
    return re.fullmatch(pattern.replace("{id}", re.escape(minion_id)), tag) is not None


def _return_refusal(load):
    if "resource_id" in load:
        return "a minion returns for itself alone"
    if FOREIGN in load:
        return "the return speaks for another master"
    if not isinstance(load.get("jid"), str) or "/" in load["jid"]:
        return "the job's id is not one"
    # Salt makes event tags of the keys of failed states.
    names = load.get("fun") if isinstance(load.get("fun"), list) else [load.get("fun")]
    if load.get("retcode") and set(map(str, names)) & set(salt.utils.event.SUB_EVENT):
        for key, state in _states(load.get("return"), several=isinstance(load.get("fun"), list)):
            words = str(key).split("_|-")
            if "/" in words[0] + words[-1] or (isinstance(state, dict) and FOREIGN in state):
                return "a state's key is not one"
    return None


def _states(returned, several):
    """The (key, state) pairs of a return; of all its parts when the job had several functions."""
    parts = [returned]
    if several and isinstance(returned, (dict, list)):
        parts = list(returned.values()) if isinstance(returned, dict) else returned
    for part in parts:
        if isinstance(part, dict):
            yield from part.items()
