"""Stop a highstate that would run with stale modules.

Minions with ``autoload_dynamic_modules: False`` save 2.7 s of every run; this state is what makes that safe.
"""

import os
import time

KINDS = ("utils", "modules", "states")


def _found():
    folders = {kind: os.path.join(__opts__["extension_modules"], kind) for kind in KINDS}
    return __utils__["kaas_formula.digest"](folders)


def current(name, digest, stamp, timeout=40, cluster_warnings=()):
    """
    The minion's synced Python files are those of the master.

    name
        Any text; shown in the output.
    digest
        The pillar's ``kaas:formula``. None (a master that has the formula from gitfs) checks nothing.
    stamp
        File that remembers what was verified, so that the next run need not sync.
    timeout
        Seconds to keep syncing: the master's file list is up to 20 s old (``fileserver_list_cache_time``).

    cluster_warnings
        What the checks warn of in the cluster file (the pillar's ``kaas:warnings``); shown as the state's warnings. It
        changes no result.

    Syncing is not a change of the node, and Salt's own automatic sync does it under ``test=True`` too: so does this
    state.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": "The synced modules are the master's"}
    if cluster_warnings:
        ret["warnings"] = list(cluster_warnings)
    if digest is None:
        ret["comment"] = "The master does not tell the formula's hash: relying on autoload_dynamic_modules"
        return ret
    deadline = time.monotonic() + timeout
    while (found := _found()) != digest and time.monotonic() < deadline:
        time.sleep(1)
        for kind in KINDS:
            __salt__[f"saltutil.sync_{kind}"](refresh=kind == KINDS[-1])
    if found != digest:
        ret["result"] = False
        ret["comment"] = (
            f"The synced modules ({found[:12]}) are not the master's ({digest[:12]}) after {timeout} s of syncing. "
            "If the formula was changed while this run was under way, run it again; "
            "else check that the master's file_roots and module_dirs lead to one checkout"
        )
        return ret
    if __utils__["kaas_file.read"](stamp) != digest:
        __utils__["kaas_file.write"](stamp, digest)
        ret["comment"] = "Synced the formula's modules"
    return ret
