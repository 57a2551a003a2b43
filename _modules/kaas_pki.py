"""
The certificates of this node, for people and checks.
"""

import json


def status(renew_before_days=None):
    """
    Each certificate of the node's pillar: expiry and what is wrong with it (empty: nothing).

    CLI Example::

        salt '*' kaas_pki.status
    """
    result = {}
    policies = json.loads(json.dumps((__pillar__.get("kaas") or {}).get("certificates") or {}))
    for purpose, policy in policies.items():
        cert, key, authority = (
            __utils__["kaas_file.read"](__opts__.get("kaas_root", "") + policy[part])
            for part in ("cert", "key", "ca_file")
        )
        problems = __utils__["kaas_pki.problems"](cert, key, authority, policy, renew_before_days=renew_before_days)
        expires = None
        if cert:
            try:
                expires = __utils__["kaas_pki.describe"](cert)["not_after"]
            except ValueError:
                expires = None
        result[purpose] = {"expires": expires, "problems": problems}
    return result
