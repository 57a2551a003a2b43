"""
What root on a worker can try through Salt: one row per attack, the same call against both masters of the tests.

``run(scene)`` makes the attempt as w1.demo and returns what came back. ``refused`` is a pattern in that answer (as JSON): how the
documented set-up says no. ``loot(scene, answer)`` is true when the attacker got what it wanted: never with the documented set-up, always
with the weakened one.
"""

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import kaas_pki
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEY = ec.generate_private_key(ec.SECP256R1())


def pem(public):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.PEM, form).decode()


PUBLIC = pem(KEY.public_key())


@dataclass(frozen=True)
class Attack:
    name: str
    run: Callable
    refused: str
    loot: Callable


def text(answer):
    """An answer as text to search."""
    return json.dumps(answer, default=lambda value: value.decode(errors="replace") if isinstance(value, bytes) else str(value))


# --- certificates -----------------------------------------------------------------------------------------------------


def certificates(answer):
    """``{purpose: certificate}`` of what the CA minion gave."""
    given = answer.get("ca") if isinstance(answer, dict) else None
    found = (given.get("certificates") if isinstance(given, dict) else None) or {}
    if isinstance(given, dict) and "certificate" in given:
        found = {"operator": given["certificate"]}
    return {purpose: x509.load_pem_x509_certificate(text.encode()) for purpose, text in found.items()}


def issue(request, *more, **fields):
    """Ask the CA for certificates, with a JSON document and whatever else."""
    return lambda scene: scene.rogue.publish("kaas_ca.issue", [json.dumps(request), *more], **fields)


def got(check):
    """Loot: a certificate for which `check` holds."""
    return lambda scene, answer: any(check(certificate) for certificate in certificates(answer).values())


def anything(certificate):
    return True


def extension(certificate, kind):
    with contextlib.suppress(x509.ExtensionNotFound):
        return certificate.extensions.get_extension_for_class(kind).value
    return None


def subject_has(word):
    return lambda certificate: word in certificate.subject.rfc4514_string()


def named(word):
    return lambda certificate: word in str(extension(certificate, x509.SubjectAlternativeName))


def serves(certificate):
    return ExtendedKeyUsageOID.SERVER_AUTH in extension(certificate, x509.ExtendedKeyUsage)


