"""What to clear away before the machines start: pure decisions over what the engine and the host list.

A killed run leaves containers that Vagrant does not know (killed between `docker run` and writing its state),
containers without their private network (killed before it was connected), stopped ones, volumes with the data of a
cluster that is gone, networks and bridges.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .cluster import Cluster
from .errors import LabError

VOLUMES = ("containerd", "kubelet", "etcd")


@dataclass(frozen=True)
class Plan:
    """Names or ids to remove and to start, in the order of the fields; `reasons` are for people."""

    containers: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def plan(
    cluster: Cluster,
    containers: Iterable[Mapping[str, Any]],
    vagrant: Mapping[str, str],
    volumes: Iterable[str],
    networks: Iterable[Mapping[str, Any]],
    bridges: Mapping[str, str],
) -> Plan:
    """Decide what has to go and what has to be started.

    containers: objects of `docker inspect`; vagrant: machine name -> container id that Vagrant noted; volumes: names;
    networks: objects of `docker network inspect`; bridges: name of a host bridge -> its address with prefix.
    """
    good: dict[str, Mapping[str, Any]] = {}
    remove: list[str] = []
    reasons: list[str] = []
    expected = {cluster.container(machine): machine for machine in cluster.machines}
    for container in containers:
        name = str(container["Name"]).lstrip("/")
        labels = container.get("Config", {}).get("Labels") or {}
        if labels.get("kaas.cluster") != cluster.name and name not in expected:
            continue
        fault = _fault(container, expected.get(name), vagrant)
        if fault:
            remove.append(str(container["Id"]))
            reasons.append(f"{name}: {fault}")
        else:
            good[name] = container
    salt = cluster.container(cluster.salt)
    if good and salt not in good:
        # the CA and the accepted keys were there: nodes without it can't be used
        reasons.append("the machine of the Salt master is gone: its nodes go too")
        remove += [str(container["Id"]) for container in good.values()]
        good = {}
    stale = _stale_volumes(cluster, volumes, good)
    nets, net_ids = _stale_networks(cluster, networks, bool(good))
    gone = _stale_bridges(cluster, bridges, net_ids)
    if stale:
        reasons.append(f"{len(stale)} volumes of machines that are gone")
    reasons += [f"bridge {name}: of an engine that is gone" for name in gone]
    start = tuple(str(item["Id"]) for item in good.values() if not item.get("State", {}).get("Running"))
    return Plan(tuple(remove), tuple(stale), tuple(nets), tuple(gone), start, tuple(reasons))


def _fault(container: Mapping[str, Any], machine: Any, vagrant: Mapping[str, str]) -> str:
    """Why a container of this cluster can't be used; empty when it can."""
    if machine is None:
        return "no such machine in the cluster file any more"
    if vagrant.get(machine.name) != container["Id"]:
        return "Vagrant does not know it"
    attached = (container.get("NetworkSettings", {}).get("Networks") or {}).values()
    # a stopped container shows the address it will get in IPAMConfig alone
    addresses = {net.get("IPAddress") for net in attached} | {
        (net.get("IPAMConfig") or {}).get("IPv4Address") for net in attached
    }
    if machine.address not in addresses:
        return f"not connected to its network as {machine.address}"
    return ""


def _stale_volumes(cluster: Cluster, volumes: Iterable[str], good: Mapping[str, Any]) -> list[str]:
    prefix = f"kaas-{cluster.name}-"
    kept = {f"{name}-{volume}" for name in good for volume in VOLUMES}
    ours = (name for name in volumes if name.startswith(prefix) and name.rsplit("-", 1)[-1] in VOLUMES)
    return sorted(name for name in ours if name not in kept)


def _stale_networks(
    cluster: Cluster, networks: Iterable[Mapping[str, Any]], machines_left: bool
) -> tuple[list[str], set[str]]:
    stale, ids = [], set()
    for network in networks:
        ids.add(str(network["Id"]))
        for config in (network.get("IPAM") or {}).get("Config") or []:
            if not config.get("Subnet") or not _overlaps(config["Subnet"], cluster.subnet):
                continue
            name = str(network["Name"])
            if not name.startswith("vagrant_network"):
                raise LabError(
                    f"the engine's network {name} ({config['Subnet']}) overlaps cluster {cluster.name}'s "
                    f"{cluster.subnet}: `docker network rm {name}`, or give the cluster another network"
                )
            if not machines_left:
                stale.append(str(network["Id"]))
    return stale, ids


def _stale_bridges(cluster: Cluster, bridges: Mapping[str, str], network_ids: set[str]) -> list[str]:
    known = {f"br-{network[:12]}" for network in network_ids}
    return sorted(
        name
        for name, address in bridges.items()
        if name.startswith("br-") and name not in known and ipaddress.ip_interface(address).ip in cluster.subnet
    )


def _overlaps(text: str, subnet: ipaddress.IPv4Network) -> bool:
    other = ipaddress.ip_network(text, strict=False)
    return isinstance(other, ipaddress.IPv4Network) and other.overlaps(subnet)
