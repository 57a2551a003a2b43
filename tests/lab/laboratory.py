"""A running cluster of the lab, for tests: its machines, Salt, Kubernetes, and the means to break things."""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import testinfra
import yaml
from clusterfiles import patched
from kaas_lab import cluster as clusters
from kaas_lab import kube, machines, saltrun, summary
from kaas_lab.paths import CLUSTERS, ROOT, kubeconfig
from kaas_lab.run import environment
from kubeapi import Api
from polling import NotYet, eventually, fetch

SCRATCH = "/run/kaas-test"  # on tmpfs in every machine: nothing of a killed test outlives the machine
VERSIONS = ROOT / "pillar" / "data" / "versions.yaml"

# What a refused or dry run must leave alone: contents below these folders, programs and links, and when each unit started.
FINGERPRINT = """
find /etc/kubernetes /etc/etcd /etc/containerd /etc/flannel /etc/cni /etc/haproxy /etc/keepalived /etc/systemd/system \
  -type f -print0 2>/dev/null | sort -z | xargs -0 -r sha256sum
find /opt/kaas /usr/local/bin /var/lib/kubelet/pki ! -type d -printf '%p %l %s %T@ %m\n' 2>/dev/null | sort
systemctl show -p Id -p ActiveEnterTimestampMonotonic -p MainPID etcd kube-apiserver kube-controller-manager kube-scheduler \
  containerd kubelet kube-proxy flanneld haproxy keepalived 2>/dev/null
"""


class Highstates(dict):
    """minion id -> return of state functions, with the questions that tests ask."""

    def states(self, minion):
        """The states of one minion: ``{key: state}``; fails when the minion refused to run any."""
        value = self[minion]
        assert isinstance(value, dict), f"{minion} ran no states: {str(value)[:2000]}"
        return value

    def state(self, minion, name):
        """The one state of `minion` with this name or id."""
        found = [s for s in self.states(minion).values() if name in (s.get("name"), s.get("__id__"))]
        assert len(found) == 1, f"{minion} has {len(found)} states named {name}"
        return found[0]

    def failures(self):
        """Text for each failed state, or error of a minion."""
        return [f"{f.node}: {f.id}: {f.comment[:1500]}" for f in summary.failures(self)]

    def changed(self):
        """Text for each state that changed or would change something."""
        found = []
        for minion in self:
            for state in self.states(minion).values():
                if state.get("changes") or state.get("result") is None:
                    text = json.dumps(state.get("changes"), default=str)[:500]
                    found.append(f"{minion}: {state.get('__id__')}: result {state['result']}, {text}")
        return found

    def assert_fine(self):
        """No state failed, and every minion ran some."""
        assert not self.failures(), "failed:\n" + "\n".join(self.failures())
        return self

    def assert_clean(self):
        """No state failed, changed or would change anything."""
        self.assert_fine()
        assert not self.changed(), "changed:\n" + "\n".join(self.changed())
        return self


