"""Stop a highstate that would run with stale modules.

Minions with ``autoload_dynamic_modules: False`` save 2.7 s of every run; this state is what makes that safe.
"""

import time


def current(name, digest, timeout=40):
    """
    The minion's synced Python files are those of the master.

    name
        Any text; shown in the output.
    digest
        The pillar's ``kaas:formula``. None (a master that has the formula from gitfs) checks nothing.
    timeout
        Seconds to keep syncing: the master's file list is up to 20 s old (``fileserver_list_cache_time``).

    Syncing is not a change of the node, and Salt's own automatic sync does it under ``test=True`` too: so does this state.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": "The synced modules are the master's"}
    if digest is None:
        ret["comment"] = "The master does not tell the formula's hash: relying on autoload_dynamic_modules"
        return ret
    before = found = __salt__["kaas_formula.digest"]()
    deadline = time.monotonic() + timeout
    while found != digest and time.monotonic() < deadline:
        __salt__["saltutil.sync_all"](refresh=True)
        found = __salt__["kaas_formula.digest"]()
        if found != digest:
            time.sleep(2)
    if found != digest:
        ret["result"] = False
        ret["comment"] = (
            f"The synced modules ({found[:12]}) are not the master's ({digest[:12]}) after {timeout} s of syncing. "
            "Check that the master's file_roots and module_dirs lead to one and the same checkout, then run the highstate again"
        )
    elif found != before:
        ret["changes"] = {"formula": {"old": before[:12], "new": found[:12]}}
        ret["comment"] = "Synced the formula's modules"
    return ret
