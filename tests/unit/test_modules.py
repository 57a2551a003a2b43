"""What people call: the execution modules and the runner, through Salt's loader."""

import base64
import datetime
import functools
import hashlib
import json
import socket

import formula
import kaas_artifact
import kaas_pki
import pytest
import salt.config
import salt.loader
import yaml
from loaded import Loaded

# -- kaas_artifact, kaas_formula ----------------------------------------------------------------------------------


def test_verify_finds_what_was_tampered_with(tmp_path):
    store = str(tmp_path / "store")
    artifacts = {}
    for name in ("runc", "etcd"):
        source = tmp_path / name
        source.write_text(name)
        entry = {"name": name, "url": source.as_uri(), "sha256": hashlib.sha256(name.encode()).hexdigest()}
        artifacts[name] = {"version": "1", "files": [entry]}
        kaas_artifact.fetch([entry], kaas_artifact.folder(name, "1", store))
    tools = {"kaas_artifact.folder": functools.partial(kaas_artifact.folder, store=store)}
    verify = Loaded({"kaas": {"artifacts": artifacts}}, ["kaas_artifact"], tools=tools).modules["kaas_artifact.verify"]
    assert verify() == {}
    (tmp_path / "store" / "runc" / "1" / "runc").write_text("RUNC")
    found = verify()
    assert list(found) == ["runc"] and "expected sha256" in found["runc"][0]


def test_verify_on_a_node_without_artifacts():
    assert Loaded({"kaas": {}}, ["kaas_artifact"]).modules["kaas_artifact.verify"]() == {}


def test_digest_is_over_what_the_minion_synced(tmp_path):
    loaded = Loaded({}, ["kaas_formula"], extension_modules=str(tmp_path))
    empty = loaded.modules["kaas_formula.digest"]()
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "kaas_x.py").write_text("1")
    assert loaded.modules["kaas_formula.digest"]() != empty


# -- kaas_etcd ----------------------------------------------------------------------------------------------------

ADDRESS = "127.0.12.1"
ANSWERS = {
    "member list": {
        "header": {"cluster_id": 0xCAFE},
        "members": [
            {"ID": 1, "name": "m1", "peerURLs": [f"https://{ADDRESS}:2380"], "clientURLs": [f"https://{ADDRESS}:2379"]},
            {"ID": 2, "peerURLs": ["https://127.0.12.2:2380"]},
        ],
    },
    "endpoint health": [{"endpoint": f"https://{ADDRESS}:2379", "health": True}],
}


@pytest.fixture
def etcd(played):
    """The execution module on a master whose etcd takes connections and whose etcdctl answers from ANSWERS."""
    script = "".join(
        f"case \"$*\" in *'{question}'*) echo '{json.dumps(answer)}';; esac\n" for question, answer in ANSWERS.items()
    )
    program = played("etcdctl", script + 'case "$*" in *" lock "*) echo key; exec sleep 60;; esac')
    members = {"m1": ADDRESS, "m3": "127.0.12.3"}
    loaded = Loaded({"kaas": {"roles": ["master"], "etcd": {"members": members}}}, ["kaas_etcd"], kaas_etcdctl=program)
    with socket.create_server((ADDRESS, 2379)):
        yield loaded.modules


def test_etcd_as_the_node_sees_it(etcd):
    assert etcd["kaas_etcd.cluster_id"]() == "cafe"
    assert [(member["name"], member["healthy"]) for member in etcd["kaas_etcd.members"]()] == [
        ("m1", True),
        ("", False),
    ]
    # A member that was added and has no name yet goes by its id; one of the pillar may be no member at all.
    assert etcd["kaas_etcd.health"]() == {"m1": None, "2": "does not answer", "m3": "is not a member"}


def test_a_lock_is_named_after_what_it_guards(etcd, played):
    with etcd["kaas_etcd.lock"]("restart/etcd", timeout=30) as handle:
        assert handle.held()
    assert not handle.held()
    call = played.calls()[-1]
    assert call.endswith("lock kaas/lock/restart/etcd")
    assert f"--endpoints=https://{ADDRESS}:2379,https://127.0.12.3:2379" in call
    assert "--cert=/etc/kubernetes/pki/apiserver-etcd-client.crt" in call


# -- kaas_pki.status ----------------------------------------------------------------------------------------------


def test_status_of_certificates(tmp_path):
    cluster = {
        "name": "demo",
        "domain": "cluster.local",
        "ca": "ca",
        "api": {"address": "172.28.0.11", "port": 6443, "vip": False},
        "networks": {"services": ["10.96.0.0/16"]},
        "nodes": {"m1": {"id": "m1.demo", "address": "172.28.0.11", "roles": ["etcd"]}},
    }
    policies = kaas_pki.policies(cluster, "m1")
    loaded = Loaded({"kaas": {"certificates": policies}}, ["kaas_pki"], kaas_root=str(tmp_path))
    status = loaded.modules["kaas_pki.status"]
    assert {purpose: entry["expires"] for purpose, entry in status().items()} == dict.fromkeys(policies)
    assert all(entry["problems"] for entry in status().values())
    authority, key = kaas_pki.create_authority("etcd"), kaas_pki.create_key()
    purpose, policy = next(iter(policies.items()))
    began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=50)
    made = kaas_pki.issue(authority["certificate"], authority["key"], kaas_pki.public_key(key), policy, now=began)
    for part, text in (("cert", made), ("key", key), ("ca_file", authority["certificate"])):
        path = tmp_path / policy[part].lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert status()[purpose] == {"expires": kaas_pki.describe(made)["not_after"], "problems": []}
    assert "expires soon" in status(renew_before_days=45)[purpose]["problems"][0]
    (tmp_path / policy["cert"].lstrip("/")).write_text("no certificate")
    assert status()[purpose]["expires"] is None and status()[purpose]["problems"]


