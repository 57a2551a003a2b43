"""A real Salt master, a CA minion and two nodes on this machine, with the repository's own file roots and ext_pillar."""

import concurrent.futures
import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

REPO = Path(__file__).resolve().parents[2]

CLUSTER = """
cluster:
  name: demo
  kubernetes: "1.36"
  api: {address: 172.28.0.100, port: 8443}
  nodes:
    m1: {address: 172.28.0.11, roles: [etcd, master]}
    w1: {address: 172.28.0.21, roles: [worker]}
  network: {nodes: 172.28.0.0/24}
"""

# What the documentation tells an operator to write: both the functions and the minion they may run on, exactly.
PEER = {".*": [{"ca": [r"kaas_ca\.issue$", r"kaas_ca\.bootstrap$"]}]}


@pytest.fixture(scope="session")
def pillar_root(tmp_path_factory):
    """A pillar root with the repository's data and a small cluster of the tests' own."""
    root = tmp_path_factory.mktemp("pillar")
    (root / "clusters").mkdir()
    (root / "data").symlink_to(REPO / "pillar" / "data")
    (root / "top.sls").write_text("base: {}\n")
    (root / "clusters" / "demo.sls").write_text(CLUSTER)
    return root


@pytest.fixture(scope="session")
def salt(salt_factories, pillar_root, tmp_path_factory):
    """
    The running master and minions: ``.run(id, function, *args)`` returns the data, ``.minions[id]``, ``.directory(id)`` (the
    folder that stands for the node's root), ``.ca`` (the authorities' folder).
    """
    secrets = tmp_path_factory.mktemp("secrets")
    master = salt_factories.salt_master_daemon(
        "salt",
        overrides={
            "file_roots": {"base": [str(REPO / "salt")]},
            "pillar_roots": {"base": [str(pillar_root)]},
            "module_dirs": [str(REPO / "salt")],
            "ext_pillar": [{"kaas": {"secrets": str(secrets)}}],
            "peer": PEER,
            "worker_threads": 3,
            "interface": "127.0.0.1",
        },
    )
    directories = {name: tmp_path_factory.mktemp(name.replace(".", "-")) for name in ("ca", "m1.demo", "w1.demo")}
    with master.started():
        minions = {
            name: master.salt_minion_daemon(
                name,
                overrides={"kaas_root": str(directory), "kaas_ca_root": str(directory / "pki")},
            )
            for name, directory in directories.items()
        }
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda minion: minion.start(), minions.values()))
        cli = master.salt_cli(timeout=60)

        def run(minion, function, *args, **kwargs):
            return cli.run(function, *args, minion_tgt=minion, **kwargs).data

        try:
            cli.run("saltutil.sync_all", minion_tgt="*")
            yield SimpleNamespace(
                master=master, minions=minions, run=run, directory=directories.get, ca=directories["ca"] / "pki"
            )
        finally:
            with concurrent.futures.ThreadPoolExecutor() as pool:
                list(pool.map(lambda minion: minion.terminate(), minions.values()))


@pytest.fixture(scope="session")
def authority(salt):
    """The CA minion after its states ran."""
    result = salt.run("ca", "state.apply", "ca.configured")
    assert all(state["result"] is True for state in result.values()), result
    return salt.ca


def single(result):
    """The one state of a state.apply."""
    assert isinstance(result, dict), result
    assert len(result) == 1, json.dumps(result, indent=1)
    return next(iter(result.values()))


@pytest.fixture
def apply(salt):
    """Apply one sls on a minion and return its only state, with the seconds it took in ``wall``."""

    def run(minion, sls, **kwargs):
        began = time.monotonic()
        state = single(salt.run(minion, "state.apply", sls, **kwargs))
        return {**state, "wall": time.monotonic() - began}

    return run
