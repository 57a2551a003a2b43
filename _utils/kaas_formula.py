"""The identity of the formula's Python files: a minion that does not sync at every run must never run stale ones."""

import hashlib
import os


def digest(folders):
    """Return the sha256 over the ``kaas_*.py`` files below ``folders``.

    folders
        ``{kind: path}``; the same kinds on master and minion (``modules``, ``states``, ``utils``). A folder that does
        not exist counts as empty.
    """
    total = hashlib.sha256()
    for kind, folder in sorted(folders.items()):
        names = os.listdir(folder) if os.path.isdir(folder) else []
        for name in sorted(names):
            if name.startswith("kaas_") and name.endswith(".py"):
                with open(os.path.join(folder, name), "rb") as handle:
                    content = hashlib.sha256(handle.read()).hexdigest()
                total.update(f"{kind}/{name} {content}\n".encode())
    return total.hexdigest()
