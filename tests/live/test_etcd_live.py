"""Real etcd processes on this machine's loopback: formation, lost disks, locks. No Salt master: the states run in its loader."""

import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jinja2
import kaas_etcd
import kaas_pki
import kaas_topology
import pytest
import yaml
from loaded import ROOT, Loaded

ADDRESSES = {"m1": "127.0.10.1", "m2": "127.0.10.2", "m3": "127.0.10.3"}
GROWING = {"g1": "127.0.10.4", "g2": "127.0.10.5", "g3": "127.0.10.6"}
PKI = "/etc/kubernetes/pki"
START_TIMEOUT = 30


def binaries():
    """The newest etcd in the artifact repository: build/artifacts, or the folder named by KAAS_ARTIFACTS."""
    repository = Path(os.environ.get("KAAS_ARTIFACTS", ROOT / "build" / "artifacts"))
    found = sorted(repository.glob("etcd/*/linux-amd64/etcd"))
    return found[-1].parent if found else Path("/nonexistent")


pytestmark = pytest.mark.skipif(not (binaries() / "etcd").exists(), reason="no etcd: run `make artifacts` first")


def wait(condition, seconds=START_TIMEOUT):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def topology(addresses):
    return {
        "name": "demo",
        "domain": "cluster.local",
        "ca": "ca",
        "api": {"address": "127.0.10.100", "port": 8443},
        "network": {"services": "10.96.0.0/16"},
        "nodes": {
            name: {"id": f"{name}.demo", "address": address, "roles": ["etcd"]} for name, address in addresses.items()
        },
    }


class Member:
    """One node's disk, its states, and its etcd process. addresses: `{name: address}` of all members that its pillar knows."""

    def __init__(self, name, root, authority, ca, addresses):
        self.name, self.root, self.ca, self.address, self.process = name, root, ca, addresses[name], None
        kaas = {
            "roles": ["etcd"],
            "cluster": {"name": "demo", "ca": "ca"},
            "node": {"name": name, "id": f"{name}.demo", "address": self.address},
            "etcd": {"members": addresses},
            "tls_cipher_suites": kaas_topology.TLS_CIPHER_SUITES,
        }
        for policy in kaas_pki.policies(topology(addresses), name).values():
            key = kaas_pki.create_key()
            cert = kaas_pki.issue(authority["certificate"], authority["key"], kaas_pki.public_key(key), policy)
            for path, text in (
                (policy["key"], key),
                (policy["cert"], cert),
                (policy["ca_file"], authority["certificate"]),
            ):
                target = root / path.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
        self.loaded = Loaded(
            {"kaas": kaas},
            only=["kaas_etcd"],
            fakes={"publish.publish": ca.publish},
            kaas_root=str(root),
            kaas_etcdctl=str(binaries() / "etcdctl"),
        )
        # The very configuration of the sls, moved to this member's folder and addresses.
        environment = jinja2.Environment()
        environment.filters["json"] = json.dumps
        template = environment.from_string((ROOT / "salt/etcd/configured.sls").read_text())
        text = template.render(pillar={"kaas": kaas})
        text = text.replace(PKI, str(root) + PKI).replace("/var/lib/etcd", str(root / "data"))
        (config,) = [
            item["config"]
            for item in yaml.safe_load(text)["etcd-configured"]["kaas_etcd.configured"]
            if "config" in item
        ]
        config["listen-client-urls"] = f"https://{self.address}:2379"
        config["listen-metrics-urls"] = f"http://{self.address}:2381"
        self.config = config

    def configured(self, **kwargs):
        return self.loaded.states["kaas_etcd.configured"]("/etc/etcd/etcd.yaml", config=self.config, **kwargs)

    def state(self, function, **kwargs):
        return self.loaded.states[f"kaas_etcd.{function}"]("demo", **kwargs)

    def healthy(self, seconds):
        """Wait until this member is healthy, and with it a quorum: ``{"result": bool, "comment": what was found last}``."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = self.loaded.modules["kaas_etcd.members"]()
                good = {member["name"] for member in found if member["healthy"]}
                if self.name in good and len(good) > len(found) // 2:
                    return {"result": True, "comment": ""}
                comment = f"healthy: {sorted(good)} of {len(found)}"
            except RuntimeError as failure:
                comment = str(failure)
            if time.monotonic() > deadline:
                return {"result": False, "comment": comment}
            time.sleep(0.5)

    def ctl(self, *arguments):
        """etcdctl through this member alone."""
        tls = self.loaded.modules["kaas_etcd.client_tls"]()
        url = [kaas_etcd.client_url(self.address)]
        return kaas_etcd.etcdctl(list(arguments), url, tls, program=str(binaries() / "etcdctl"))

    def start(self):
        with (self.root / "etcd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [binaries() / "etcd", f"--config-file={self.root / 'etc/etcd/etcd.yaml'}"], stdout=log, stderr=log
            )

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def lose_disk(self):
        self.stop()
        shutil.rmtree(self.root / "data")


class Authority:
    """Stands for the CA minion's memory."""

    def __init__(self):
        self.recorded, self.answers, self.calls = None, True, 0

    def publish(self, target, function, arguments, *_, **__):
        assert (target, function) == ("ca", "kaas_ca.bootstrap")
        self.calls += 1
        if not self.answers:
            return {}
        self.recorded = self.recorded or json.loads(arguments[0]).get("cluster_id")
        return {"ca": {"cluster_id": self.recorded, "recorded": None}}


