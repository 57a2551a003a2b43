"""
The authorities of the clusters, on the CA minion.
"""

from pathlib import Path

ROOT = "/etc/kaas/pki"
DIRECTORY_MODE = 0o700
KEY_MODE = 0o600


def present(name):
    """
    A cluster's authorities exist: kubernetes, etcd and front-proxy, each a certificate and a key (0600, in a 0700
    directory).

    name: the cluster. What exists is never overwritten: a new authority would cut off every node that trusts the old
    one. Half of a
    pair is refused, because it means that something was lost that only a backup brings back.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": f"The authorities of cluster {name} exist."}
    directory = Path(__opts__.get("kaas_ca_root", ROOT)) / name
    authorities = __utils__["kaas_pki.authority_files"](directory)
    missing, broken, modes = _check(directory, authorities)
    if broken:
        return {**ret, "result": False, "comment": f"Cluster {name}: " + "; ".join(broken)}
    if not missing and not modes:
        return ret
    if __opts__["test"]:
        changes = dict.fromkeys(missing, "would be created")
        changes.update({str(path): f"mode would become {mode:04o}" for path, mode in modes.items()})
        comment = f"Cluster {name}: would make " + (", ".join(missing) or "file modes right")
        return {**ret, "result": None, "changes": changes, "comment": comment}
    __utils__["kaas_file.make_directory"](directory, DIRECTORY_MODE)
    for path, mode in modes.items():
        Path(path).chmod(mode)
        ret["changes"][str(path)] = f"mode {mode:04o}"
    for authority in missing:
        ret["changes"][authority] = "created, expires " + _create(authority, authorities[authority])
    ret["comment"] = f"Cluster {name}: authorities made or corrected."
    return ret


def _check(directory, authorities):
    """``([authorities to make], [what only a backup mends], {path: mode it should have})``"""
    missing, broken, modes = [], [], {}
    if __utils__["kaas_file.mode"](directory) not in (None, DIRECTORY_MODE):
        modes[directory] = DIRECTORY_MODE
    for authority, paths in authorities.items():
        texts = {part: __utils__["kaas_file.read"](path) for part, path in paths.items()}
        if not any(texts.values()) or _interrupted(paths, texts):
            missing.append(authority)
        elif not all(texts.values()):
            lost = next(path for part, path in paths.items() if not texts[part])
            broken.append(f"{lost} is missing while its other half exists: restore it from a backup")
        else:
            problem = __utils__["kaas_pki.pair_problem"](texts["certificate"], texts["key"])
            if problem:
                broken.append(f"{paths['certificate']}: {problem}: restore both files from a backup")
        if __utils__["kaas_file.mode"](paths["key"]) not in (None, KEY_MODE):
            modes[paths["key"]] = KEY_MODE
    return missing, broken, modes


def _create(authority, paths):
    """Make an authority, or finish one whose making was interrupted; returns the date it expires."""
    staged = paths["certificate"] + ".new"
    texts = {part: __utils__["kaas_file.read"](path) for part, path in paths.items()}
    if not _interrupted(paths, texts):
        made = __utils__["kaas_pki.create_authority"](authority)
        __utils__["kaas_file.write"](staged, made["certificate"])
        __utils__["kaas_file.write"](paths["key"], made["key"], mode=KEY_MODE)
    Path(staged).replace(paths["certificate"])
    return __utils__["kaas_pki.describe"](__utils__["kaas_file.read"](paths["certificate"]))["not_after"][:10]


def _interrupted(paths, texts):
    """Two files cannot appear in one step: a key whose certificate still waits beside its place was never in use."""
    staged = __utils__["kaas_file.read"](paths["certificate"] + ".new")
    return bool(
        staged
        and texts["key"]
        and not texts["certificate"]
        and not __utils__["kaas_pki.pair_problem"](staged, texts["key"])
    )
