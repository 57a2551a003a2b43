"""The container runtime's pods, asked by crictl."""

import json
import os
import subprocess

CRICTL = "/usr/local/bin/crictl"
SOCKET = "/run/containerd/containerd.sock"


def usable(program=CRICTL, socket=SOCKET):
    """Whether there is a container runtime to ask: its client is installed, and it listens."""
    return os.path.exists(program) and os.path.exists(socket)


def crictl(*words, timeout=120, program=CRICTL):
    """Run crictl for at most `timeout` seconds; return its output. Raises RuntimeError with what it printed."""
    command = [program, f"--timeout={timeout}s", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout + 5, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"crictl {words[0]} did not end within {timeout} s") from None
    if done.returncode:
        raise RuntimeError(f"crictl {' '.join(words)[:200]}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def pods(timeout=30):
    """Return the ids of all pod sandboxes, running or not."""
    return crictl("pods", "--quiet", timeout=timeout).split()


def networked(timeout=30):
    """Return the names (``namespace/name``) of the running pods with a network of their own, not the machine's."""
    ids = crictl("pods", "--quiet", "--state=ready", timeout=timeout).split()
    found = []
    for one in ids:
        try:
            status = json.loads(crictl("inspectp", "--output=json", one, timeout=timeout))["status"]
        except RuntimeError as error:
            if "not found" in str(error):
                continue  # it ended meanwhile
            raise
        options = ((status.get("linux") or {}).get("namespaces") or {}).get("options") or {}
        if options.get("network", "POD") != "NODE":
            found.append(f"{status['metadata']['namespace']}/{status['metadata']['name']}")
    return sorted(found)


def remove(ids, timeout=120):
    """Stop and remove pods: containers ended, network released, mounts undone."""
    crictl("rmp", "--force", *ids, timeout=timeout)