@pytest.fixture(scope="module")
def ca():
    return Authority()


@pytest.fixture(scope="module")
def members(tmp_path_factory, ca):
    """Three members, formed from nothing by the state, one key in them."""
    authority = kaas_pki.create_authority("etcd")
    found = {name: Member(name, tmp_path_factory.mktemp(name), authority, ca, ADDRESSES) for name in ADDRESSES}
    try:
        for member in found.values():
            state = member.configured(timeout=5)
            assert state["result"] is True, state
            assert state["changes"]["initial-cluster-state"]["new"] == "new"
            member.start()
        for member in found.values():
            state = member.healthy(START_TIMEOUT)
            assert state["result"] is True, state
        found["m1"].ctl("put", "kept", "yes")
        yield found
    finally:
        for member in found.values():
            member.stop()


@pytest.fixture(autouse=True)
def whole(members, ca):
    """Each test starts with three healthy members."""
    ca.answers = True
    for member in members.values():
        if member.process is None or member.process.poll() is not None:
            state = member.configured(timeout=START_TIMEOUT)
            assert state["result"] is True, state
            member.start()
    for member in members.values():
        state = member.healthy(START_TIMEOUT)
        assert state["result"] is True, state


def urls(member):
    return kaas_etcd.parse_members(member.ctl("member", "list", "--write-out=json"))[1]


def test_formation_is_recorded_once(members, ca):
    for member in members.values():
        state = member.state("recorded", timeout=5)
        assert state["result"] is True, state
        assert state["changes"] == {"recorded": ca.recorded}, (member.name, state)
    calls = ca.calls
    for member in members.values():
        assert member.state("recorded", timeout=5)["changes"] == {}
    assert ca.calls == calls


def test_second_run_asks_nobody_and_changes_nothing(members, ca):
    calls = ca.calls
    for member in members.values():
        state = member.configured(timeout=5)
        assert (state["result"], state["changes"]) == (True, {})
    assert ca.calls == calls


def test_lost_disk_comes_back_as_a_member_of_the_same_cluster(members, ca):
    before = {entry["id"] for entry in urls(members["m1"])}
    members["m2"].lose_disk()
    state = members["m2"].configured(timeout=START_TIMEOUT)
    assert state["result"] is True, state
    assert state["changes"]["lost member"].startswith("removed ")
    assert "initial-cluster-state" in state["changes"]
    members["m2"].start()
    state = members["m2"].healthy(START_TIMEOUT)
    assert state["result"] is True, state
    assert "yes" in members["m2"].ctl("get", "kept")
    after = {entry["id"] for entry in urls(members["m1"])}
    assert (len(after), len(after & before)) == (3, 2)
    assert members["m2"].loaded.modules["kaas_etcd.cluster_id"]() == ca.recorded


def test_run_that_was_interrupted_after_the_member_was_added(members):
    members["m3"].lose_disk()
    lost = next(entry for entry in urls(members["m1"]) if entry["name"] == "m3")
    retry(lambda: members["m1"].ctl("member", "remove", lost["id"]))
    retry(lambda: members["m1"].ctl("member", "add", "m3", f"--peer-urls={kaas_etcd.peer_url(ADDRESSES['m3'])}"))
    state = members["m3"].configured(timeout=START_TIMEOUT)
    assert state["result"] is True, state
    assert "lost member" not in state["changes"]
    assert "member" not in state["changes"]
    members["m3"].start()
    assert members["m3"].healthy(START_TIMEOUT)["result"] is True


def retry(action, seconds=15):
    """etcd refuses changes of membership until the members have been connected for a few seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except kaas_etcd.EtcdError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def test_no_second_cluster_while_the_others_are_down(members, ca):
    for name in ("m1", "m2"):
        members[name].stop()
    members["m3"].lose_disk()
    state = members["m3"].configured(timeout=3)
    assert state["result"] is False
    assert "no other member answers" in state["comment"]
    for name in ("m1", "m2"):
        members[name].start()
    state = members["m3"].configured(timeout=START_TIMEOUT)
    assert state["result"] is True, state
    assert "lost member" in state["changes"]


def test_without_quorum_no_member_is_removed(members):
    members["m2"].stop()
    members["m3"].lose_disk()
    state = members["m3"].configured(timeout=2)
    assert state["result"] is False
    assert "lost member" not in state["changes"]
    members["m2"].start()
    wait(lambda: members["m1"].healthy(5)["result"])
    assert len(urls(members["m1"])) == 3


def test_lost_disk_while_the_ca_minion_is_silent(members, ca):
    """A running cluster tells more than the CA minion's memory. A dry run before asks nobody."""
    members["m1"].lose_disk()
    pillar, calls = members["m1"].loaded.opts["pillar"], ca.calls
    dry = Loaded(pillar, only=["kaas_etcd"], test=True, kaas_root=str(members["m1"].root))
    state = dry.states["kaas_etcd.configured"]("/etc/etcd/etcd.yaml", config=members["m1"].config)
    assert state["result"] is None
    assert (ca.calls, len(urls(members["m2"]))) == (calls, 3)
    ca.answers = False
    state = members["m1"].configured(timeout=START_TIMEOUT)
    assert state["result"] is True, state
    assert "lost member" in state["changes"]


