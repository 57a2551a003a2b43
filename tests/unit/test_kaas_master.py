"""A Salt master's configuration: what is dangerous is named, what the documentation shows is not."""

import pytest
import yaml
from formula import ROOT
from kaas_master import problems

SHOWN = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").split("```yaml\n", 1)[1].split("```", 1)[0]
PEER = {".*": [{"ca": [r"kaas_ca\.issue$", r"kaas_ca\.bootstrap$"]}]}
# what Salt adds where nothing is configured
DEFAULTS = {
    "minimum_auth_version": 3, "sign_pub_messages": True, "pki_dir": "/etc/salt/pki/master", "cachedir": "/var/cache/salt/master",
    "on_demand_ext_pillar": ["libvirt", "virtkey"], "log_level_logfile": "warning", "autosign_file": "/nonexistent",
}  # fmt: skip
GOOD = {**DEFAULTS, **yaml.safe_load(SHOWN)}


@pytest.mark.parametrize("options", [GOOD, {**DEFAULTS, **yaml.safe_load((ROOT / "lab" / "salt" / "master").read_text())}])
def test_what_the_documentation_shows_and_the_lab_uses_is_fine(options):
    assert problems(options) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"open_mode": True}, "open_mode: True: every key is accepted"),
        ({"auto_accept": True}, "auto_accept: True"),
        ({"autosign_file": __file__}, "autosign_file: "),
        ({"autosign_grains_dir": "/etc/salt/autosign"}, "autosign_grains_dir: "),
        ({"minimum_auth_version": 0}, "minimum_auth_version: less than 3"),
        ({"file_recv": True}, "file_recv: True"),
        ({"on_demand_ext_pillar": ["libvirt"]}, "on_demand_ext_pillar: "),
        ({"pillar_opts": True}, "pillar_opts: True"),
        ({"pillar_cache": True}, "pillar_cache: True"),
        ({"sign_pub_messages": False}, "sign_pub_messages: False"),
        ({"peer_run": {".*": ["manage.up"]}}, "peer_run: "),
        ({"reactor": [{"salt/minion/*/start": ["/srv/join.sls"]}]}, "reactor: "),
        ({"log_level_logfile": "debug"}, "log_level_logfile: debug"),
        ({"engines": []}, "engines: kaas_guard is missing"),
        ({"engines": ["other"]}, "engines: kaas_guard is missing"),
        ({"peer": {".*": [".*"]}}, "peer: .*: .* may be called on every minion"),
        ({"peer": {".*": [{"*": [r"kaas_ca\.issue$"]}]}}, "peer: .*: * is more than one minion id"),
        ({"peer": {".*": [{"ca": [r"kaas_ca\.issue"]}]}}, r"peer: .*: ca: kaas_ca\.issue also allows kaas_ca.issue.more"),
        ({"peer": {".*": [{"ca": [r"kaas_ca\..*"]}]}}, "also allows kaas_ca.sign_operator"),
        ({"peer": {".*": [{"ca": [{"cmd.run": {"args": ["id"]}}]}]}}, "also allows cmd.run"),
        ({"file_roots": {"base": ["/srv/kaas"]}}, "file_roots: /srv/kaas holds pillar_roots 0"),
        ({"file_roots": {"base": ["/etc"]}}, "file_roots: /etc holds the clusters' secrets (/etc/kaas/secrets)"),
        ({"file_roots": {"base": ["/"]}}, "file_roots: / holds pki_dir"),
    ],
)  # fmt: skip
def test_dangerous_options_are_named(change, expected):
    found = problems({**GOOD, **change})
    assert any(expected in text for text in found), found


def test_engines_are_named_in_any_form():
    for engines in ([{"kaas_guard": {}}], ["kaas_guard"], {"kaas_guard": {}}):
        assert problems({**GOOD, "engines": engines}) == []


def test_an_expression_that_is_none_allows_nothing():
    assert problems({**GOOD, "peer": {".*": [{"ca": ["("]}]}}) == []
