"""Which version of the formula's Python files this minion has synced."""

import os


def _folders():
    return {kind: os.path.join(__opts__["extension_modules"], kind) for kind in ("modules", "states", "utils")}


def digest():
    """
    Return the sha256 over the formula's synced Python files; the master's own is the pillar key ``kaas:formula``.

    CLI Example:

    .. code-block:: bash

        salt '*' kaas_formula.digest
    """
    return __utils__["kaas_formula.digest"](_folders())
