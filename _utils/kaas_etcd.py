"""
How an etcd member gets into its cluster: the decision (pure), and the little that must be asked of etcd for it, by
etcdctl.

A *live member* is ``{id (hex), name, peer_urls, client_urls, learner, healthy}``; a member that has never started has
no
name (when it was added) or no client URLs (when it is part of the first formation).
"""

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

ETCDCTL = "/usr/local/bin/etcdctl"
CLIENT_PORT = 2379
PEER_PORT = 2380
# Seconds: a member that does not take a connection, or an answer, in this time counts as down.
CONNECT_TIMEOUT = 1
COMMAND_TIMEOUT = 5
# Seconds between two tries.
PAUSE = 1
PR_SET_PDEATHSIG = 1


class EtcdError(RuntimeError):
    """etcd did not do what was asked; the message names the endpoints and what etcdctl said."""


def peer_url(address):
    """The URL at which the other members reach a member."""
    return f"https://{address}:{PEER_PORT}"


def client_url(address):
    """The URL at which clients reach a member."""
    return f"https://{address}:{CLIENT_PORT}"


def has_data(directory):
    """Whether a data directory holds a member: etcd itself starts anew exactly when there is no write-ahead log."""
    return any(Path(directory, "member", "wal").glob("*.wal"))


def plan(me, members, live, data, recorded):
    """
    What a member must do to be part of its cluster, and never of a second one.

    me: this member's name. members: ``{name: address}`` from the pillar. live: what the running members answered, None
    when none
    did. data: whether this member has data on its disk. recorded: id of the cluster once formed, as the CA minion
    remembers it.

    Returns ``{"action", "reason", ...}``; action is one of
        start     as it is: membership is in the data
        new       first formation, from the pillar's list; with "initial_cluster"
        existing  this member is expected by a running cluster; with "initial_cluster"
        join      "add" this peer URL to the running cluster, then look again
        rejoin    "remove" the member (id) that this one was before its disk was lost, then look again
        wait      not safe or not possible at this moment; look again
        refuse    never by itself; the reason says what a person has to do
    """
    if data:
        return {"action": "start", "reason": "it has its data"}
    if live is None:
        if recorded:
            reason = (
                f"cluster {recorded} was formed before, this member has no data, and no other member answers. Start "
                "the other members, or restore a snapshot on all of them; a second, empty cluster is not formed"
            )
            return {"action": "refuse" if len(members) == 1 else "wait", "reason": reason}
        return {"action": "new", "reason": "first formation", "initial_cluster": initial_cluster(members)}

    url = peer_url(members[me])
    mine = [member for member in live if url in member["peer_urls"] or member["name"] == me]
    if len(mine) > 1:
        reason = f"several members are {me} or have its address: remove the wrong one (etcdctl member list)"
        return {"action": "refuse", "reason": reason}
    if not mine:
        return {"action": "join", "reason": "not yet a member", "add": url}
    entry = mine[0]
    if not entry["client_urls"] and url in entry["peer_urls"]:
        known = {name: address for name, address in members.items() if _listed(peer_url(address), live)}
        return {
            "action": "existing",
            "reason": "expected by the running cluster",
            "initial_cluster": initial_cluster(known, live),
        }
    others = [member for member in live if member is not entry and not member["learner"]]
    healthy = sum(1 for member in others if member["healthy"])
    quorum = len(others) // 2 + 1
    if not others or healthy < quorum:
        reason = (
            f"this member lost its data, and only {healthy} of the other {len(others)} members answer; removing it "
            f"needs {quorum}. Start the other members, or restore a snapshot"
        )
        return {"action": "wait" if others else "refuse", "reason": reason}
    return {"action": "rejoin", "reason": "its data is lost; the cluster still counts it", "remove": entry["id"]}


def _listed(url, live):
    return any(url in member["peer_urls"] for member in live)


def initial_cluster(members, live=()):
    """etcd's ``name=url,...``; a running member that the pillar no longer has must be in it all the same."""
    pairs = {peer_url(address): name for name, address in members.items()}
    for member in live:
        for url in member["peer_urls"]:
            pairs.setdefault(url, member["name"] or f"member-{member['id']}")
    return ",".join(sorted(f"{name}={url}" for url, name in pairs.items()))


def parse_members(text):
    """``(cluster id in hex, [live members])`` from ``etcdctl member list`` or ``add``; nobody is marked healthy yet."""
    document = json.loads(text)
    members = [
        {
            "id": f"{member['ID']:x}",
            "name": member.get("name", ""),
            "peer_urls": member.get("peerURLs") or [],
            "client_urls": member.get("clientURLs") or [],
            "learner": bool(member.get("isLearner")),
            "healthy": False,
        }
        for member in document["members"]
    ]
    return f"{document['header']['cluster_id']:x}", members


def parse_health(text):
    """``{endpoint: reason}`` from ``etcdctl endpoint health``; the reason is None for a healthy one."""
    return {
        entry["endpoint"]: None if entry.get("health") else str(entry.get("error") or "unhealthy")
        for entry in json.loads(text or "[]")
    }


def reachable(addresses, timeout=CONNECT_TIMEOUT):
    """Those addresses whose client port takes a connection. All are tried at once: the wait is one timeout at most."""
    waiting = {}
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        connection.connect_ex((address, CLIENT_PORT))
        waiting[connection] = address
    found = set()
    deadline = time.monotonic() + timeout
    try:
        pending = set(waiting)
        while pending and time.monotonic() < deadline:
            _, ready, _ = select.select([], list(pending), [], max(0, deadline - time.monotonic()))
            for connection in ready:
                pending.discard(connection)
                if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found.add(waiting[connection])
    finally:
        for connection in waiting:
            connection.close()
    return [address for address in addresses if address in found]


