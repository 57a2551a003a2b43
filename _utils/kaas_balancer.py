"""From the Services of a cluster to the configuration of the load balancers in front of it. Pure functions.

service
    A Service as the Kubernetes API has it.
row
    What is served of one Service: ``{"name": "namespace/name", "ports": [{"port", "node_port"}], "check_port": port of
    kube-proxy's health check or None, "sticky", "proxy": whether to send the PROXY protocol, "sources": [network]}``.
"""

import ipaddress

CLASS = "kaas.local/haproxy"
#: Who wrote the address into a Service, and which: what carries it is ours to change and to take away.
OWNER = "balancer.kaas.local/address"
#: A Service that wants the clients' addresses: "v2" sends the PROXY protocol, which its pods must understand.
PROXY = "balancer.kaas.local/proxy-protocol"

HEAD = """\
global
  maxconn 8192
  user haproxy
  group haproxy
defaults
  mode tcp
  timeout connect 2s
  timeout client 10m
  timeout server 10m
  default-server check inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
# haproxy refuses to run without anything to listen on.
frontend alive
  mode http
  bind unix@/run/kaas-balancer.sock mode 600
  monitor-uri /
"""


def title(service):
    """Return ``namespace/name``."""
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"


def wants(service):
    """Return whether a Service is for the load balancers: of type LoadBalancer, and of our class or of none."""
    spec = service["spec"]
    return spec.get("type") == "LoadBalancer" and spec.get("loadBalancerClass", CLASS) == CLASS


def plan(services, reserved):
    """Return ``(rows, refused)``: what the load balancers serve, and ``{"namespace/name": why not}``.

    reserved
        ``{port: what it is for}``: ports that no Service can have.

    Services share one address, so a port has one owner: of two Services the older one.
    """
    owners = dict(reserved)
    rows, refused = [], {}
    mine = [service for service in services if wants(service) and not service["metadata"].get("deletionTimestamp")]
    for service in sorted(mine, key=lambda one: (one["metadata"].get("creationTimestamp") or "", title(one))):
        name, ports = title(service), service["spec"].get("ports") or []
        reason = _refusal(service, ports, owners)
        if reason:
            refused[name] = reason
            continue
        owners.update({port["port"]: f"the port of Service {name}" for port in ports})
        rows.append(_row(service, name, ports))
    return rows, refused


def _refusal(service, ports, owners):
    """Return why a Service can't be served, or None."""
    wanted = service["metadata"].get("annotations", {}).get(PROXY, "")
    if wanted not in ("", "v2"):
        return f"annotation {PROXY} is '{wanted[:20]}': use v2, or leave it out"
    for port in ports:
        if port.get("protocol", "TCP") != "TCP":
            return f"port {port['port']} is {port['protocol']}: haproxy leads TCP alone"
        if port["port"] in owners:
            return f"port {port['port']} is {owners[port['port']]}: use another"
        if not port.get("nodePort"):
            return f"port {port['port']} has no node port: leave allocateLoadBalancerNodePorts out of the Service"
    return None if ports else "it has no port"


def _row(service, name, ports):
    spec = service["spec"]
    local = spec.get("externalTrafficPolicy") == "Local"
    sources = spec.get("loadBalancerSourceRanges") or []
    return {
        "name": name,
        "ports": [{"port": port["port"], "node_port": port["nodePort"]} for port in ports],
        "check_port": spec.get("healthCheckNodePort") if local else None,
        "sticky": spec.get("sessionAffinity") == "ClientIP",
        "proxy": service["metadata"].get("annotations", {}).get(PROXY) == "v2",
        "sources": [str(ipaddress.ip_network(one.strip(), strict=False)) for one in sources],
    }


def configuration(rows, address, backends):
    """Return haproxy's configuration.

    address
        Where it listens. Another machine may hold the address at the moment: `transparent` binds to it anyway.
    backends
        ``{node name: address}`` of the nodes whose node ports lead to the pods.
    """
    return HEAD + "".join(_listen(row, port, address, backends) for row in rows for port in row["ports"])


def _listen(row, port, address, backends):
    host = f"[{address}]" if ":" in address else address
    lines = [f"listen {row['name'].replace('/', ':')}:{port['port']}", f"bind {host}:{port['port']} transparent"]
    if row["sources"]:
        lines.append(f"tcp-request connection reject unless {{ src {' '.join(row['sources'])} }}")
    lines.append("balance source" if row["sticky"] else "balance leastconn")
    check = ""
    if row["check_port"]:
        # Only nodes with a pod of the Service answer 200: the others would drop what comes in.
        lines += ["option httpchk GET /healthz", "http-check expect status 200"]
        check = f" port {row['check_port']}"
    proxy = " send-proxy-v2" if row["proxy"] else ""
    for node, target in backends.items():
        host = f"[{target}]" if ":" in target else target
        lines.append(f"server {node} {host}:{port['node_port']}{check}{proxy}")
    return "\n  ".join(lines) + "\n"


def sections(text):
    """Return ``{"namespace:name:port": text}`` of the sections of Services; the rest has the key ``""``."""
    found = {"": ""}
    current = ""
    for line in text.splitlines():
        if line.startswith("listen "):
            current = line.removeprefix("listen ")
        found[current] = found.get(current, "") + line + "\n"
    return found


def bound(text):
    """Return the ports on which a configuration listens."""
    return {int(name.rpartition(":")[2]) for name in sections(text) if name}


def changes(before, after):
    """Return ``{"added"|"changed"|"removed": ["namespace:name:port", ...]}`` between two configurations."""
    old, new = sections(before), sections(after)
    found = {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(name or "general" for name in old.keys() & new.keys() if old[name] != new[name]),
    }
    return {word: names for word, names in found.items() if names}


def status_patch(service, address):
    """Return the merge patch that makes the status of a Service say ``address`` (None: nothing of ours), or None when
    there is nothing to change."""
    meta = service["metadata"]
    ours = meta.get("annotations", {}).get(OWNER)
    have = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    if address is None:
        return None if ours is None else {"metadata": {"annotations": {OWNER: None}}, "status": {"loadBalancer": None}}
    # `Proxy`: what pods send to the address takes the same way as what comes from outside.
    wanted = [{"ip": address, "ipMode": "Proxy"}]
    if ours == address and have == wanted:
        return None
    return {"metadata": {"annotations": {OWNER: address}}, "status": {"loadBalancer": {"ingress": wanted}}}


def release_patch(service, annotation):
    """Return the merge patch that takes address and ``annotation`` off a Service that has the annotation, else None."""
    if annotation not in service["metadata"].get("annotations", {}):
        return None
    return {"metadata": {"annotations": {annotation: None}}, "status": {"loadBalancer": None}}
