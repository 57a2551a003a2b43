"""Load balancers in front of the cluster, and what the status of Services says about them."""

import os
import socket
import subprocess
import tempfile
import time

ADMIN = "/etc/kubernetes/super-admin.conf"
FREEBIND = 15  # IP_FREEBIND of <linux/in.h>, which Python's socket module has from 3.14 on


def configured(name, address, backends, reserved, kubeconfig, unit, program="/usr/sbin/haproxy", timeout=300):
    """
    The configuration file leads to the cluster's Services of type LoadBalancer, as the API has them at this moment, and
    the running haproxy has it, too. What is open stays open: haproxy hands its sockets over to the new processes.

    name
        Path of haproxy's configuration.
    address
        Where haproxy listens.
    backends
        ``{node name: address}``: where the node ports are.
    reserved
        ``{port: what it is for}`` that no Service can have.
    kubeconfig
        Of a user that may list Services.
    unit
        The systemd unit that runs it; reloaded if it is active, never started.
    program
        haproxy itself, which is asked whether the file is right before the file is there.
    timeout
        Seconds for which the API is asked until it answers and the deployer has given the right.

    Without an answer of the API nothing is changed: what was served stays served.
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": ""}
    services, problem = _services(kubeconfig, 0 if __opts__["test"] else timeout)
    if services is None:
        advice = "what was served before stays served; apply this again when the API answers"
        if __opts__["test"]:
            ret.update(result=None, comment=f"Would be configured once the API answers ({problem})")
        else:
            ret.update(result=False, comment=f"{problem}; {advice}")
        return ret
    try:
        with open(name, encoding="utf-8") as handle:
            before = handle.read()
    except FileNotFoundError:
        before = ""
    ports = {int(port): what for port, what in reserved.items()}
    rows, refused = __utils__["kaas_balancer.plan"](services, ports)
    fresh = {port["port"] for row in rows for port in row["ports"]} - __utils__["kaas_balancer.bound"](before)
    taken = {port: "taken on this machine" for port in fresh if _taken(address, port)}
    if taken:
        # haproxy would refuse the whole configuration for one such port.
        rows, refused = __utils__["kaas_balancer.plan"](services, {**ports, **taken})
    wanted = __utils__["kaas_balancer.configuration"](rows, address, backends)
    if refused:
        ret["warnings"] = [f"Service {title} is not served: {why}" for title, why in refused.items()]
    ret["comment"] = f"{len(rows)} Services are served"
    if wanted == before:
        return ret
    ret["changes"] = __utils__["kaas_balancer.changes"](before, wanted)
    if __opts__["test"]:
        ret.update(result=None, comment=f"{len(rows)} Services would be served")
        return ret
    try:
        _write(name, wanted, program)
        if __utils__["kaas_systemd.show"](unit)["ActiveState"] in ("active", "reloading"):
            _reload(name, before, unit)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        ret.update(result=False, changes={}, comment=f"{name}: {error}; what was served before stays served")
    return ret


def _taken(address, port):
    """Return whether another program listens on a port, so that haproxy could not."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # As haproxy's `transparent`: another machine may have the address at the moment.
        probe.setsockopt(socket.IPPROTO_IP, FREEBIND, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return True
    return False


def _write(name, text, program):
    """Replace the file in one step by one that haproxy accepts. Raises RuntimeError with haproxy's words."""
    folder = os.path.dirname(name)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".new-", delete=False, encoding="utf-8") as handle:
        handle.write(text)
    try:
        if program:
            done = subprocess.run(
                [program, "-c", "-f", handle.name], capture_output=True, text=True, timeout=30, check=False
            )
            if done.returncode:
                raise RuntimeError(f"haproxy refuses the configuration: {(done.stderr or done.stdout).strip()[:1000]}")
        os.replace(handle.name, name)
    finally:
        if os.path.exists(handle.name):
            os.unlink(handle.name)


