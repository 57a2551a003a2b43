"""The cluster file as the lab sees it: machines and addresses.

The formula's own validation is in `_utils`; here only what the lab needs.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .errors import LabError

SALT = "salt"


@dataclass(frozen=True)
class Machine:
    """One machine of the lab. `name` is Vagrant's name (the node's key, or "salt"), `id` the minion id."""

    name: str
    id: str
    address: str
    roles: tuple[str, ...] = ()
    address6: str | None = None


@dataclass(frozen=True)
class Cluster:
    """What the lab takes from pillar/clusters/<name>.sls."""

    name: str
    nodes: tuple[Machine, ...]
    salt: Machine
    subnet: ipaddress.IPv4Network
    api_url: str
    kubernetes: str
    raw: dict[str, Any] = field(repr=False, compare=False, hash=False)

    @property
    def machines(self) -> tuple[Machine, ...]:
        """All machines: the Salt machine first, then the nodes."""
        return (self.salt, *self.nodes)

    @property
    def masters(self) -> tuple[Machine, ...]:
        """The nodes that run a Kubernetes API server."""
        return tuple(node for node in self.nodes if "master" in node.roles)

    @property
    def api_holders(self) -> tuple[Machine, ...]:
        """The nodes among which the API address moves: load balancers, or the masters of a cluster without any."""
        if not (self.raw["cluster"].get("api") or {}).get("address"):
            return ()
        return tuple(node for node in self.nodes if "loadbalancer" in node.roles) or self.masters

    @property
    def kubelets(self) -> tuple[Machine, ...]:
        """The nodes that are nodes to Kubernetes too (etcd and load balancers on machines of their own are not)."""
        return tuple(node for node in self.nodes if {"master", "worker"} & set(node.roles))

    @property
    def application_address(self) -> str:
        """Where NodePorts answer: the API address if its holders run kube-proxy, else the first worker."""
        if set(self.api_holders) <= set(self.kubelets):
            return self.api_url.split("//")[1].rsplit(":", 1)[0]
        workers = [node for node in self.nodes if "worker" in node.roles]
        return (workers or self.kubelets)[0].address

    def machine(self, name: str) -> Machine:
        """Find a machine by its name or by its minion id."""
        for candidate in self.machines:
            if name in (candidate.name, candidate.id):
                return candidate
        known = ", ".join(machine.name for machine in self.machines)
        raise LabError(f"cluster {self.name} has no machine {name!r}; it has: {known}")

    def container(self, machine: Machine) -> str:
        """Name of a machine's container under the docker provider (the Vagrantfile uses the same)."""
        return f"kaas-{self.name}-{machine.name}"


def names(folder: Path) -> list[str]:
    """Names of the clusters that have a file."""
    return sorted(path.stem for path in folder.glob("*.sls"))


def load(folder: Path, name: str) -> Cluster:
    """Read pillar/clusters/<name>.sls; LabError names the path inside the file that is wrong."""
    path = folder / f"{name}.sls"
    if not path.is_file():
        raise LabError(f"{path}: no such cluster file; there is: {', '.join(names(folder)) or 'none'}")
    try:
        data = yaml.safe_load(path.read_text())
    except yaml.YAMLError as err:
        raise LabError(f"{path}: not plain YAML: {err}") from err
    return parse(data, name, str(path))


def parse(data: Any, name: str, where: str) -> Cluster:
    """Build a Cluster from a parsed cluster file. `where` starts every error message."""
    cluster = _mapping(data, "cluster", where)
    if cluster.get("name") != name:
        raise LabError(f"{where}: cluster.name is {cluster.get('name')!r}; it must be the file's name, {name!r}")
    nodes = tuple(
        _machine(key, value, name, f"{where}: cluster.nodes.{key}")
        for key, value in _mapping(cluster, "nodes", f"{where}: cluster").items()
    )
    if not nodes:
        raise LabError(f"{where}: cluster.nodes is empty")
    if any(node.name == SALT for node in nodes):
        raise LabError(
            f"{where}: cluster.nodes.{SALT}: the lab gives this name to the machine of the Salt master; rename the node"
        )
    network = _mapping(cluster, "network", f"{where}: cluster")
    # one network, or an IPv4 and an IPv6 one: the machines reach each other by IPv4
    wanted = network.get("nodes")
    subnet = _subnet(wanted[0] if isinstance(wanted, list) and wanted else wanted, f"{where}: cluster.network.nodes")
    lab = _mapping(data, "lab", where)
    salt = Machine(SALT, str(cluster.get("ca", "ca")), _address(lab.get("master"), f"{where}: lab.master"))
    for machine in (salt, *nodes):
        if ipaddress.ip_address(machine.address) not in subnet:
            raise LabError(
                f"{where}: {machine.name}: address {machine.address} is outside cluster.network.nodes {subnet}"
            )
    masters = [node for node in nodes if "master" in node.roles]
    if not masters:
        raise LabError(f"{where}: cluster.nodes: no node has the role master")
    api = cluster.get("api") or {}
    address = api.get("address") or masters[0].address
    port = api.get("port") or (8443 if api.get("address") else 6443)
    return Cluster(name, nodes, salt, subnet, f"https://{address}:{port}", str(cluster.get("kubernetes", "")), data)


def _mapping(data: Any, key: str, where: str) -> dict[str, Any]:
    value = data.get(key) if isinstance(data, dict) else None
    if not isinstance(value, dict):
        raise LabError(f"{where}: {key} must be a mapping")
    return value


def _address(value: Any, where: str) -> str:
    try:
        return str(ipaddress.IPv4Address(str(value)))
    except ValueError as err:
        raise LabError(f"{where}: {value!r} is not an IPv4 address") from err


def _subnet(value: Any, where: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(str(value))
    except ValueError as err:
        raise LabError(f"{where}: {value!r} is not an IPv4 network such as 172.28.0.0/24") from err


def _machine(key: str, value: Any, cluster: str, where: str) -> Machine:
    if not isinstance(value, dict):
        raise LabError(f"{where} must be a mapping")
    roles = value.get("roles") or []
    return Machine(
        key,
        str(value.get("id") or f"{key}.{cluster}"),
        _address(value.get("address"), f"{where}.address"),
        tuple(roles),
        value.get("address6"),
    )
