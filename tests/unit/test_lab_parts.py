"""lab: stamps, keys, environments, command line, engine clean-up."""

import pytest
from kaas_lab import cli, engine, keys, stamp, venv
from kaas_lab.errors import LabError


class TestStamp:
    def test_key_follows_contents_names_and_modes_not_order(self, tmp_path):
        a, b = tmp_path / "a", tmp_path / "b"
        a.write_text("1")
        b.write_text("2")
        first = stamp.key(["t"], [a, b])
        assert stamp.key(["t"], [b, a]) == first
        assert stamp.key(["u"], [a, b]) != first
        a.chmod(0o755)
        second = stamp.key(["t"], [a, b])
        a.write_text("3")
        assert len({first, second, stamp.key(["t"], [a, b])}) == 3

    def test_key_is_the_same_in_another_clone(self, tmp_path):
        keys_of = []
        for place in ("z", "a/b"):
            inputs = tmp_path / place / "image"
            inputs.mkdir(parents=True)
            (inputs / "packages").write_text("systemd")
            middle = tmp_path / "m"
            middle.write_text("certificate")
            keys_of.append(stamp.key(files=[inputs, middle]))
        assert keys_of[0] == keys_of[1]

    def test_texts_do_not_run_together(self):
        assert stamp.key(["ab", "c"]) != stamp.key(["a", "bc"])

    def test_built_once_and_again_when_inputs_change(self, tmp_path):
        product = tmp_path / "product"
        calls = []

        def make(path):
            calls.append(path.name)
            path.write_text(f"content {len(calls)}")

        assert stamp.build(product, "k1", make)
        assert not stamp.build(product, "k1", make)
        assert stamp.build(product, "k2", make)
        assert product.read_text() == "content 2"
        product.unlink()
        assert stamp.build(product, "k2", make)

    def test_a_killed_build_leaves_nothing_that_looks_finished(self, tmp_path):
        product = tmp_path / "product"

        def killed(path):
            path.mkdir()
            (path / "half").touch()
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            stamp.build(product, "k", killed)
        assert not stamp.is_current(product, "k")
        assert stamp.build(product, "k", lambda path: path.write_text("whole"))
        assert product.read_text() == "whole"
        assert {path.name for path in tmp_path.iterdir()} == {"product", "product.stamp"}


def test_fingerprint_is_salts(tmp_path):
    import salt.utils.crypt

    pem = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0B\nAQEFAAOCAQ8A\n-----END PUBLIC KEY-----\n"
    (tmp_path / "pub").write_text(pem)
    assert keys.fingerprint(pem) == salt.utils.crypt.pem_finger(str(tmp_path / "pub"), sum_type="sha256")


def test_requirements_resolve_included_groups():
    groups = {"a": ["x==1"], "b": [{"include-group": "a"}, "y==2", "x==1"]}
    assert venv.requirements(groups, "b") == ["x==1", "y==2"]
    with pytest.raises(LabError, match="no dependency group 'c'; it has: a, b"):
        venv.requirements(groups, "c")


@pytest.mark.parametrize("group", ["runtime", "test", "lint"])
def test_every_tool_is_pinned(group):
    assert all("==" in item for item in venv.group(group))


@pytest.mark.parametrize(
    ("argv", "own", "rest"),
    [
        (["up", "--cluster", "mini"], ["up", "--cluster", "mini"], []),
        (["--cluster", "mini", "salt", "*", "test.ping", "-t", "5"], ["--cluster", "mini", "salt"], ["*", "test.ping", "-t", "5"]),
        (["exec", "m1", "sh", "-c", "x --cluster y"], ["exec"], ["m1", "sh", "-c", "x --cluster y"]),
        (["kubectl", "-n", "demo", "get", "pods"], ["kubectl"], ["-n", "demo", "get", "pods"]),
        (["--cluster=mini", "kubectl", "--help"], ["--cluster=mini", "kubectl"], ["--help"]),
        (["--cluster", "salt", "status"], ["--cluster", "salt", "status"], []),
    ],
)
def test_arguments_of_other_programs_are_left_alone(argv, own, rest):
    assert cli.split(argv) == (own, rest)


@pytest.mark.parametrize(
    ("line", "lacks"),
    [("CapBnd:\t000001ffffffffff", False), ("CapBnd:\t000001fffeffffff", True), ("CapEff:\t0000000000000000", False)],
)
def test_missing_capability(line, lacks):
    assert engine.lacks_sys_resource(f"Name:\tx\n{line}\n") is lacks


def test_firewall_undo_takes_the_engines_rules_and_no_others():
    listed = """-P INPUT ACCEPT
-P FORWARD DROP
-N DOCKER
-N DOCKER-USER
-N MINE
-A INPUT -i eth0 -j MINE
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i br-0123456789ab ! -o br-0123456789ab -j ACCEPT
-A FORWARD -i virbr0 -j ACCEPT
-A POSTROUTING -s 172.31.255.0/24 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 10.1.0.0/24 ! -o br-0123456789ab -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
"""
    assert engine.firewall_undo(listed) == [
        ["-D", "FORWARD", "-j", "DOCKER-USER"],
        ["-D", "FORWARD", "-o", "docker0", "-j", "DOCKER"],
        ["-D", "FORWARD", "-i", "br-0123456789ab", "!", "-o", "br-0123456789ab", "-j", "ACCEPT"],
        ["-D", "POSTROUTING", "-s", "172.31.255.0/24", "!", "-o", "docker0", "-j", "MASQUERADE"],
        ["-D", "POSTROUTING", "-s", "10.1.0.0/24", "!", "-o", "br-0123456789ab", "-j", "MASQUERADE"],
        ["-F", "DOCKER"],
        ["-F", "DOCKER-USER"],
        ["-X", "DOCKER"],
        ["-X", "DOCKER-USER"],
    ]


def test_a_data_folder_that_was_half_removed_is_not_intact(tmp_path):
    for part in ("image", "containers", "network", "volumes"):
        (tmp_path / part).mkdir()
    assert engine.intact(tmp_path)
    (tmp_path / "image").rmdir()
    assert not engine.intact(tmp_path)
    assert not engine.intact(tmp_path / "absent")