class Laboratory:
    """
    One cluster of the lab (docker provider).

    name: of the file in pillar/clusters. Nodes are named as in that file; the machine of the Salt master is "salt".
    """

    def __init__(self, name):
        self.name = name
        self.file = clusters.load(CLUSTERS, name)
        self.spec = self.file.raw["cluster"]
        self.nodes = [node.name for node in self.file.nodes]
        self.machines = ["salt", *self.nodes]
        self.masters = self.with_role("master")
        self.etcd = self.with_role("etcd")
        self.workers = self.with_role("worker")
        self.balancers = self.with_role("loadbalancer")
        self.kubelets = [node.name for node in self.file.kubelets]
        self.api_holders = [node.name for node in self.file.api_holders]
        self.deployer = self.masters[0]
        self.highly_available = len(self.masters) > 2 and len(self.etcd) > 2
        self.vip = (self.spec.get("api") or {}).get("address")
        self.api_url = self.file.api_url
        row = yaml.safe_load(VERSIONS.read_text())["kubernetes"]
        wanted = str(self.spec["kubernetes"])
        self.versions = next(v for minor, v in row.items() if wanted in (minor, v["kubernetes"]))

    def with_role(self, role):
        """Names of the nodes with `role`, in the order of the cluster file."""
        return [node.name for node in self.file.nodes if role in node.roles]

    def alone(self, role):
        """Names of the nodes that have `role` and no other."""
        return [node.name for node in self.file.nodes if node.roles == (role,)]

    # --- the lab itself -------------------------------------------------------------------------------------------

    def up(self):
        """Bring the cluster up with the command that people use; what runs already is used as it is."""
        self._lab("up", timeout=2700)
        for machine in self.machines:
            self._remove_mounts(machine)
        kube.write_kubeconfig(self.file)

    def down(self):
        """Remove the cluster."""
        self._lab("down", timeout=300)

    def _lab(self, command, timeout):
        done = subprocess.run(
            [sys.executable, str(ROOT / "lab" / "lab"), "--cluster", self.name, command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.exit(f"lab/lab --cluster {self.name} {command} failed:\n{done.stdout[-6000:]}", returncode=1)

    # --- machines -------------------------------------------------------------------------------------------------

    def machine(self, name):
        """The lab's record of a machine: name, id (minion id), address."""
        return self.file.machine(name)

    def id(self, name):
        """Minion id of a machine."""
        return self.machine(name).id

    def address(self, name):
        """IPv4 address of a machine."""
        return self.machine(name).address

    def container(self, name):
        """Name of the machine's container."""
        return self.file.container(self.machine(name))

    def host(self, name):
        """The machine for testinfra."""
        return testinfra.get_host(f"docker://{self.container(name)}")

    def exec(self, machine, *argv, check=True, timeout=60, stdin=None):
        """Run a program in a machine; return the CompletedProcess. With `check`, a failure fails the test with its output."""
        options = ["--interactive"] if stdin is not None else []
        command = machines.command(self.file, self.machine(machine), argv, options=options)
        return run(command, check=check, timeout=timeout, stdin=stdin)

    def shell(self, machine, script, *args, check=True, timeout=60):
        """Run a shell script in a machine; return its standard output."""
        return self.exec(machine, "bash", "-c", script, "test", *args, check=check, timeout=timeout).stdout

    def everywhere(self, function, names):
        """``{name: function(name)}``, all at the same time."""
        with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
            return dict(zip(names, pool.map(function, names), strict=True))

    def kill(self, name):
        """End a machine as a power failure would: no process of it may clean up."""
        run(["docker", "kill", "--signal=KILL", self.container(name)])

    def start(self, name):
        """Start a machine that was killed; returns when its systemd has booted."""
        run(["docker", "start", self.container(name)])
        eventually(lambda: machines.booted(self.file, self.machine(name)), 90, f"{name} to boot")

    def fingerprint(self, names=None):
        """``{node: lines}``: configuration, programs and unit starts; equal before and after when nothing was changed."""
        return self.everywhere(
            lambda node: self.shell(node, FINGERPRINT, check=False).splitlines(), names or self.nodes
        )

    @contextlib.contextmanager
    def replaced(self, machine, path, text):
        """Within the context, `path` in `machine` has the content `text` (a bind mount: the real file is never touched)."""
        source = f"{SCRATCH}/{hashlib.sha256(path.encode()).hexdigest()[:16]}-{time.monotonic_ns()}"
        self.exec(machine, "mkdir", "-p", SCRATCH)
        self.exec(machine, "dd", "status=none", f"of={source}", stdin=text)
        self.exec(machine, "mount", "--bind", source, path)
        try:
            yield
        finally:
            self.exec(machine, "umount", "--lazy", path)

    def edited(self, change):
        """
        Within the context, Salt's master sees the cluster file with a change of the key `cluster`; no highstate is run.

        change: a JSON merge patch (RFC 7386), so that None takes a key away.
        """
        document = patched(self.file.raw, {"cluster": change})
        path = f"/srv/kaas/pillar/clusters/{self.name}.sls"
        return self.replaced("salt", path, yaml.safe_dump(document, sort_keys=False))

    def _remove_mounts(self, machine):
        """Undo what a killed test run left mounted."""
        listed = self.exec(machine, "findmnt", "--noheadings", "--raw", "--output=TARGET,SOURCE").stdout
        for line in reversed(listed.splitlines()):
            target, _, source = line.partition(" ")
            if "/kaas-test/" in source:
                self.exec(machine, "umount", "--lazy", target)

    # --- Salt -----------------------------------------------------------------------------------------------------

    def salt(self, target, function, *args, timeout=600):
        """
        Run ``salt TARGET FUNCTION ARGS`` on the master; return ``{minion id: return}``.

        target: "*", a machine's name, or a list of those; every one of them must return.
        """
        names = self.machines if target == "*" else [target] if isinstance(target, str) else list(target)
        ids = [self.id(name) for name in names]
        matcher = ["*"] if target == "*" else ["--list", ",".join(ids)]
        # Not --static: with it, a job longer than the time-out of the command line was given up although it ran on.
        argv = ["salt", *matcher, function, *args, "--out=json"]
        done = self.exec("salt", *argv, check=False, timeout=timeout)
        found = summary.merged(done.stdout)
        missing = [minion for minion in ids if minion not in found]
        assert not missing, (
            f"{' '.join(argv)}: no return of {', '.join(missing)}\n{done.stdout[-1000:]}{done.stderr[-1000:]}"
        )
        return {minion: found[minion] for minion in ids}

    def highstate(self, target="*", test=False, timeout=900):
        """``salt TARGET state.highstate``; returns Highstates."""
        return Highstates(self.salt(target, "state.highstate", f"test={test}", timeout=timeout))

    def apply(self, target, sls, timeout=600):
        """``salt TARGET state.apply SLS``; returns Highstates."""
        return Highstates(self.salt(target, "state.apply", sls, timeout=timeout))

    def wait_minions(self):
        """Wait until every minion of the cluster listens and answers."""
        saltrun.wait_connected(self.file)
        saltrun.ping(self.file)

    def restart_minions(self, names):
        """Restart the Salt minion of these machines and wait until they listen again."""
        self.everywhere(lambda name: self.exec(name, "systemctl", "restart", "salt-minion"), names)
        self.wait_minions()

    # --- Kubernetes -----------------------------------------------------------------------------------------------

    @property
    def kubeconfig(self):
        """Path of the operator's kubeconfig on this host."""
        return kubeconfig(self.name)

    def api(self, node=None):
        """The API by its own address, or by one master's apiserver."""
        return Api(self.kubeconfig, f"https://{self.address(node)}:6443" if node else None)

    def kubectl_argv(self, *argv):
        """Command and environment of kubectl with the operator's kubeconfig."""
        return [kube.kubectl_path(self.file), *argv], environment(KUBECONFIG=str(self.kubeconfig))

    def kubectl(self, *argv, check=True, timeout=90, stdin=None):
        """Run kubectl; return the CompletedProcess."""
        command, env = self.kubectl_argv("--request-timeout=20s", *argv)
        return run(command, check=check, timeout=timeout, stdin=stdin, env=env)

    def get(self, *argv):
        """``kubectl get ... -o json``, parsed."""
        return json.loads(self.kubectl("get", *argv, "--output=json").stdout)

    def create(self, *objects):
        """``kubectl apply`` of objects (mappings)."""
        self.kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def pods(self, namespace, selector=""):
        """Pods as JSON, without those that are being deleted."""
        listed = self.get("pods", f"--namespace={namespace}", f"--selector={selector}")["items"]
        return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]

    def ready_nodes(self):
        """Names of the nodes that are Ready."""
        return {name for name, good in kube.node_states(self.get("nodes")).items() if good}

    def wait_nodes_ready(self, timeout=180):
        """Wait until every node of the cluster file is Ready."""
        eventually(
            lambda: self.ready_nodes() >= set(self.kubelets), timeout, f"nodes {self.kubelets} to be Ready", every=0.5
        )

    def available(self, namespace, *names):
        """True when these Deployments are rolled out completely; else NotYet says which is not."""
        for name in names:
            found = self.get("deployment", name, f"--namespace={namespace}")
            status, wanted = found.get("status", {}), found["spec"].get("replicas", 1)
            counts = {key: status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")}
            if status.get("observedGeneration") != found["metadata"]["generation"] or set(counts.values()) != {wanted}:
                raise NotYet(f"{namespace}/{name}: wanted {wanted}, found {counts}")
        return True

    def wait_workloads(self, timeout=180):
        """Wait until CoreDNS and the demo are complete and the demo reaches its back end."""
        eventually(lambda: self.available("kube-system", "coredns"), timeout, "CoreDNS to be available")
        eventually(lambda: self.available("demo", "frontend", "backend"), timeout, "the demo to be available")
        eventually(lambda: self.demo(), timeout, "the demo to answer")

    def demo_url(self, node=None, path="/api"):
        """URL of the demo's front end by a node's address, or where people are told to find it."""
        host = self.address(node) if node else self.file.application_address
        return f"http://{host}:30080{path}"

    def demo(self, node=None):
        """What the demo's front end says about itself and its back end (answer of /api, parsed)."""
        return json.loads(fetch(self.demo_url(node)))

    # --- etcd -----------------------------------------------------------------------------------------------------

    def etcdctl(self, node, *argv, check=True):
        """Run etcdctl on an etcd node against its own member, as the health check's user; return standard output."""
        pki = "/etc/kubernetes/pki/etcd"
        options = [
            f"--cacert={pki}/ca.crt",
            f"--cert={pki}/healthcheck-client.crt",
            f"--key={pki}/healthcheck-client.key",
        ]
        endpoint = f"--endpoints=https://{self.address(node)}:2379"
        return self.exec(node, "etcdctl", endpoint, *options, *argv, check=check).stdout

    def etcd_members(self, node=None):
        """``(cluster id, {name: member})`` as one etcd node knows it."""
        listed = json.loads(self.etcdctl(node or self.etcd[0], "member", "list", "--write-out=json"))
        return listed["header"]["cluster_id"], {member.get("name", ""): member for member in listed["members"]}

    def healthy_members(self):
        """Names of the etcd nodes whose member says that it is healthy."""
        ask = 'curl -fsS -m 3 http://127.0.0.1:2381/health | grep -q \'"health":"true"\' && echo yes'
        answers = self.everywhere(lambda node: self.shell(node, ask, check=False).strip(), self.etcd)
        return {node for node, answer in answers.items() if answer == "yes"}


def run(command, check=True, timeout=60, stdin=None, env=None):
    """Run a program on this host; a failure fails the test with the command and its output."""
    try:
        done = subprocess.run(
            [str(word) for word in command], input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True, text=True, errors="replace", timeout=timeout, env=env or environment(), check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise AssertionError(f"no end after {timeout} s: {' '.join(map(str, command))}") from None
    if check and done.returncode:
        text = f"{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
        raise AssertionError(f"exit {done.returncode}: {' '.join(map(str, command))}\n{text}")
    return done


def difference(before, after):
    """``{node: lines}`` that stand in only one of two fingerprints; empty when nothing was changed."""
    found = {node: sorted(set(before[node]) ^ set(after[node])) for node in before}
    return {node: lines for node, lines in found.items() if lines}


def wanted_clusters():
    """Clusters to test, from the environment."""
    return os.environ.get("KAAS_TEST_CLUSTERS", "demo mini split").split()


def repository(*parts):
    """A path in the repository."""
    return Path(ROOT, *parts)