def etcdctl(arguments, endpoints, tls, *, timeout=COMMAND_TIMEOUT, program=ETCDCTL, check=True):
    """
    Run etcdctl and return what it printed. endpoints: URLs; tls: ``{ca, cert, key}`` (files). Raises EtcdError.

    With ``check=False`` what it printed counts even if it failed (``endpoint health`` fails when one member does).
    """
    command = [program, *_options(endpoints, tls, timeout), *arguments]
    try:
        # etcdctl keeps its own timeout; ours is for an etcdctl that hangs.
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout + 5, check=False, env=_environment()
        )
    except FileNotFoundError:
        raise EtcdError(f"{program} is not installed") from None
    except subprocess.TimeoutExpired:
        raise EtcdError(f"etcdctl {arguments[0]} gave no answer in {timeout + 5} s ({', '.join(endpoints)})") from None
    if done.returncode and (check or not done.stdout.strip()):
        lines = [line for line in done.stderr.strip().splitlines() if line]
        raise EtcdError(f"etcdctl {' '.join(arguments)} ({', '.join(endpoints)}): {lines[-1] if lines else 'failed'}")
    return done.stdout


def survey(addresses, tls, *, timeout=COMMAND_TIMEOUT, program=ETCDCTL):
    """
    ``(cluster id, live members)`` as the members at these addresses see it, or ``(None, None)`` when none takes a
    connection.

    Without a quorum, what one member knows has to do: it may be old, but then nobody is healthy, and who was added last
    has to start for the quorum to come back. Raises EtcdError when no member tells.
    """
    endpoints = [client_url(address) for address in reachable(addresses)]
    if not endpoints:
        return None, None
    question = ["member", "list", "--write-out=json"]
    try:
        answer = etcdctl(question, endpoints, tls, timeout=timeout, program=program)
    except EtcdError:
        answer = etcdctl([*question, "--consistency=s"], endpoints, tls, timeout=timeout, program=program)
    cluster, members = parse_members(answer)
    health = parse_health(
        etcdctl(
            ["endpoint", "health", "--write-out=json"], endpoints, tls, timeout=timeout, program=program, check=False
        )
    )
    for member in members:
        member["healthy"] = any(health.get(url, "down") is None for url in member["client_urls"])
    return cluster, members


class Lock:
    """A lock in etcd, held by a child process for as long as this object is not released."""

    def __init__(self, process):
        self._process = process

    def held(self):
        """False once etcd took the lock away (the members were out of reach for longer than its time to live)."""
        return self._process.poll() is None

    def release(self):
        """Give the lock back; harmless when done twice."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(COMMAND_TIMEOUT)
            except subprocess.TimeoutExpired:
                # The lease runs out by itself a few seconds later.
                self._process.kill()
                self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()


def lock(name, endpoints, ca, cert, key, timeout, program=ETCDCTL):
    """
    Take a lock that all users of this etcd share, waiting `timeout` seconds at most. Returns a :class:`Lock`.

    Several endpoints keep the lock alive while one of the members restarts; while there is no quorum at all, it is
    tried again. Raises TimeoutError when somebody else holds the lock for too long, EtcdError when etcd cannot be used.
    """
    command = [program, *_options(endpoints, {"ca": ca, "cert": cert, "key": key}, COMMAND_TIMEOUT), "lock", name]
    deadline = time.monotonic() + timeout
    while True:
        handle, problem = _take(command, max(0, deadline - time.monotonic()))
        if handle:
            return handle
        if problem is None:
            raise TimeoutError(f"lock {name} in etcd was not free within {timeout} s ({', '.join(endpoints)})")
        if time.monotonic() + PAUSE > deadline:
            raise EtcdError(f"lock {name} in etcd ({', '.join(endpoints)}): {problem}")
        time.sleep(PAUSE)


def _take(command, timeout):
    """``(lock, None)``, or ``(None, why etcdctl ended)``; the reason is None when it was still waiting."""
    # If this process dies, the child must not hold the lock for ever: the kernel ends it.
    library = ctypes.CDLL(None)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            preexec_fn=lambda: library.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
        )
    except FileNotFoundError:
        raise EtcdError(f"{command[0]} is not installed") from None
    output, errors = process.stdout, process.stderr
    assert output and errors  # both are pipes
    handle = Lock(process)
    try:
        # etcdctl prints the key of the lock the moment it has it.
        ready, _, _ = select.select([output], [], [], timeout)
        if ready and os.read(output.fileno(), 1):
            return handle, None
    except BaseException:
        handle.release()
        raise
    if not ready:
        handle.release()
        return None, None
    lines = errors.read().decode(errors="replace").strip().splitlines()
    handle.release()
    return None, lines[-1] if lines else "etcdctl ended"


def _options(endpoints, tls, timeout):
    return [
        f"--endpoints={','.join(endpoints)}",
        f"--cacert={tls['ca']}",
        f"--cert={tls['cert']}",
        f"--key={tls['key']}",
        f"--command-timeout={timeout}s",
        "--dial-timeout=2s",
    ]


def _environment():
    # Settings of somebody's shell (ETCDCTL_ENDPOINTS, ...) must not change what is asked.
    return {key: value for key, value in os.environ.items() if not key.startswith("ETCDCTL_")}
