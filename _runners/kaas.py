"""What an operator does on the Salt master."""

import os

import salt.exceptions


def kubeconfig(cluster, user="kubernetes-admin", groups="kubeadm:cluster-admins", hours=8, path=None, ca="ca"):
    """
    Write a kubeconfig for the cluster's API address, with a new short-lived client certificate, and return its path.

    The private key is made here and stays here: the CA minion gets the public key through a function that no peer can
    call, and job cache and log see certificates only.

    cluster
        Name of the cluster.
    user, groups
        Common name and organizations (a comma-separated list) of the certificate: Kubernetes' user and groups.
    hours
        Lifetime of the certificate.
    path
        File to write (mode 0600); by default ``<cluster>.conf`` in ``~/.kube``.
    ca
        Minion id of the CA minion.

    CLI Example:

    .. code-block:: bash

        salt-run kaas.kubeconfig demo
        salt-run kaas.kubeconfig demo user=jane groups=developers hours=24 path=/root/jane.conf
    """
    path = os.path.expanduser(path or f"~/.kube/{cluster}.conf")
    key = __utils__["kaas_pki.create_key"]()
    request = {
        "public_key": __utils__["kaas_pki.public_key"](key),
        "user": user,
        "groups": [group for group in str(groups).split(",") if group],
        "hours": hours,
    }
    answer = __salt__["salt.execute"](ca, "kaas_ca.sign_operator", arg=(cluster,), kwarg=request).get(ca)
    if not isinstance(answer, dict):
        raise salt.exceptions.CommandExecutionError(f"kubeconfig of {cluster}: the CA minion {ca} says: {answer}")
    content = __utils__["kaas_pki.kubeconfig"](
        cluster, answer["url"], answer["authority"], user, answer["certificate"], key
    )
    os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
    __utils__["kaas_file.write"](path, content, mode=0o600)
    return path


def check_master():
    """
    What in this Salt master's configuration would let one node reach beyond itself: a list of sentences, empty when
    all is well (exit code 0, else 1). docs/security.md explains them.

    CLI Example:

    .. code-block:: bash

        salt-run kaas.check_master
    """
    found = __utils__["kaas_master.problems"](__opts__)
    if not any(os.path.isfile(os.path.join(folder, "_engines", "kaas_guard.py")) for folder in __opts__["module_dirs"]):
        # Salt passes over an engine that it does not find.
        found.append("module_dirs: no folder has _engines/kaas_guard.py: the master runs without its guard")
    if found:
        __context__["retcode"] = 1
    return found


def validate(cluster=None):
    """
    What is wrong with a cluster file, or with all of them: ``{file: [finding, ...]}``, warnings marked as such, an
    empty list when all is well (exit code 0 without errors, else 1). ``pillar/validate`` says the same without Salt.

    cluster
        Name of the cluster; all by default.

    CLI Example:

    .. code-block:: bash

        salt-run kaas.validate
        salt-run kaas.validate demo
    """
    roots = __opts__["pillar_roots"].get("base", [])
    needs = {name: __utils__[name] for name in __utils__["kaas_clusterfile.needs"]()}
    known = __utils__["kaas_clusterfile.tables"](needs, roots)
    files = __utils__["kaas_clusterfile.files"](roots)
    if cluster is not None and cluster not in files:
        there = ", ".join(sorted(files)) or "none"
        raise salt.exceptions.CommandExecutionError(f"no cluster {cluster}; there is: {there}")
    told = {}
    for name in files if cluster is None else [cluster]:
        _, findings = __utils__["kaas_clusterfile.check"](known, files[name], name, files, everyone=True)
        told[f"clusters/{name}.sls"] = [
            __utils__["kaas_clusterfile.text"](f"line {item['line']}: {item['severity']}", item) for item in findings
        ]
        if any(item["severity"] == "error" for item in findings):
            __context__["retcode"] = 1
    return told
