"""
The certificates of a node: keys made here, certificates from the CA minion in one call, checked here at every run.
"""

import contextlib
import json
import os
import pwd
import time
from pathlib import Path

KEY_MODE = 0o600
# Seconds for one call to the CA minion, and between two of them.
CALL_TIMEOUT = 15
PAUSE = 1
# The kubelet's own directory is private, Kubernetes' is not (kubeadm's modes).
PRIVATE_DIRECTORY = "/var/lib/kubelet/"


def certificates(name, timeout=60):
    """
    Every certificate that the node's pillar lists exists, is right, and is not about to expire.

    The pillar says which (``kaas:certificates``), and which authorities' certificates the node holds
    (``kaas:authorities``); a load balancer has only the latter.

    timeout: seconds to wait for the CA minion, which may be set up by the very same highstate. When all is well nobody
    is asked.
    Private keys are made here, never leave the node, and are kept when a certificate is renewed.
    An authority once trusted is not replaced by a foreign one.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": "All certificates are valid."}
    # A round through JSON leaves plain data: Salt 3008 wraps pillar values to mask them when they are printed.
    keys = ("authorities", "certificates", "cluster")
    kaas = json.loads(json.dumps({key: (__pillar__.get("kaas") or {}).get(key) for key in keys}))
    if not kaas["authorities"] or not kaas["cluster"]:
        comment = "pillar kaas:authorities is missing: is the ext_pillar `kaas` configured on the master?"
        return {**ret, "result": False, "comment": comment}
    policies, authorities, ca_id = kaas["certificates"] or {}, kaas["authorities"], kaas["cluster"]["ca"]

    faulty, exposed = _check(policies)
    unknown = [path for path in authorities if not _fingerprints(path)]
    if not faulty and not exposed and not unknown:
        return ret
    if __opts__["test"]:
        ret["changes"] = {purpose: "would be issued: " + "; ".join(reasons) for purpose, reasons in faulty.items()}
        ret["changes"].update(dict.fromkeys(exposed, "mode would become 0600"))
        ret["changes"].update({path: f"would be authority {authorities[path]}" for path in unknown})
        return {**ret, "result": None, "comment": f"{len(faulty)} certificates would be asked of {ca_id}."}

    for path in exposed:
        Path(path).chmod(KEY_MODE)
        ret["changes"][path] = "mode 0600"
    if faulty or unknown:
        error = _obtain(policies, authorities, faulty, ca_id, time.monotonic() + timeout, ret["changes"])
        if error:
            return {**ret, "result": False, "comment": error}
    ret["comment"] = f"{len(faulty)} certificates issued by {ca_id}."
    return ret


def owned(name):
    """
    The private keys that a program reads belong to its account (the policies' ``owner``).

    name: the account. Apart from :func:`certificates`, so that a key changes hands right before its program is
    restarted: one that still runs as root, but without root's capabilities, could not read the key any more.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": f"The keys of {name} are its own."}
    policies = json.loads(json.dumps(__pillar__["kaas"]["certificates"])).values()
    account = _account(name)
    paths = [_path(policy["key"]) for policy in policies if policy["owner"] == name]
    wrong = [path for path in paths if account is None or __utils__["kaas_file.owner"](path) != account]
    if not wrong:
        return ret
    ret["changes"] = dict.fromkeys(wrong, f"owner {name}")
    if __opts__["test"]:
        return {**ret, "result": None, "comment": f"{len(wrong)} keys would be given to {name}."}
    if account is None:
        return {**ret, "changes": {}, "result": False, "comment": f"no account {name}: node.accounts must come first"}
    lost = [path for path in wrong if __utils__["kaas_file.owner"](path) is None]
    if lost:
        comment = f"{', '.join(lost)}: no such key; pki.configured must come first"
        return {**ret, "changes": {}, "result": False, "comment": comment}
    for path in wrong:
        os.chown(path, *account)
    return {**ret, "comment": f"{len(wrong)} keys were given to {name}."}


def _check(policies):
    """``({purpose: reasons}, [key files open to others])``"""
    faulty, exposed = {}, []
    for purpose, policy in policies.items():
        cert, key, authority = (_read(policy[part]) for part in ("cert", "key", "ca_file"))
        reasons = __utils__["kaas_pki.problems"](cert, key, authority, policy)
        if reasons:
            faulty[purpose] = reasons
        if key and __utils__["kaas_file.mode"](_path(policy["key"])) != KEY_MODE:
            exposed.append(_path(policy["key"]))
    return faulty, exposed


def _obtain(policies, authorities, faulty, ca_id, deadline, changes):
    """Ask until all faulty certificates and all authorities are there; fills `changes`, returns an error or None."""
    request = json.dumps({purpose: _public_key(policies[purpose], changes) for purpose in sorted(faulty)})
    attempts = 0
    while True:
        attempts += 1
        answer, error, again = _ask(ca_id, request, deadline)
        if not error:
            error, again = _refuse_foreign(authorities, answer["authorities"], ca_id), False
        if not error:
            error = _wrong(policies, faulty, answer)
            # Right after a change of the cluster's pillar the CA minion may have seen the older one.
            again = True
        if not error:
            break
        if not again or time.monotonic() + PAUSE > deadline:
            tries = f" (asked {attempts} times)" if attempts > 1 else ""
            return f"No certificates from the CA minion {ca_id}{tries}: {error}"
        time.sleep(PAUSE)

    if "etcd" in answer:
        # For kaas_etcd.configured later in the same run, which needs not ask again.
        __context__["kaas_etcd.record"] = answer["etcd"]
    for path, authority in authorities.items():
        text = answer["authorities"][authority]
        if _read(path) != text:
            _write(path, text, 0o644)
            changes[path] = "authority " + authority
    for purpose, reasons in faulty.items():
        policy = policies[purpose]
        _write(policy["cert"], answer["certificates"][purpose], 0o644)
        expiry = __utils__["kaas_pki.describe"](answer["certificates"][purpose])["not_after"][:10]
        changes[purpose] = f"issued, expires {expiry}: " + "; ".join(reasons)
    # Another authority (a second one while they are rotated) may have put further certificates out of order.
    rest = {purpose: reasons for purpose, reasons in _check(policies)[0].items() if purpose not in faulty}
    if rest and time.monotonic() < deadline:
        return _obtain(policies, authorities, rest, ca_id, deadline, changes)
    return None


def _ask(ca_id, request, deadline):
    """One call: ``(answer, error, whether asking again makes sense)``."""
    began = time.monotonic()
    timeout = max(2, min(CALL_TIMEOUT, int(deadline - began)))
    returned = __salt__["publish.publish"](ca_id, "kaas_ca.issue", [request], "list", timeout=timeout)
    answer = returned.get(ca_id) if isinstance(returned, dict) else None
    if isinstance(answer, dict) and "error" in answer:
        return None, str(answer["error"]), bool(answer.get("retry"))
    if isinstance(answer, dict) and isinstance(answer.get("certificates"), dict) and "authorities" in answer:
        return answer, None, False
    if answer is not None:
        # Its modules are not synced yet: the answer is Salt's own message.
        return None, f"it answered: {str(answer)[:200]!r}; run `salt {ca_id} state.highstate`", True
    if time.monotonic() - began < 1:
        error = (
            f"the call was not let through: is the key of minion {ca_id} accepted, "
            f"and does `peer` in the master's configuration allow kaas_ca.issue?"
        )
        return None, error, True
    return None, f"no answer in {timeout} s: does `salt {ca_id} test.ping` work on the master?", True


def _refuse_foreign(authorities, answered, ca_id):
    """
    The first authority is taken on trust in Salt's own channel; from then on a bundle must share one with what the
    node has.

    Else a CA minion that lost its files and made new ones would tear a running cluster apart, node by node.
    """
    for path, authority in authorities.items():
        if authority not in answered:
            return f"it sent no {authority} authority"
        try:
            offered = __utils__["kaas_pki.fingerprints"](answered[authority])
        except ValueError as error:
            return f"{authority}: {error}"
        known = _fingerprints(path)
        if known and not known & offered:
            return (
                f"its {authority} authority is not the one that this node trusts ({path}). Restore {ca_id}'s "
                f"authorities from a backup; if the change is wanted, remove that file on all nodes and apply again"
            )
    return None


def _wrong(policies, faulty, answer):
    """What is wrong with an answer, judged as strictly as what lies on the disk."""
    for purpose in faulty:
        policy = policies[purpose]
        found = __utils__["kaas_pki.problems"](
            answer["certificates"].get(purpose), _read(policy["key"]), answer["authorities"].get(policy["ca"]), policy
        )
        if found:
            return f"its certificate for {purpose} is not what this node's pillar says: " + "; ".join(found)
    return None


def _fingerprints(path):
    """Fingerprints of the authorities in a file of the node; empty when there is none that can be read."""
    with contextlib.suppress(ValueError):
        return __utils__["kaas_pki.fingerprints"](_read(path))
    return set()


def _public_key(policy, changes):
    """Public half of the key on disk; a new key only where there is none that can be used."""
    with contextlib.suppress(ValueError):
        public = __utils__["kaas_pki.public_key"](_read(policy["key"]))
        __utils__["kaas_pki.load_public_key"](public)
        return public
    # A program that runs already, and lost its key, reads the new one at once.
    _write(policy["key"], __utils__["kaas_pki.create_key"](), KEY_MODE, _account(policy["owner"]) or (-1, -1))
    changes[policy["key"]] = "new key"
    return __utils__["kaas_pki.public_key"](_read(policy["key"]))


def _path(path):
    # The prefix lets several minions of a test share one machine.
    return __opts__.get("kaas_root", "") + path


def _read(path):
    return __utils__["kaas_file.read"](_path(path))


def _account(name):
    """``(uid, gid)`` of an account, None when there is none."""
    if "kaas_root" in __opts__:
        return __opts__.get("kaas_accounts", {}).get(name, (os.getuid(), os.getgid()))
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        return None
    return account.pw_uid, account.pw_gid


def _write(path, text, mode, owner=(-1, -1)):
    directory_mode = 0o700 if path.startswith(PRIVATE_DIRECTORY) else 0o755
    __utils__["kaas_file.write"](_path(path), text, mode=mode, owner=owner, directory_mode=directory_mode)
