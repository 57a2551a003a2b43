"""Real Salt masters with minions on this machine: one as the documentation says, and one with weakened policies."""

import concurrent.futures
import contextlib
import shutil
from pathlib import Path
from types import SimpleNamespace

import salt.crypt
import yaml

REPO = Path(__file__).resolve().parents[2]

CLUSTER = """
cluster:
  name: {name}
  kubernetes: "1.36"
  ca: {ca}
  api: {{address: 172.{number}.0.100, port: 8443}}
  nodes:
    m1: {{address: 172.{number}.0.11, roles: [etcd, master]}}
    w1: {{address: 172.{number}.0.21, roles: [worker]}}
  network: {{nodes: 172.{number}.0.0/24}}
"""
# demo and third share a CA minion, other has its own.
CLUSTERS = {"demo": ("ca", 28), "other": ("ca2", 29), "third": ("ca", 30)}
MINIONS = ("ca", "ca2", "m1.demo", "w1.demo", "m1.other")


def write_pillar(root):
    """A pillar root with the repository's data and small clusters of the tests' own; returns `root`."""
    (root / "clusters").mkdir()
    (root / "data").symlink_to(REPO / "pillar" / "data")
    (root / "top.sls").write_text("base: {}\n")
    for name, (ca, number) in CLUSTERS.items():
        (root / "clusters" / f"{name}.sls").write_text(CLUSTER.format(name=name, ca=ca, number=number))
    return root


def documented():
    """The security options of the master's configuration, taken from the very text that docs/operations.md shows."""
    text = (REPO / "docs" / "operations.md").read_text(encoding="utf-8")
    shown = yaml.safe_load(text.split("```yaml\n", 1)[1].split("```", 1)[0])
    return {key: value for key, value in shown.items() if key not in PLACES}


# Options that say where things lie: the tests put them elsewhere.
PLACES = ("file_roots", "pillar_roots", "module_dirs", "ext_pillar", "timeout", "gather_job_timeout")


def accept(master, minion):
    """Give a minion its key and the master its public half, as an operator does who compares fingerprints."""
    pki = Path(minion.config["pki_dir"])
    pki.mkdir(parents=True, exist_ok=True)
    accepted = Path(master.config["pki_dir"]) / "minions"
    accepted.mkdir(parents=True, exist_ok=True)
    if not (pki / "minion.pem").exists():
        salt.crypt.write_keys(str(pki), "minion", 2048)
    shutil.copy(pki / "minion.pub", accepted / minion.id)


def verbatim(master, options):
    """The factory merges its own defaults into lists and mappings (`peer` allows test.* then): write what was asked for."""
    path = Path(master.config["conf_file"])
    config = {**yaml.safe_load(path.read_text()), **options}
    path.write_text(yaml.safe_dump(config))


@contextlib.contextmanager
def running(factories, name, folder, options, minions, minion_options=None):
    """
    A master and minions while the context lasts.

    options: of the master. minions: ids. minion_options: ``{id: options}``. Yields ``.run(id, function, *args)`` (returns the data),
    ``.minions[id]``, ``.directory(id)`` (the folder that stands for the node's root), ``.ca`` (the folder of the authorities of minion
    "ca"), ``.authorities(id)``, ``.master``, ``.folder`` (for proofs).
    """
    master = factories.salt_master_daemon(
        name, overrides={"interface": "127.0.0.1", "auto_accept": False, "log_level_logfile": "warning", **options}
    )
    verbatim(master, options)
    directories = {minion: folder / minion for minion in minions}
    for directory in directories.values():
        directory.mkdir(parents=True)
    daemons = {
        minion: master.salt_minion_daemon(
            f"{minion}",
            overrides={
                "kaas_root": str(directory),
                "kaas_ca_root": str(directory / "pki"),
                "autoload_dynamic_modules": False,
                "kaas_ca_calls_per_minute": 1000,
                # straight from the formula: nothing has to be synced
                "module_dirs": options["module_dirs"],
                # grains that ask the network or the hardware
                "enable_fqdns_grains": False,
                "enable_gpu_grains": False,
                **(minion_options or {}).get(minion, {}),
            },
        )
        for minion, directory in directories.items()
    }
    for daemon in daemons.values():
        accept(master, daemon)
    with master.started(), concurrent.futures.ThreadPoolExecutor() as pool:
        try:
            list(pool.map(lambda daemon: daemon.start(), daemons.values()))
            cli = master.salt_cli(timeout=60)

            def run(minion, function, *args, **kwargs):
                return cli.run(function, *args, minion_tgt=minion, **kwargs).data

            yield SimpleNamespace(
                master=master, minions=daemons, run=run, directory=directories.get, folder=folder,
                ca=directories["ca"] / "pki", authorities=lambda minion: directories[minion] / "pki",
            )  # fmt: skip
        finally:
            list(pool.map(lambda daemon: daemon.terminate(), daemons.values()))
