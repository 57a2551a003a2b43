"""Kernel features that containers need."""


def modules(name, modules, reason=None):
    """
    Each kernel module is loaded or built in.

    name
        Any text.
    modules
        Names of kernel modules.
    reason
        The line of the cluster file that needs them, for the message.

    Salt's ``kmod.present`` knows loaded modules only and fails on kernels that have the feature built in.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": f"present: {', '.join(modules)}"}
    absent = [module for module in modules if not __utils__["kaas_kernel.present"](module)]
    if not absent:
        return ret
    ret["changes"] = dict.fromkeys(absent, "loaded")
    if __opts__["test"]:
        ret.update(result=None, comment=f"would be loaded: {', '.join(absent)}")
        return ret
    problems = [problem for module in absent if (problem := __utils__["kaas_kernel.load"](module))]
    if problems:
        advice = "install the modules of the running kernel, or boot the kernel that is installed"
        because = f"needed for {reason}: " if reason else ""
        ret.update(result=False, comment=because + "; ".join([*problems, advice]), changes={})
    return ret


def at_least(name, version, reason):
    """
    The kernel that runs is this version or a newer one. Nothing is changed here.

    name
        Any text.
    version
        ``"5.10"``.
    reason
        The line of the cluster file that needs it, for the message.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": ""}
    found = __utils__["kaas_kernel.release"]()
    ret["comment"] = f"Linux {found}"
    if __utils__["kaas_kernel.older"](found, version):
        advice = "boot a newer kernel, or choose another network"
        ret.update(result=False, comment=f"Linux {found} is older than {version}, which {reason} needs: {advice}")
    return ret
