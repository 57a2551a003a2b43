"""What in a Salt master's configuration would let one node reach beyond itself. Pure functions over its options."""

import os
import re

GUARD = "kaas_guard"
# Functions that no regular expression of `peer` may match.
DANGEROUS = ("cmd.run", "state.apply", "file.read", "pillar.items", "kaas_ca.sign_operator", "kaas_ca.issue.more")
# option -> (values that are fine, why others are not)
PLAIN: dict[str, tuple] = {
    "open_mode": ((False, None), "every key is accepted, also one that takes a known minion's name"),
    "auto_accept": ((False, None), "anybody on the network becomes a minion, under a name of his choice"),
    "autosign_grains_dir": ((None, ""), "grains are the minion's own words"),
    "file_recv": ((False, None), "minions write files on the master"),
    "on_demand_ext_pillar": (([], None), "a minion chooses an external pillar that the master runs for it"),
    "pillar_opts": ((False, None), "every minion's pillar holds the master's configuration"),
    "pillar_cache": ((False, None), "pillars, with the secrets in them, are kept"),
    "sign_pub_messages": ((True,), "minions cannot tell the master's jobs from another's"),
    "peer_run": (({}, None), "minions run runners on the master"),
    "reactor": (
        ([], {}, None),
        "events of minions are their own words; a reaction must not act on them without checking",
    ),
    "log_level_logfile": (
        (None, "critical", "error", "warning", "info", "quiet"),
        "the log repeats what is sent, also pillars",
    ),
}


def problems(opts):
    """
    Sentences about dangerous options, ``[]`` when there are none.

    opts: the master's options, as Salt reads them. Every sentence begins with the option's name.
    """
    found = [
        f"{option}: {str(opts.get(option))[:80]}: {why}"
        for option, (fine, why) in PLAIN.items()
        if opts.get(option) not in fine
    ]
    if int(opts.get("minimum_auth_version") or 0) < 3:
        found.append(
            "minimum_auth_version: less than 3: with an older protocol every minion may use every minion's name"
        )
    if os.path.isfile(opts.get("autosign_file") or ""):
        found.append(f"autosign_file: {opts['autosign_file']} exists: keys are accepted by name alone")
    if GUARD not in {name for engine in opts.get("engines") or [] for name in _names(engine)}:
        found.append(f"engines: {GUARD} is missing: Salt's master runs jobs that events of minions describe")
    return found + _peer(opts.get("peer") or {}) + _roots(opts)


def _names(engine):
    return list(engine) if isinstance(engine, dict) else [engine]


def _peer(peer):
    found = []
    for requester, rules in peer.items():
        for rule in rules if isinstance(rules, list) else [rules]:
            if not isinstance(rule, dict):
                found.append(f"peer: {requester}: {rule} may be called on every minion; name the CA minion")
                continue
            for target, functions in rule.items():
                if re.search(r"[*?\[\]@ ]", target):
                    found.append(f"peer: {requester}: {target} is more than one minion id")
                for function in functions if isinstance(functions, list) else [functions]:
                    expression = str(next(iter(function)) if isinstance(function, dict) else function)
                    matched = [name for name in DANGEROUS if _matches(expression, name)]
                    if matched:
                        found.append(f"peer: {requester}: {target}: {expression} also allows {', '.join(matched)}")
    return found


def _matches(expression, name):
    try:
        return re.match(expression, name)
    except re.error:
        return False


def _roots(opts):
    """Every accepted minion reads every file below the file roots."""
    secret = {"pki_dir": opts.get("pki_dir"), "cachedir": opts.get("cachedir")}
    for entry in opts.get("ext_pillar") or []:
        if isinstance(entry, dict) and isinstance(entry.get("kaas"), dict):
            secret["the clusters' secrets"] = entry["kaas"].get("secrets")
    for number, path in enumerate(path for paths in (opts.get("pillar_roots") or {}).values() for path in paths):
        secret[f"pillar_roots {number}"] = path
    found = []
    for root in sorted({path for paths in (opts.get("file_roots") or {}).values() for path in paths}):
        real = os.path.realpath(root)
        for what, path in secret.items():
            if path and (os.path.realpath(path) + os.sep).startswith(real.rstrip(os.sep) + os.sep):
                found.append(f"file_roots: {root} holds {what} ({path}): every minion can read it")
    return found