def lives_long(certificate):
    return (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days > 1000


def is_authority(certificate):
    return extension(certificate, x509.BasicConstraints).ca


OWN = "kubelet-client"
MASTERS = [purpose for purpose, row in kaas_pki.PURPOSES.items() if "worker" not in row["roles"]]
# what a requester may wish for its own certificate: {wish: (value, what it would look like)}
WISHES = {
    "organization": (["system:masters"], subject_has("system:masters")),
    "common_name": ("system:node:m1", subject_has("system:node:m1")),
    "usages": (["server_auth", "client_auth"], serves),
    "dns": (["kubernetes"], named("kubernetes")),
    "ip": (["172.28.0.100"], named("172.28.0.100")),
    "days": (3650, lives_long),
    "authority": (True, is_authority),
}


def signing_request():
    name = [(NameOID.ORGANIZATION_NAME, "system:masters"), (NameOID.COMMON_NAME, "admin")]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(*pair) for pair in name]))
    constraint = x509.BasicConstraints(ca=True, path_length=None)
    signed = builder.add_extension(constraint, critical=True).sign(KEY, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


# keys that a lax authority would sign: {what: (PEM, how it is refused)}
KEYS = {
    "signing-request": (signing_request(), "not one PEM public key"),
    "rsa-1024": (pem(rsa.generate_private_key(65537, 1024).public_key()), "1024 bits is not allowed"),
    "rsa-exponent-3": (pem(rsa.generate_private_key(3, 2048).public_key()), "exponent is not 65537"),
    "rsa-8192": (pem(rsa.RSAPublicNumbers(65537, (1 << 8191) + 1).public_key()), "8192 bits is not allowed"),
    "p-521": (pem(ec.generate_private_key(ec.SECP521R1()).public_key()), "curve secp521r1 is not allowed"),
    "ed25519": (pem(ed25519.Ed25519PrivateKey.generate().public_key()), "this kind of key is not allowed"),
    "two-at-once": (PUBLIC + pem(ec.generate_private_key(ec.SECP256R1()).public_key()), "not one PEM public key"),
    "huge": (PUBLIC + "\n" * 70000, "the request is longer than 65536 characters"),
    "long": (PUBLIC + "\n" * 3000, "longer than 2048 characters"),
}


def copypath(scene):
    """Ask the CA minion to write the certificate to a file of the attacker's choice."""
    wish = {OWN: {"public_key": PUBLIC, "copypath": str(scene.proof("copypath"))}}
    return scene.rogue.publish("kaas_ca.issue", [json.dumps(wish)])


CERTIFICATES = [
    *[
        Attack(f"purpose {purpose}", issue({purpose: PUBLIC}), f"w1.demo may not have: {purpose}", got(anything))
        for purpose in MASTERS
    ],
    Attack("own purpose and a master's", issue({OWN: PUBLIC, "super-admin": PUBLIC}), "may not have: super-admin",
           got(subject_has("system:masters"))),
    *[
        Attack(f"wish {wish} beside the key", issue({OWN: {"public_key": PUBLIC, wish: value}}),
               "not a JSON object of texts", got(check))
        for wish, (value, check) in WISHES.items()
    ],
    *[
        Attack(f"wish {wish} as keyword", issue({OWN: PUBLIC}, {"__kwarg__": True, wish: value}),
               "only one argument is taken", got(check))
        for wish, (value, check) in WISHES.items()
    ],
    Attack("wish as a word", issue({OWN: PUBLIC}, "days=3650"), "only one argument is taken", got(lives_long)),
    Attack("write a file on the CA minion", copypath, "not a JSON object of texts",
           lambda scene, answer: scene.proof("copypath").exists()),
    *[
        Attack(f"key {name}", issue({OWN: key}), reason, got(anything))
        for name, (key, reason) in KEYS.items()
    ],
    Attack("another id in the document", issue({"super-admin": PUBLIC, "__pub_id": "m1.demo"}), "w1.demo may not have",
           got(subject_has("system:masters"))),
    Attack("another cluster's node in the document", issue({OWN: PUBLIC, "__pub_id": "w1.third"}), "may not have",
           lambda scene, answer: bool(certificates(answer)) and scene.authority_of(answer) == "third"),
    # Salt writes __pub_id over what arrives, so that these fail everywhere; the extra argument is what the weak one lets pass
    Attack("another id as keyword", issue({"super-admin": PUBLIC}, {"__kwarg__": True, "__pub_id": "m1.demo", "days": 1}),
           "only one argument is taken|may not have", got(subject_has("system:masters"))),
    Attack("another id as a word", issue({"super-admin": PUBLIC}, "__pub_id=m1.demo"), "may not have",
           got(subject_has("system:masters"))),
    Attack("an operator's certificate",
           lambda scene: scene.rogue.publish("kaas_ca.sign_operator", ["demo", PUBLIC, "me", ["kubeadm:cluster-admins"]]),
           r"^\{\}$", got(subject_has("kubeadm:cluster-admins"))),
]  # fmt: skip


# --- functions on other minions ---------------------------------------------------------------------------------------

FUNCTIONS = [
    "cmd.run", "test.ping", "kaas_ca.status", "kaas_ca.journal", "kaas_ca.forget_etcd", "kaas_ca.issued", "kaas_ca.issue.x", "kaas_caxissue",
    "KAAS_CA.ISSUE", " kaas_ca.issue", "x.kaas_ca.issue", "kaas_ca.*", "saltutil.sync_all", "pillar.items", "config.get",
]  # fmt: skip
# several functions at once, and what the arguments must look like then
LISTS = ["kaas_ca.issue,cmd.run", "cmd.run,kaas_ca.issue", "kaas_ca.issue,kaas_ca.status", "test.ping,test.ping"]
TARGETS = [
    ("m1.demo", "glob"), ("*", "glob"), ("m1.*", "glob"), (["m1.demo"], "list"), (["ca", "m1.demo"], "list"), ("ca2", "list"),
    ("c.*|m.*", "pcre"), ("id:m1.demo", "grain"), ("kernel:*", "grain"), ("kernel:Li.*", "grain_pcre"), ("ca or m1.demo", "compound"),
    ("E@.*", "compound"), ("not ca", "compound"), ("everybody", "nodegroup"), ("127.0.0.0/8", "ipcidr"),
]  # fmt: skip


def let_through(scene, answer):
    """Loot: the master published the job."""
    return isinstance(answer, dict) and bool(answer.get("jid"))


def to_others(scene, answer):
    """Loot: the master published the job to more, or other, minions than the CA minion."""
    return let_through(scene, answer) and answer["minions"] != ["ca"]


def publish(fun, arg=(), tgt="ca", tgt_type="list"):
    """Ask the master to publish a job, without waiting for its end."""
    return lambda scene: scene.rogue.send("minion_pub", fun=fun, arg=list(arg), tgt=tgt, tgt_type=tgt_type, ret="")


NOTHING = r'^(\{\}|""|null|false)$'
PUBLISHING = [
    *[Attack(f"function {fun!r}", publish(fun, ["id"]), NOTHING, let_through) for fun in FUNCTIONS],
    *[
        # Salt 3008.3 itself fails over a list where the rules are a mapping; the last call is what it lets through where all is allowed
        Attack(f"functions {fun!r}", lambda scene, fun=fun: [publish(one, ["{}", "id"])(scene) for one in (fun, fun.split(",")[-1] + "x")],
               r'^\[(\{\}|""|null|false), (\{\}|""|null|false)\]$', lambda scene, answer: any(let_through(scene, part) for part in answer))
        for fun in LISTS
    ],
    *[
        Attack(f"target {kind} {target}", publish("kaas_ca.issue", ["{}"], target, kind), NOTHING, to_others)
        for target, kind in TARGETS
    ],
    Attack("the other command to publish",
           lambda scene: scene.rogue.send("minion_publish", fun="cmd.run", arg=[command(scene)], tgt="ca", tgt_type="list", ret="", tmo=1,
                                          form="clean"),
           NOTHING, lambda scene, answer: done(scene, answer)),
    Attack("a returner on the CA minion",
           lambda scene: scene.rogue.send("minion_pub", fun="kaas_ca.issue", arg=["{}"], tgt="ca", tgt_type="list", ret="rawfile_json"),
           "kaas_guard: a minion chooses no returner", let_through),
    Attack("a runner", lambda scene: scene.rogue.send("minion_runner", fun="test.arg", arg=["mine"]), NOTHING,
           lambda scene, answer: "mine" in text(answer)),
]  # fmt: skip


# --- another minion's name, older protocols ---------------------------------------------------------------------------


def as_other(cmd, **load):
    """
    Send a command in the name of m1.demo in every way there is; a list of the answers.

    Own channel with another id inside, outside, both; and protocols 2, 1 and 0, where every minion shares one key and a token is optional.
    """

    def run(scene):
        fields = {key: value(scene) if callable(value) else value for key, value in load.items()}
        fields.setdefault("id", "m1.demo")
        send = scene.rogue.send
        return [
            send(cmd, **fields),
            send(cmd, **{**fields, "id": scene.rogue.id}, envelope={"id": "m1.demo"}),
            send(cmd, **fields, envelope={"id": "m1.demo"}),
            *[send(cmd, **fields, version=version, proof=False) for version in (2, 1, 0)],
            send(cmd, **fields, version=2, envelope={"version": "2"}, proof=False),
        ]

    return run


BAD_LOADS = r'^\[("bad load"(, )?)+\]$'
DOCUMENT = [json.dumps({"super-admin": PUBLIC})]


def job(scene):
    """A job of the master on the CA minion, whose id every minion sees because Salt sends each job to all."""
    return scene.new_job()


def forged(scene, answer):
    """Loot: the master's job cache holds a return of the CA minion that the CA minion never gave."""
    return "forged" in text(scene.returns())


def victim(scene):
    """An accepted key of a minion that is only a name."""
    accepted = Path(scene.salt.master.config["pki_dir"]) / "minions"
    shutil.copy(accepted / "ca", accepted / "victim.demo")
    return "victim.demo"


NAMES = [
    Attack("publish as a master", as_other("minion_pub", fun="kaas_ca.issue", arg=DOCUMENT, tgt="ca", tgt_type="list", ret=""), BAD_LOADS,
           lambda scene, answer: any(isinstance(part, dict) and part.get("minions") == ["ca"] for part in answer)),
    Attack("pillar of a master", as_other("_pillar", grains={}), BAD_LOADS, lambda scene, answer: "PRIVATE KEY" in text(answer)),
    Attack("return of the CA minion", as_other("_return", id="ca", jid=job, fun="test.ping", **{"return": "forged", "retcode": 0}), BAD_LOADS,
           forged),
    Attack("file as a master", as_other("_file_recv", path=["planted"], data=b"planted", loc=0), BAD_LOADS,
           lambda scene, answer: scene.cached("m1.demo", "planted").exists()),
    Attack("revoke another's key", as_other("revoke_auth", id=victim), BAD_LOADS,
           lambda scene, answer: not (Path(scene.salt.master.config["pki_dir"]) / "minions" / "victim.demo").exists()),
    Attack("mine as a master", as_other("_mine", data={"poisoned": "yes"}), BAD_LOADS,
           lambda scene, answer: "poisoned" in text(scene.rogue.send("_mine_get", tgt="m1.demo", fun="poisoned"))
           or any(part is True for part in answer)),
    Attack("log in with another's name and the own key", lambda scene: scene.login("victim.demo", victim(scene)), '"ret": false',
           lambda scene, answer: "aes" in text(answer)),
]  # fmt: skip


# --- what the master's own processes believe --------------------------------------------------------------------------


def command(scene):
    """A shell command whose effect is seen."""
    return f"touch {scene.proof('command')}"


def done(scene, answer):
    return scene.proof("command").exists()


def batch(scene):
    """A batch job as the master writes it down for itself."""
    jid = scene.jid()
    state = {
        "jid": jid, "driver": "master", "fun": "cmd.run", "arg": [command(scene)], "kwargs": {}, "tgt": "ca", "tgt_type": "list",
        "all_minions": ["ca"], "pending": ["ca"], "active": {}, "done": {}, "failed": {}, "wait": [], "batch_size": 1, "failhard": False,
        "batch_wait": 0, "timeout": 20, "gather_job_timeout": 10, "last_progress": 0, "created": 0, "halted": False,
        "halted_reason": None, "ret": "", "user": "root",
    }  # fmt: skip
    return scene.rogue.event(f"salt/batch/{jid}/new", {"state": state})


def publication(scene):
    """A job as one master would hand it to another."""
    return {
        "__peer_id": "another-master", "fun": "cmd.run", "arg": [command(scene)], "tgt": "ca", "tgt_type": "glob", "jid": scene.jid(),
        "ret": "", "user": "root",
    }  # fmt: skip


def failed_state(scene):
    """The return of a failed state whose key Salt turns into an event's tag."""
    key = "salt/job_|-x_|-x_|-x/publish"
    state = {**publication(scene), "result": False}
    return scene.rogue.send("_return", jid=scene.jid(), fun="state.highstate", retcode=2, **{"return": {key: state}})


def with_tag(tag, **fields):
    return lambda scene: scene.rogue.event(tag, publication(scene), **fields)


def own_return(**fields):
    return lambda scene: scene.rogue.send("_return", jid=job(scene), fun="test.ping", retcode=0, **{"return": "forged"}, **fields)


def syndic_return(scene):
    returned = {"ca": {"return": "forged", "retcode": 0}}
    return scene.rogue.send("_syndic_return", jid=job(scene), fun="test.ping", **{"return": returned})


def reaction(scene):
    return scene.rogue.event("kaas/join", {"command": command(scene)})


REFUSED_EVENT = "kaas_guard: the event's tag is not one of this minion's"
EVENTS = [
    Attack("event: a batch for the master to run", batch, REFUSED_EVENT, done),
    Attack("event: a job of another master", with_tag("salt/jobs/publish"), REFUSED_EVENT, done),
    Attack("event: a job of another master, behind pretag", with_tag("x/publish", pretag="salt/job"), "kaas_guard: pretag", done),
    Attack("event: a job of another master, in one piece",
           lambda scene: scene.rogue.send("_minion_event", tag="salt/jobs/publish", data={}, **publication(scene)), REFUSED_EVENT, done),
    Attack("event: a failed state that is none", failed_state, "kaas_guard: a state's key is not one", done),
    Attack("event: what a reactor waits for", reaction, REFUSED_EVENT, done),
    Attack("return for another, as for a device", own_return(resource_id="ca"), "kaas_guard: a minion returns for itself alone", forged),
    Attack("return for another, as a syndic", syndic_return, r"^\{\}$|kaas_guard", forged),
    Attack("devices of its own",
           lambda scene: scene.rogue.send("_register_resources", resources={"ssh": ["ca9"]}), r"^\{\}$|kaas_guard",
           lambda scene, answer: answer is True),
]  # fmt: skip


# --- what others' pillars, mines and the file server hold --------------------------------------------------------------


def secret(scene, answer):
    return "PRIVATE KEY" in text(answer)


def pillars(*fields):
    """Ask for the own pillar with each of these sets of fields."""
    return lambda scene: [scene.rogue.pillar(**one) for one in fields]


def files(scene):
    """A secret by every path that could lead to it."""
    below = "demo/sa.key"
    climbs = [f"../secrets/{below}", f"../../secrets/{below}", str(scene.secrets / below), f"|{scene.secrets / below}", f"./../secrets/{below}"]
    paths = [below, f"secrets/{below}", *climbs, *[f"//{climb}" for climb in climbs], f"formula/../{below}", f"..%2fsecrets%2f{below}"]
    return [scene.rogue.file(path, env) for path in paths for env in ("base", "secret", "..", "../secrets", str(scene.secrets), "__env__")]


def listing(scene):
    commands = ("_file_list", "_dir_list", "_symlink_list", "_file_list_emptydirs")
    return [scene.rogue.send(cmd, saltenv=env, prefix=prefix) for cmd in commands for env in ("base", "secret") for prefix in ("", "..", "demo")]


SECRETS = [
    Attack("pillar: override what the external pillar sees",
           pillars({"pillar_override": {"node": "m1.demo"}}, {"pillar_override": {"kaas": {"roles": ["master"]}, "node": "m1.demo"}}),
           '"roles": \\["worker"\\]', secret),
    Attack("pillar: grains of a master",
           pillars({"grains": {"id": "m1.demo", "node": "m1.demo", "roles": ["master", "ca"], "kaas": {"roles": ["master"]}}}),
           '"roles": \\["worker"\\]', secret),
    Attack("pillar: extra data", pillars({"extra_minion_data": {"node": "m1.demo", "roles": ["master"]}}), '"roles": \\["worker"\\]', secret),
    Attack("pillar: another environment", pillars({"pillarenv": "secret"}, {"saltenv": "secret"}, {"pillarenv": ".."}),
           '"roles": \\["worker"\\]', secret),
    Attack("pillar: an external pillar of the minion's choice",
           lambda scene: scene.rogue.send("_pillar", grains={}, ver="1", ext={"cmd_yaml": f"cat {scene.secret_yaml()}"}),
           "kaas_guard: a minion chooses no external pillar", secret),
    Attack("mine of others", lambda scene: [scene.rogue.send("_mine_get", tgt=tgt, fun="sa", tgt_type=kind)
                                            for tgt, kind in (("*", "glob"), ("m1.demo", "list"), (".*", "pcre"))],
           r"^\[(\{\}(, )?)+\]$", secret),
    Attack("files: secrets by any path", files, r'^\[("[^"]{0,0}"(, )?)+\]$', secret),
    Attack("files: names of secrets", listing, "top.sls", lambda scene, answer: "sa.key" in text(answer)),
    Attack("files: one of its own on the master",
           lambda scene: scene.rogue.send("_file_recv", path=["planted"], data=b"planted", loc=0), "false",
           lambda scene, answer: scene.cached("w1.demo", "planted").exists()),
]  # fmt: skip

ATTACKS = [*CERTIFICATES, *PUBLISHING, *NAMES, *EVENTS, *SECRETS]
