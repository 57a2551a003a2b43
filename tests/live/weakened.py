"""
The same master and formula with their guards taken away, one edit each: the attacks must succeed here.

An attack that fails even here attacks nothing. An edit that finds no text to change fails: the guard it names has moved.
"""

import shutil

from saltworks import REPO

# (file below salt/, text, its replacement): what protects, and what a careless formula would have instead.
EDITS = [
    # who asks is what the caller says
    ("_modules/kaas_ca.py", 'requester = kwargs.get("__pub_id")',
     'requester = (json.loads(request) if isinstance(request, str) else request).get("__pub_id", kwargs.get("__pub_id"))'),
    # more than one argument, and everything that a requester wishes, reaches the certificate
    ("_modules/kaas_ca.py", "if args or extra:", "if False:"),
    ("_modules/kaas_ca.py", "return function(requester, _parse(request))",
     "return function(requester, {p: {**(k if isinstance(k, dict) else {'public_key': k}), **{e: kwargs[e] for e in extra}}"
     " for p, k in _parse(request).items() if p != '__pub_id'})"),
    ("_modules/kaas_ca.py", "not all(isinstance(item, str) for pair in request.items() for item in pair)", "False"),
    ("_modules/kaas_ca.py", "sum(len(key) + len(value) for key, value in request.items()) > REQUEST_LIMIT", "False"),
    # every node may have every certificate
    ("_modules/kaas_ca.py", '    policies = __utils__["kaas_pki.policies"](topology, name)\n',
     '    policies = {}\n    for one in topology["nodes"]:\n'
     '        policies.update(__utils__["kaas_pki.policies"](topology, one))\n'),
    # peers may call what is for operators
    ("_modules/kaas_ca.py", 'if "__pub_id" in kwargs:', "if False:"),
    # the requester's wishes win over the policy; a signing request is as good as a key; any key will do
    ("_utils/kaas_pki.py", "    public = load_public_key(public_key_pem)\n", """\
    wishes = public_key_pem if isinstance(public_key_pem, dict) else {"public_key": public_key_pem}
    policy = {**policy, **wishes}
    text = _bytes(wishes["public_key"])
    if b"REQUEST" in text:
        asked = x509.load_pem_x509_csr(text)
        public = asked.public_key()
        policy["organization"] = [name.value for name in asked.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    else:
        public = serialization.load_pem_public_key(text)
"""),
    ("_utils/kaas_pki.py", "x509.BasicConstraints(ca=False, path_length=None)",
     "x509.BasicConstraints(ca=bool(policy.get('authority')), path_length=None)"),
    ("_utils/kaas_pki.py",
     "    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()\n\n\ndef load_public_key",
     "    if policy.get('copypath'):\n        open(policy['copypath'], 'w').write('written')\n"
     "    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()\n\n\ndef load_public_key"),
    # the external pillar believes the pillar, the grains and the extra data that a minion sends
    ("_pillar/kaas.py", "    del pillar  # see the module's docstring\n",
     '    minion_id = pillar.get("node") or __grains__.get("node") or (extra_minion_data or {}).get("node") or minion_id\n'),
    ("_pillar/kaas.py", 'artifacts=None):\n    """Return ``{"kaas"', 'artifacts=None, extra_minion_data=None):\n    """Return ``{"kaas"'),
]  # fmt: skip

# A reactor that acts on what minions say; found in many set-ups that join new machines.
REACTION = """
join:
  local.cmd.run:
    - tgt: ca
    - arg: [{{ data['command'] | json }}]
"""
SECRET_TOP = "secret:\n  '*': [everything]\n"


def formula(folder):
    """A copy of the formula's salt/ folder with :data:`EDITS`; returns its path."""
    root = folder / "salt"
    shutil.copytree(REPO / "salt", root, ignore=shutil.ignore_patterns("__pycache__"))
    for name, before, after in EDITS:
        path = root / name
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{name} has no such guard any more (or several): {before}"
        path.write_text(text.replace(before, after), encoding="utf-8")
    return root


def options(folder, pillar_root, secrets):
    """Options of a master that allows what the documentation forbids."""
    root = formula(folder)
    reaction = folder / "join.sls"
    reaction.write_text(REACTION)
    environment = folder / "secret-pillar"
    environment.mkdir()
    (environment / "top.sls").write_text(SECRET_TOP)
    (environment / "everything.sls").write_text("#!py\n\n\ndef run():\n    return {'leaked': 'PRIVATE KEY of everybody'}\n")
    return {
        # secrets beside the states: "only root can read the files"
        "file_roots": {"base": [str(root), str(secrets)]},
        "pillar_roots": {"base": [str(pillar_root)], "secret": [str(environment)]},
        "module_dirs": [str(root)],
        "ext_pillar": [{"kaas": {"secrets": str(secrets)}}],
        "on_demand_ext_pillar": ["kaas", "cmd_yaml"],
        "peer": {".*": [".*"]},
        "peer_run": {".*": [".*"]},
        "nodegroups": {"everybody": "*"},
        "minimum_auth_version": 0,
        "pillar_version": 1,
        "open_mode": True,
        "file_recv": True,
        "reactor": [{"kaas/join": [str(reaction)]}],
        "worker_threads": 5,
    }