def _reload(name, before, unit):
    """Make the running haproxy read the file; put the old file back when it can't (a port that somebody else has)."""
    try:
        __utils__["kaas_systemd.systemctl"]("reload", unit)
    except RuntimeError:
        if before:
            _write(name, before, None)
        raise


def published(name, address, reserved, kubeconfig=ADMIN, timeout=120):
    """
    The status of every Service that the load balancers serve says their address (``kubectl get service`` shows it as
    EXTERNAL-IP), that of no other says it still.

    name
        Any text; shown in the output.
    address
        The address of the load balancers.
    reserved
        ``{port: what it is for}`` that no Service can have, as for ``configured``.
    timeout
        Seconds to wait for the API.
    """

    def patches(services):
        ports = {int(port): what for port, what in reserved.items()}
        rows, refused = __utils__["kaas_balancer.plan"](services, ports)
        served = {row["name"] for row in rows}
        warnings = [f"Service {title} gets no address: {why}" for title, why in refused.items()]
        found = []
        for service in services:
            mine = __utils__["kaas_balancer.title"](service) in served
            found.append((service, __utils__["kaas_balancer.status_patch"](service, address if mine else None)))
        return found, warnings

    return _patched(name, patches, kubeconfig, timeout, "addresses")


def released(name, annotation, kubeconfig=ADMIN, timeout=120):
    """
    No Service has an address that a balancer which is gone has given: neither its status nor the annotation says so.

    name
        Any text; shown in the output.
    annotation
        By which the balancer marked the Services that it gave an address.
    timeout
        Seconds to wait for the API.
    """

    def patches(services):
        return [(one, __utils__["kaas_balancer.release_patch"](one, annotation)) for one in services], []

    return _patched(name, patches, kubeconfig, timeout, "releases")


def _patched(name, patches, kubeconfig, timeout, word):
    """Write the status of those Services for which there is a patch."""
    ret = {"name": name, "changes": {}, "result": True, "comment": ""}
    services, problem = _services(kubeconfig, 0 if __opts__["test"] else timeout)
    if services is None:
        if __opts__["test"]:
            ret.update(result=None, comment=f"Would be written once the API answers ({problem})")
        else:
            ret.update(result=False, comment=f"{problem}; is kube-apiserver.service active on the masters?")
        return ret
    found, warnings = patches(services)
    if warnings:
        ret["warnings"] = warnings
    failed = []
    kube = __utils__["kaas_kube.client"](kubeconfig)
    for service, patch in found:
        if patch is None:
            continue
        meta = service["metadata"]
        if not __opts__["test"]:
            try:
                kube.merge("v1", "Service", meta["name"], patch, meta["namespace"], subresource="status")
            except Exception as error:
                if not hasattr(error, "unreachable"):
                    raise
                failed.append(f"Service {__utils__['kaas_balancer.title'](service)}: {error}; apply this again")
                continue
        ret["changes"][f"Service {__utils__['kaas_balancer.title'](service)}"] = {"status": word}
    count = len(ret["changes"])
    ret["comment"] = f"{count} Services changed" if count else "As described"
    if failed:
        ret.update(result=False, comment="\n".join(failed))
    elif count and __opts__["test"]:
        ret.update(result=None, comment=f"{count} Services would change")
    return ret


def _services(kubeconfig, timeout):
    """Return ``(services, None)``, or ``(None, why)`` when the API did not give them for ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        # The exception's class can't be imported here (Salt loads the module), so it is told by its attributes.
        try:
            kube = __utils__["kaas_kube.client"](kubeconfig, patience=0)
            return kube.list("v1", "Service"), None
        except Exception as error:
            if not hasattr(error, "unreachable"):
                raise
            if time.monotonic() > deadline or not (error.unreachable or error.status in (401, 403, 404, 429, 500, 503)):
                return None, f"the API at kubeconfig {kubeconfig} gave no Services: {error}"
        time.sleep(0.5)