def test_status_of_a_node_without_pillar():
    assert Loaded({}, ["kaas_pki"]).modules["kaas_pki.status"]() == {}


# -- the runner ---------------------------------------------------------------------------------------------------


@pytest.fixture
def runner():
    """Return a function that loads the runners of a master whose CA minion answers ``answer``, and what it was asked."""

    def load(answer=None, **options):
        opts = salt.config.DEFAULT_MASTER_OPTS.copy()
        opts.update({"module_dirs": [str(formula.ROOT / "salt")], "grains": {}, "pillar": {}, **options})
        asked, context = [], {}

        def execute(target, function, arg=(), kwarg=None):
            asked.append((target, function, arg, kwarg))
            return {target: answer} if answer else {}

        functions = salt.loader.runner(opts, utils=salt.loader.utils(opts), context=context, whitelist=["kaas"])
        functions["salt.execute"] = execute
        return functions, asked, context

    return load


def test_kubeconfig_holds_a_key_that_nobody_else_saw(runner, tmp_path):
    answer = {"certificate": "CERT", "authority": "CA", "url": "https://172.28.0.100:8443"}
    functions, asked, _ = runner(answer)
    path = tmp_path / "new" / "jane.conf"
    assert functions["kaas.kubeconfig"]("demo", user="jane", groups="dev,,ops", hours=2, path=str(path)) == str(path)
    target, function, arguments, request = asked[0]
    assert (target, function, arguments) == ("ca", "kaas_ca.sign_operator", ("demo",))
    assert (request["user"], request["groups"], request["hours"]) == ("jane", ["dev", "ops"], 2)
    assert "PRIVATE" not in json.dumps(request)
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    config = yaml.safe_load(path.read_text())
    assert config["clusters"][0]["cluster"]["server"] == answer["url"]
    key = base64.b64decode(config["users"][0]["user"]["client-key-data"]).decode()
    assert kaas_pki.public_key(key) == request["public_key"]


@pytest.mark.parametrize("answer", [None, "hours must be more than 0 and at most 720"])
def test_a_refused_kubeconfig_writes_nothing(runner, tmp_path, answer):
    functions, _, _ = runner(answer)
    with pytest.raises(Exception, match=f"kubeconfig of demo: the CA minion ca says: {answer}"):
        functions["kaas.kubeconfig"]("demo", path=str(tmp_path / "x.conf"))
    assert list(tmp_path.iterdir()) == []


def test_check_master_tells_and_fails(runner, tmp_path):
    functions, _, context = runner()
    found = functions["kaas.check_master"]()
    assert found and context["retcode"] == 1
    assert not [text for text in found if "without its guard" in text]
    # Without module_dirs there is no guard, wherever else the runner comes from.
    folders = {"runner_dirs": [str(formula.ROOT / "_runners")], "utils_dirs": [str(formula.ROOT / "_utils")]}
    functions, _, _ = runner(module_dirs=[str(tmp_path)], **folders)
    assert [text for text in functions["kaas.check_master"]() if "without its guard" in text]


def test_validate_tells_what_is_wrong_with_which_file(runner, tmp_path):
    (tmp_path / "clusters").mkdir()
    document = formula.read_cluster("demo")
    (tmp_path / "clusters" / "demo.sls").write_text(yaml.safe_dump(document))
    document["cluster"].update(name="other", acknowledge=["addresses-are-unique-across-clusters", "router-ids-are-unique"])
    document["cluster"]["nodes"].pop("m3")
    (tmp_path / "clusters" / "other.sls").write_text(yaml.safe_dump(document))
    roots = {"base": [str(tmp_path), str(formula.ROOT / "pillar")]}
    functions, _, context = runner(pillar_roots=roots)
    assert functions["kaas.validate"]("mini") == {"clusters/mini.sls": []}
    assert "retcode" not in context
    told = functions["kaas.validate"]()
    assert context["retcode"] == 1 and {"clusters/demo.sls", "clusters/mini.sls", "clusters/other.sls"} <= told.keys()
    assert any("error: nodes 2 nodes have the role etcd (m1, m2)" in text for text in told["clusters/other.sls"])
    assert any("warning: nodes.m1.address" in text for text in told["clusters/other.sls"])
    with pytest.raises(Exception, match="no cluster nowhere; there is: demo, mini, other, split"):
        functions["kaas.validate"]("nowhere")


def test_validate_tells_of_all_files_or_one(runner, tmp_path):
    (tmp_path / "data").symlink_to(formula.DATA)
    (tmp_path / "clusters").mkdir()
    good = (formula.ROOT / "pillar" / "clusters" / "mini.sls").read_text()
    (tmp_path / "clusters" / "mini.sls").write_text(good)
    functions, _, context = runner(pillar_roots={"base": [str(tmp_path)]})
    told = functions["kaas.validate"]("mini")
    assert list(told) == ["clusters/mini.sls"] and all(": warning" in text for text in told["clusters/mini.sls"])
    assert "retcode" not in context
    (tmp_path / "clusters" / "bad.sls").write_text("cluster: {name: bad}\n")
    told = functions["kaas.validate"]()
    assert list(told) == ["clusters/bad.sls", "clusters/mini.sls"]
    assert "line 1: error" in told["clusters/bad.sls"][0] and context["retcode"] == 1
    with pytest.raises(Exception, match="no cluster demo; there is: bad, mini"):
        functions["kaas.validate"]("demo")
