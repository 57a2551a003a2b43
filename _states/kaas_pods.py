"""The pods on a node, below the level of Kubernetes."""


def absent(name, timeout=120):
    """
    The container runtime runs no pods: a node that leaves its cluster must not go on serving from what it still has.

    name
        Any text; shown in the output.
    timeout
        Seconds for stopping all of them.

    The kubelet must be stopped before (it would start them again). Without a running container runtime there is nothing
    to do.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": "No pod runs on this node"}
    if not __utils__["kaas_cri.usable"]():
        return ret
    try:
        found = __utils__["kaas_cri.pods"]()
        if not found:
            return ret
        ret["changes"] = {"removed": found}
        if __opts__["test"]:
            return {**ret, "result": None, "comment": f"{len(found)} pods would be stopped and removed"}
        __utils__["kaas_cri.remove"](found, timeout=timeout)
    except RuntimeError as error:
        comment = f"The pods of this node were not removed: {error}; `crictl pods` on the node shows what is left"
        return {**ret, "changes": {}, "result": False, "comment": comment}
    return {**ret, "comment": f"{len(found)} pods were stopped and removed"}
