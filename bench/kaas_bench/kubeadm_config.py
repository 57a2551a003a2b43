"""kubeadm's configuration documents: kubeadm's defaults wherever nothing else was said, tuned in its favour.

In its favour: images pulled side by side, ECDSA keys (our CA makes the same kind), a token and a certificate key that
are known beforehand, no check of the discovery's CA. The same for both sides: addresses, networks, versions of the
images, the kubelet's and kube-proxy's lab settings of the cluster file.
"""

from __future__ import annotations

from typing import Any

import yaml
from kaas_lab.cluster import Cluster, Machine

API = "kubeadm.k8s.io/v1beta4"
TOKEN = "benchm.0123456789abcdef"
CERTIFICATE_KEY = "5f" * 32
# containers have no kernel configuration to look at, and cgroup v1 hosts are refused
IGNORED = ["SystemVerification"]


def node_registration(machine: Machine) -> dict[str, Any]:
    """The part that init and join share."""
    return {
        "criSocket": "unix:///run/containerd/containerd.sock",
        "name": machine.name,
        "imagePullPolicy": "IfNotPresent",
        "imagePullSerial": False,
        "ignorePreflightErrors": IGNORED,
        "kubeletExtraArgs": [{"name": "node-ip", "value": machine.address}],
    }


def endpoint(cluster: Cluster) -> str:
    """`address:port` of the API."""
    return cluster.api_url.removeprefix("https://")


def init(cluster: Cluster, machine: Machine, versions: dict[str, str]) -> str:
    """The documents for `kubeadm init --config`. versions: component -> version, as in pillar/data/versions.yaml."""
    spec = cluster.raw["cluster"]
    network = spec["network"]
    documents = [
        {
            "apiVersion": API,
            "kind": "InitConfiguration",
            "certificateKey": CERTIFICATE_KEY,
            "bootstrapTokens": [{"token": TOKEN}],
            "localAPIEndpoint": {"advertiseAddress": machine.address, "bindPort": 6443},
            "nodeRegistration": node_registration(machine),
        },
        {
            "apiVersion": API,
            "kind": "ClusterConfiguration",
            "kubernetesVersion": f"v{versions['kubernetes']}",
            "controlPlaneEndpoint": endpoint(cluster),
            "encryptionAlgorithm": "ECDSA-P256",
            "networking": {"podSubnet": network["pods"], "serviceSubnet": network["services"]},
            "dns": {"imageTag": f"v{versions['coredns']}"},
            "etcd": {"local": {"imageTag": etcd_tag(versions)}},
        },
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "cgroupDriver": "systemd",
            **(spec.get("kubelet") or {}),
        },
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": network.get("proxy", "nftables"),
            "clusterCIDR": network["pods"],
            "nodePortAddresses": [network["nodes"]],
            **(spec.get("kube_proxy") or {}),
        },
    ]
    return yaml.safe_dump_all(documents, sort_keys=False)


def join(cluster: Cluster, machine: Machine) -> str:
    """The document for `kubeadm join --config`; a machine with role master joins as control plane."""
    document: dict[str, Any] = {
        "apiVersion": API,
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {"apiServerEndpoint": endpoint(cluster), "token": TOKEN, "unsafeSkipCAVerification": True}
        },
        "nodeRegistration": node_registration(machine),
    }
    if "master" in machine.roles:
        document["controlPlane"] = {
            "certificateKey": CERTIFICATE_KEY,
            "localAPIEndpoint": {"advertiseAddress": machine.address, "bindPort": 6443},
        }
    return yaml.safe_dump(document, sort_keys=False)


def etcd_tag(versions: dict[str, str]) -> str:
    """Tag of the etcd image in upstream's form (version, then the image's own revision)."""
    return f"{versions['etcd']}-0"
