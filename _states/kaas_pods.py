"""The pods on a node, below the level of Kubernetes."""

import os


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


def of_network(name, chosen, conflists, folder="/etc/cni/net.d"):
    """
    No pod runs whose network is another than the chosen one. To be asked before anything changes; changes nothing.

    name
        Any text.
    chosen
        The network of the cluster file.
    conflists
        ``{network: name of the CNI configuration that it makes pods with}``; networks with one name share their pods.
    folder
        Where these lie.

    A pod keeps the interface that it was made with. Were its network's programs taken away under it, it would run on
    without a network, and nobody would restart it.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": f"No pod of another network than {chosen}"}
    others = {
        conflist: network
        for network, conflist in sorted(conflists.items())
        if conflist != conflists.get(chosen) and os.path.exists(os.path.join(folder, conflist))
    }
    if not others or not __utils__["kaas_cri.usable"]():
        return ret
    try:
        found = __utils__["kaas_cri.networked"]()
    except RuntimeError as error:
        return {**ret, "result": False, "comment": f"{error}; is containerd.service active?"}
    if found:
        former = ", ".join(others.values())
        some = ", ".join([*found[:3], *(["..."] if len(found) > 3 else [])])
        comment = (
            f"{len(found)} pods of the network {former} run here ({some}) and would lose it: end all pods of the "
            "cluster first, by `salt '*.CLUSTER' state.apply kubelet.absent,containerd.emptied` "
            f"(docs/networks-calico-cilium.md), or write network.plugin: {former} again"
        )
        return {**ret, "result": False, "comment": comment}
    return ret
