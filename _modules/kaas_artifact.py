"""Check the installed artifacts of this node."""


def verify():
    """
    Hash every installed artifact again and compare.

    Returns ``{component: [problem, ...]}`` of those that are wrong; empty when all are right.

    The highstate only compares size, times, inode and mode.

    CLI Example:

    .. code-block:: bash

        salt '*' kaas_artifact.verify
    """
    found = {}
    for component, artifact in __pillar__["kaas"].get("artifacts", {}).items():
        path = __utils__["kaas_artifact.folder"](component, artifact["version"])
        problems = __utils__["kaas_artifact.verify"](artifact["files"], path)
        if problems:
            found[component] = problems
    return found
