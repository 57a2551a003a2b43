"""flannel as pods, for the cluster that kubeadm makes: the way its users install it."""

from __future__ import annotations

import json
from typing import Any

NAME = "flannel"
RBAC = "rbac.authorization.k8s.io"
# Runs beside flanneld: the CNI configuration follows from the lease. Written elsewhere and copied in place: containerd
# reads whatever it sees in the folder, and its watcher does not notice a file that is moved there.
START = r"""#!/bin/sh
(
  until [ -s /run/flannel/subnet.env ]; do sleep 0.1; done
  . /run/flannel/subnet.env
  cat > /etc/cni/.flannel <<END
{"cniVersion": "1.0.0", "name": "cbr0", "plugins": [
  {"type": "bridge", "bridge": "cni0", "mtu": $FLANNEL_MTU, "isGateway": true, "isDefaultGateway": true,
   "hairpinMode": true, "ipMasq": false,
   "ipam": {"type": "host-local", "dataDir": "/run/cni/networks",
            "ranges": [[{"subnet": "${FLANNEL_SUBNET%.*}.0/${FLANNEL_SUBNET#*/}"}]],
            "routes": [{"dst": "$FLANNEL_NETWORK"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
  mkdir -p /etc/cni/net.d
  cp /etc/cni/.flannel /etc/cni/net.d/10-flannel.conflist
) &
exec /flanneld --kube-subnet-mgr --net-config-path=/etc/flannel/net-conf.json --iface="$HOST_IP" --ip-masq
"""


def _field(path: str) -> dict[str, Any]:
    return {"valueFrom": {"fieldRef": {"fieldPath": path}}}


def objects(image: str, pods: str, backend: str) -> list[dict[str, Any]]:
    """Rights, configuration and DaemonSet. pods: the pod network; backend: flannel's (vxlan, host-gw)."""
    metadata = {"name": NAME, "namespace": "kube-system"}
    folders = {"run": "/run/flannel", "cni": "/etc/cni"}
    mounts = [{"name": name, "mountPath": path} for name, path in folders.items()]
    volumes: list[dict[str, Any]] = [
        {"name": name, "hostPath": {"path": path, "type": "DirectoryOrCreate"}} for name, path in folders.items()
    ]
    container = {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"privileged": True},
        "env": [
            {"name": "NODE_NAME", **_field("spec.nodeName")},
            {"name": "POD_NAME", **_field("metadata.name")},
            {"name": "POD_NAMESPACE", **_field("metadata.namespace")},
            {"name": "HOST_IP", **_field("status.hostIP")},
        ],
        "volumeMounts": [*mounts, {"name": "config", "mountPath": "/etc/flannel"}],
    }
    template = {
        "metadata": {"labels": {"app": NAME}},
        "spec": {
            "hostNetwork": True,
            "priorityClassName": "system-node-critical",
            "serviceAccountName": NAME,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
            "volumes": [*volumes, {"name": "config", "configMap": {"name": NAME}}],
        },
    }
    net = {"Network": pods, "EnableNFTables": True, "Backend": {"Type": backend}}
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
    ]
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": NAME}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": NAME}, "rules": rules},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": NAME},
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": "kube-system"}],
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"net-conf.json": json.dumps(net)}},
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": metadata,
            "spec": {
                "selector": {"matchLabels": {"app": NAME}},
                "updateStrategy": {"type": "RollingUpdate"},
                "template": template,
            },
        },
    ]