def test_lock_is_held_by_one(members):
    take = members["m1"].loaded.modules["kaas_etcd.lock"]
    other = members["m2"].loaded.modules["kaas_etcd.lock"]
    with take("restart/etcd", timeout=10) as held:
        assert held.held()
        with pytest.raises(TimeoutError, match="was not free within 1 s"):
            other("restart/etcd", timeout=1)
        with other("restart/other", timeout=10):
            pass
    other("restart/etcd", timeout=10).release()


def test_lock_survives_the_restart_of_a_member(members):
    with members["m1"].loaded.modules["kaas_etcd.lock"]("restart/etcd", timeout=10) as held:
        for name in ("m1", "m2", "m3"):
            members[name].stop()
            members[name].start()
            assert members[name].healthy(START_TIMEOUT)["result"] is True
        assert held.held()
        with pytest.raises(TimeoutError):
            members["m2"].loaded.modules["kaas_etcd.lock"]("restart/etcd", timeout=1)


def test_lock_ends_with_a_holder_that_is_killed(members):
    tls = members["m1"].loaded.modules["kaas_etcd.client_tls"]()
    code = (
        "import kaas_etcd, time;"
        f"kaas_etcd.lock('killed', ['https://127.0.10.1:2379'], {tls['ca']!r}, {tls['cert']!r}, {tls['key']!r}, 10,"
        f" {str(binaries() / 'etcdctl')!r}); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT / "_utils")}
    )
    assert holder.stdout.readline() == b"held\n"
    holder.kill()
    holder.wait()
    handle = kaas_etcd.lock(
        "killed", ["https://127.0.10.2:2379"], tls["ca"], tls["cert"], tls["key"], 30, str(binaries() / "etcdctl")
    )
    handle.release()


def test_lock_says_what_is_wrong_with_etcd(members):
    tls = {"ca": "/nonexistent", "cert": "/nonexistent", "key": "/nonexistent"}
    with pytest.raises(RuntimeError, match="lock x in etcd"):
        kaas_etcd.lock("x", ["https://127.0.10.1:2379"], **tls, timeout=5, program=str(binaries() / "etcdctl"))


@pytest.fixture
def single(tmp_path):
    """``(the only member of a cluster, function that makes the member of another name, with all members in its pillar)``."""
    authority, ca, made = kaas_pki.create_authority("etcd"), Authority(), []

    def make(name, addresses):
        made.append(Member(name, tmp_path / f"{name}-{len(made)}", authority, ca, addresses))
        return made[-1]

    first = make("g1", {"g1": GROWING["g1"]})
    try:
        assert first.configured(timeout=5)["result"] is True
        first.start()
        assert first.healthy(START_TIMEOUT)["result"] is True
        assert first.state("recorded", timeout=START_TIMEOUT)["result"] is True
        yield first, lambda name: make(name, GROWING)
    finally:
        for member in made:
            member.stop()


def test_one_member_grows_to_three(single):
    """Two join at once: the second takes away the quorum until it runs; the third, and a restart, wait for that."""
    first, make = single
    first.ctl("put", "kept", "yes")
    second, third = make("g2"), make("g3")
    state = second.configured(timeout=START_TIMEOUT)
    assert state["result"] is True, state
    assert state["changes"]["initial-cluster-state"]["new"] == "existing"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        lock = pool.submit(first.loaded.modules["kaas_etcd.lock"], "restart/etcd", timeout=2 * START_TIMEOUT)
        joined = pool.submit(third.configured, timeout=2 * START_TIMEOUT)
        second.start()
        lock.result().release()
        assert joined.result()["result"] is True, joined.result()
    third.start()
    for member in (second, third):
        state = member.healthy(START_TIMEOUT)
        assert state["result"] is True, state
    assert len(urls(first)) == 3
    assert "yes" in third.ctl("get", "kept")


def test_run_that_was_interrupted_while_nobody_had_quorum(single):
    """The second member was added and never started: only what the first one knows by itself leads out."""
    first, make = single
    first.ctl("member", "add", "g2", f"--peer-urls={kaas_etcd.peer_url(GROWING['g2'])}")
    with pytest.raises(kaas_etcd.EtcdError):
        first.ctl("member", "list")
    second = make("g2")
    state = second.configured(timeout=START_TIMEOUT)
    assert state["result"] is True, state
    second.start()
    assert second.healthy(START_TIMEOUT)["result"] is True
