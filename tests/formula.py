"""The formula inside one Python process: pillar compiled and states rendered as a master and its minions would."""

import copy
import hashlib
import importlib.util
import json
import pathlib

import salt._logging.impl
import salt.config
import salt.pillar
import salt.state
import yaml

# Without a configured log Salt keeps all records to print them at exit, when pytest has closed the streams.
salt._logging.impl.shutdown_temp_handler()

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "pillar" / "data"
GRAINS = {
    "os": "Debian",
    "os_family": "Debian",
    "osrelease": "12",
    "oscodename": "bookworm",
    "osarch": "amd64",
    "cpuarch": "x86_64",
    "kernel": "Linux",
    "init": "systemd",
    "systemd": {"version": "252", "features": ""},
}


def read_cluster(name):
    """Return the document of ``pillar/clusters/<name>.sls``."""
    return yaml.safe_load((ROOT / "pillar" / "clusters" / f"{name}.sls").read_text(encoding="utf-8"))


def plugin(kind, name):
    """Return the content of a plug-in's data file."""
    return yaml.safe_load((DATA / "plugins" / kind / f"{name}.yaml").read_text(encoding="utf-8"))


def write_index(path):
    """Write an artifact index that has every file of every version of the table, with made-up sums; return its path."""
    import kaas_topology

    table = yaml.safe_load((DATA / "versions.yaml").read_text(encoding="utf-8"))
    index = {}
    plugins = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in DATA.glob("plugins/*/*.yaml")]
    of_plugins = [table for plugin in plugins for table in plugin.get("artifacts", {}).values()]
    groups = [*kaas_topology.ROLE_ARTIFACTS.values(), *of_plugins]
    for row in table["kubernetes"].values():
        for group in groups:
            for component, files in group.items():
                artifact = "kubernetes" if component in kaas_topology.KUBERNETES_PROGRAMS else component
                entry = index.setdefault(artifact, {}).setdefault(row[artifact], {}).setdefault("linux-amd64", {})
                for name in files:
                    entry[name] = {"sha256": hashlib.sha256(name.encode()).hexdigest(), "size": 1}
    pathlib.Path(path).write_text(json.dumps({"artifacts": index, "images": {}}), encoding="utf-8")
    return str(path)


def options(folder, minion_id, pillar_root=None):
    """Return the options of a masterless minion that has the formula, its pillar, and writes only below ``folder``."""
    folder = pathlib.Path(folder)
    opts = salt.config.minion_config(None)
    opts.update(
        id=minion_id,
        root_dir=str(folder),
        cachedir=str(folder / "cache"),
        pki_dir=str(folder / "pki"),
        extension_modules=str(folder / "extmods"),
        file_client="local",
        file_roots={"base": [str(ROOT / "salt")]},
        pillar_roots={"base": [str(pillar_root or ROOT / "pillar")]},
        module_dirs=[str(ROOT / "salt")],
        autoload_dynamic_modules=False,
        grains=copy.deepcopy(GRAINS),
        ext_pillar=[{"kaas": {"secrets": str(folder / "secrets"), "artifacts": write_index_once(folder)}}],
    )
    return opts


def write_index_once(folder):
    """Write the index below ``folder`` unless it is there."""
    path = pathlib.Path(folder) / "index.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_index(path)
    return str(path)


def compile_pillar(opts, **kwargs):
    """Return the minion's whole pillar; problems are under ``_errors``."""
    return salt.pillar.Pillar(opts, opts["grains"], opts["id"], "base", **kwargs).compile_pillar()


def highstate(opts, pillar):
    """Return a HighState that renders with ``pillar``; the node's address is on its first interface."""
    node = pillar.get("kaas", {}).get("node")
    opts["grains"]["ip4_interfaces"] = {"lo": ["127.0.0.1"], "eth1": [node["address"]] if node else []}
    opts["grains"]["id"] = opts["id"]
    return salt.state.HighState(opts, initial_pillar=pillar)


def load(path, utils=(), salt=(), opts=(), pillar=()):
    """Import a custom Salt module by its path in the repository, with the given dunders."""
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem + "_under_test", ROOT / path)
    module = importlib.util.module_from_spec(spec)
    module.__dict__.update(__utils__=dict(utils), __salt__=dict(salt), __opts__=dict(opts), __pillar__=dict(pillar))
    spec.loader.exec_module(module)
    return module
