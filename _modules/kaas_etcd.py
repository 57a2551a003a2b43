"""
The cluster's etcd as this node sees it: members, health, locks. For nodes with the role etcd or master.
"""

import json

PKI = "/etc/kubernetes/pki"


def members():
    """
    All members: id, name, URLs, whether they are learners and whether they are healthy.

    CLI Example::

        salt m1.demo kaas_etcd.members
    """
    return _survey()[1]


def health():
    """
    ``{name: None or what is wrong}`` of all members, and of those in the pillar that are no members.

    CLI Example::

        salt m1.demo kaas_etcd.health
    """
    found = {
        member["name"] or member["id"]: None if member["healthy"] else "does not answer" for member in _survey()[1]
    }
    return {**dict.fromkeys(_addresses(), "is not a member"), **found}


def cluster_id():
    """
    The id of the cluster that this node's etcd is part of (hexadecimal).

    CLI Example::

        salt m1.demo kaas_etcd.cluster_id
    """
    return _survey()[0]


def lock(name, timeout=120):
    """
    Take a lock that all nodes share; for use in states. Returns an object with ``release()``, also usable by ``with``.

    Raises TimeoutError (somebody else holds it) or RuntimeError (etcd cannot be used).

    CLI Example: not for the command line, where nobody would release it; in a state::

        with __salt__["kaas_etcd.lock"]("restart/etcd", timeout=60): ...
    """
    tls = client_tls()
    endpoints = [__utils__["kaas_etcd.client_url"](address) for address in _addresses().values()]
    return __utils__["kaas_etcd.lock"](
        f"kaas/lock/{name}", endpoints, tls["ca"], tls["cert"], tls["key"], timeout, program=program()
    )


def client_tls():
    """
    The files with which this node is a client of etcd: ``{ca, cert, key}``.

    CLI Example::

        salt m1.demo kaas_etcd.client_tls
    """
    name = "etcd/healthcheck-client" if "etcd" in __pillar__["kaas"]["roles"] else "apiserver-etcd-client"
    root = __opts__.get("kaas_root", "") + PKI
    return {"ca": f"{root}/etcd/ca.crt", "cert": f"{root}/{name}.crt", "key": f"{root}/{name}.key"}


def program():
    """
    The etcdctl that is used.

    CLI Example::

        salt m1.demo kaas_etcd.program
    """
    return __opts__.get("kaas_etcdctl", "/usr/local/bin/etcdctl")


def _addresses():
    # A round through JSON leaves plain data: Salt 3008 wraps pillar values to mask them when they are printed.
    return json.loads(json.dumps(__pillar__["kaas"]["etcd"]["members"]))


def _survey():
    addresses = _addresses()
    cluster, found = __utils__["kaas_etcd.survey"](list(addresses.values()), client_tls(), program=program())
    if found is None:
        raise RuntimeError(
            f"no member of etcd takes connections: {', '.join(addresses.values())} port 2379; "
            "is etcd.service active there?"
        )
    return cluster, found
