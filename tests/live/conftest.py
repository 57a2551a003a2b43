"""A real Salt master, CA minions and nodes on this machine, with the repository's own file roots, ext_pillar and configuration."""

import json

import pytest
import saltworks
import weakened
from rogue import Rogue
from scene import Scene


@pytest.fixture(scope="session")
def pillar_root(tmp_path_factory):
    """A pillar root with the repository's data and small clusters of the tests' own."""
    return saltworks.write_pillar(tmp_path_factory.mktemp("pillar"))


@pytest.fixture(scope="session")
def secrets(tmp_path_factory):
    """Where the documented master keeps the clusters' secrets."""
    return tmp_path_factory.mktemp("documented") / "secrets"


@pytest.fixture(scope="session")
def salt(salt_factories, pillar_root, secrets, tmp_path_factory):
    """A master as docs/operations.md says, and its minions; see :func:`saltworks.running`."""
    options = {
        "file_roots": {"base": [str(saltworks.REPO / "salt")]},
        "pillar_roots": {"base": [str(pillar_root)]},
        "module_dirs": [str(saltworks.REPO / "salt")],
        "ext_pillar": [{"kaas": {"secrets": str(secrets)}}],
        **saltworks.documented(),
    }
    # A cluster with a CA minion of its own: its nodes may call that one too.
    options["peer"] = {**options["peer"], r"[^.]+\.other$": [{"ca2": options["peer"][".*"][0]["ca"]}]}
    with saltworks.running(salt_factories, "salt", tmp_path_factory.mktemp("nodes"), options, saltworks.MINIONS) as found:
        yield found


@pytest.fixture(scope="session")
def weak_salt(salt_factories, tmp_path_factory):
    """A master without the guards, and its minions."""
    folder = tmp_path_factory.mktemp("weak")
    (folder / "pillar").mkdir()
    root = saltworks.write_pillar(folder / "pillar")
    options = weakened.options(folder, root, folder / "secrets")
    with saltworks.running(salt_factories, "weak", folder / "nodes", options, saltworks.MINIONS[:4]) as found:
        found.run("ca", "state.apply", "ca.configured")
        yield found


@pytest.fixture(scope="session")
def authority(salt):
    """The CA minion after its states ran."""
    result = salt.run("ca", "state.apply", "ca.configured")
    assert isinstance(result, dict) and all(state["result"] is True for state in result.values()), result
    return salt.ca


def single(result):
    """The one state of a state.apply."""
    assert isinstance(result, dict), result
    assert len(result) == 1, json.dumps(result, indent=1)
    return next(iter(result.values()))


@pytest.fixture
def apply(salt):
    """Apply one sls on a minion and return its only state."""
    return lambda minion, sls, **kwargs: single(salt.run(minion, "state.apply", sls, **kwargs))


def scene(found, secrets):
    """The attacker on w1.demo of these minions."""
    rogue = Rogue(found.minions["w1.demo"].config, found.master.config)
    return Scene(rogue, found, secrets)


@pytest.fixture(scope="session")
def documented(salt, authority, secrets):
    """The attacker against the documented set-up."""
    found = scene(salt, secrets)
    yield found
    found.rogue.close()


@pytest.fixture(scope="session")
def weak(weak_salt, tmp_path_factory):
    """The attacker against the weakened set-up."""
    found = scene(weak_salt, weak_salt.folder.parent / "secrets")
    # what careless formulas put into the mine
    weak_salt.run("m1.demo", "mine.send", "sa", "mine_function=test.echo", "text=PRIVATE KEY of everybody")
    yield found
    found.rogue.close()
