"""Look at the Kubernetes API from Salt: what is there, is it ready, which objects belong to a set.

Reads only. The values of Secrets never leave the node: returns go to the job cache.
"""

KUBECONFIG = "/etc/kubernetes/super-admin.conf"


def get(kind, name, namespace=None, kubeconfig=KUBECONFIG):
    """Return one object without the server's bookkeeping, or None.

    kind: as in "Node" or, outside the core group, with the group: "Deployment.apps".

    CLI Example:

    .. code-block:: bash

        salt m1.demo kaas_kube.get Deployment.apps coredns namespace=kube-system
    """
    kube = __utils__["kaas_kube.client"](kubeconfig)
    version, short = _version(kube, kind)
    obj = kube.get(version, short, name, namespace)
    return obj and __utils__["kaas_manifest.presentable"](obj)


def names(kind, namespace=None, labels=None, kubeconfig=KUBECONFIG):
    """Return the names of the objects of a kind, "namespace/name" where it has namespaces.

    CLI Example:

    .. code-block:: bash

        salt m1.demo kaas_kube.names Pod namespace=kube-system labels=k8s-app=kube-dns
    """
    kube = __utils__["kaas_kube.client"](kubeconfig)
    version, short = _version(kube, kind)
    found = kube.list(version, short, namespace, labels)
    return sorted(__utils__["kaas_manifest.title"](obj).partition(" ")[2] for obj in found)


def members(name, kubeconfig=KUBECONFIG):
    """Return the objects that a set (``kaas_object.applied``) holds in the API.

    CLI Example:

    .. code-block:: bash

        salt m1.demo kaas_kube.members coredns
    """
    utils = __utils__
    kube = utils["kaas_kube.client"](kubeconfig)
    parent = kube.get("v1", "ConfigMap", utils["kaas_manifest.parent_name"](name), "kube-system")
    found = []
    for kind in sorted(utils["kaas_manifest.recorded_kinds"](parent)):
        version, short = _version(kube, kind)
        found += kube.list(version, short, labels=utils["kaas_manifest.selector"](name))
    return sorted(utils["kaas_manifest.title"](obj) for obj in found if not utils["kaas_manifest.has_controller"](obj))


def ready(kubeconfig=KUBECONFIG, timeout=0):
    """Return True when the API says that it is ready, else what is wrong. timeout: seconds to wait for it.

    CLI Example:

    .. code-block:: bash

        salt m1.demo kaas_kube.ready
    """
    try:
        __utils__["kaas_kube.client"](kubeconfig).wait_ready(timeout)
        return True
    except Exception as error:
        if not hasattr(error, "unreachable"):  # the client's own error class can't be imported here
            raise
        return str(error)


def _version(kube, kind):
    """Return (apiVersion, kind) for "Kind" or "Kind.group"."""
    short, _, group = kind.partition(".")
    return kube.preferred_version(group), short
