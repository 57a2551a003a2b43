"""Binaries of one component in one version: verified, and switched in one step."""

import os
import shutil

BIN = "/usr/local/bin"


def installed(name, version, files, bin_dir=BIN, keep=2):
    """
    The component's files are there in this version, verified, and linked in ``bin_dir``.

    name
        The component, for example ``kubelet``.
    version
        Its version; the files go to ``/opt/kaas/<name>/<version>/``.
    files
        ``[{name, url, sha256 | checksum, member?}]``, from the pillar.
    bin_dir
        Folder of the links; None for files that are no programs, which get no link.
    keep
        How many versions stay on the node, the linked one included; the others are removed.

    Nothing is linked before every file is verified: a wrong checksum leaves what ran before untouched.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": f"{name} {version} is installed"}
    path = __utils__["kaas_artifact.folder"](name, version)
    missing = __utils__["kaas_artifact.missing"](files, path)
    unlinked = __utils__["kaas_artifact.unlinked"](files, path, bin_dir) if bin_dir else []
    old = [other for other in __utils__["kaas_artifact.versions"](name) if other != version][max(keep - 1, 0) :]
    if missing:
        ret["changes"]["fetched"] = {entry["name"]: entry["url"] for entry in missing}
    if unlinked:
        ret["changes"]["linked"] = dict.fromkeys(unlinked, version)
    if old:
        ret["changes"]["removed"] = old
    if not ret["changes"] or __opts__["test"]:
        if ret["changes"]:
            ret.update(result=None, comment=f"{name} {version} would be installed")
        return ret
    try:
        if missing:
            __utils__["kaas_artifact.fetch"](missing, path)
        if unlinked:
            __utils__["kaas_artifact.link"](unlinked, path, bin_dir)
        for other in old:
            __utils__["kaas_artifact.remove"](name, other)
    except (OSError, ValueError) as error:
        advice = "check `artifacts` in the cluster file and what its URL serves"
        ret.update(result=False, changes={}, comment=f"{name} {version}: {error}; {advice}")
    return ret


def absent(name, bin_dir=BIN):
    """
    No version of the component is on the node, and no link leads to one.

    name
        The component.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": f"{name} is not installed"}
    root = os.path.dirname(__utils__["kaas_artifact.folder"](name, "x"))
    if not os.path.isdir(root):
        return ret
    ret["changes"] = {"removed": __utils__["kaas_artifact.versions"](name)}
    if __opts__["test"]:
        ret.update(result=None, comment=f"{name} would be removed")
        return ret
    try:
        __utils__["kaas_artifact.remove_links"](name, bin_dir)
        shutil.rmtree(root)
    except OSError as error:
        advice = "end what uses the files, then apply this again"
        ret.update(result=False, changes={}, comment=f"{name} was not removed: {error}; {advice}")
        return ret
    ret["comment"] = f"{name} was removed"
    return ret
