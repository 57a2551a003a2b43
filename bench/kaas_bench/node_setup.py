"""The shell script that makes a booted machine ready for kubeadm: programs, configuration, runtime, load balancer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from kaas_lab.errors import LabError

LOCAL = "/usr/local/bin"
CNI = "/opt/cni/bin"
# component -> (file -> folder); the programs of our own roles, plus kubeadm
PROGRAMS = {
    "containerd": {"containerd": LOCAL, "containerd-shim-runc-v2": LOCAL, "ctr": LOCAL},
    "runc": {"runc": LOCAL},
    "crictl": {"crictl": LOCAL},
    "cni-plugins": dict.fromkeys(("bridge", "host-local", "loopback", "portmap", "firewall"), CNI),
    "kubernetes": {"kubelet": LOCAL, "kubeadm": LOCAL, "kubectl": LOCAL},
}
KUBELET = """\
[Unit]
Description=Kubernetes node agent, set up by kubeadm
Wants=containerd.service
After=containerd.service
StartLimitIntervalSec=0
[Service]
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/local/bin/kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
  --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml $KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
"""
SYSCTLS = """\
net.ipv4.ip_forward = 1
net.bridge.bridge-nf-call-iptables = 1
net.bridge.bridge-nf-call-ip6tables = 1
"""


@dataclass(frozen=True)
class Download:
    """One program: where it comes from, its sum, where it goes."""

    url: str
    sha256: str
    target: str


def downloads(index: Mapping[str, object], versions: Mapping[str, str], base: str, platform: str) -> list[Download]:
    """What every machine fetches from the artifact repository at `base`; index is its parsed index.json."""
    artifacts = index["artifacts"]
    found = []
    for component, programs in PROGRAMS.items():
        version = versions[component]
        for name, folder in programs.items():
            try:
                sha256 = artifacts[component][version][platform][name]["sha256"]  # type: ignore[index]
            except KeyError as err:
                raise LabError(f"the artifact repository has no {component} {version} {name} for {platform}") from err
            found.append(Download(f"{base}/{component}/{version}/{platform}/{name}", sha256, f"{folder}/{name}"))
    return found


def script(
    fetched: list[Download],
    files: Mapping[str, str],
    units: list[str],
    folders: Mapping[str, Mapping[str, object]] | None = None,
) -> str:
    """A bash script: fetch all programs side by side, check their sums, write the files, start the units.

    `folders` are to be made too: {path: {mode, user, group}}.
    """
    everything = {
        "/etc/sysctl.d/90-kubernetes.conf": SYSCTLS,
        "/etc/systemd/system/kubelet.service": KUBELET,
        **files,
    }
    lines = ["set -euo pipefail", f"mkdir -p {LOCAL} {CNI}"]
    pairs = " ".join(f"-o {shlex.quote(item.target)} {shlex.quote(item.url)}" for item in fetched)
    options = "--silent --show-error --no-progress-meter --fail --parallel --retry 5 --retry-connrefused"
    lines.append(f"curl {options} {pairs}")
    sums = "".join(f"{item.sha256}  {item.target}\n" for item in fetched)
    lines += ["sha256sum --check --quiet <<'END'", sums + "END"]
    lines.append("chmod 755 " + " ".join(shlex.quote(item.target) for item in fetched))
    for path, text in everything.items():
        lines += [f"mkdir -p {shlex.quote(path.rsplit('/', 1)[0])}", f"cat > {shlex.quote(path)} <<'END'", text + "END"]
    for path, owner in (folders or {}).items():
        options = f"--mode={owner['mode']} --owner={owner['user']} --group={owner['group']}"
        lines.append(f"install --directory {options} {shlex.quote(path)}")
    lines += [
        "sysctl --quiet --load /etc/sysctl.d/90-kubernetes.conf",
        "systemctl daemon-reload",
        f"systemctl enable --quiet kubelet {' '.join(units)}",
        f"systemctl start {' '.join(units)}",
    ]
    return "\n".join(lines) + "\n"
