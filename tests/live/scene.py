"""Where an attack takes place: the attacker, the master it attacks, and what shows whether it succeeded."""

import itertools
import json
import shutil
from pathlib import Path

import salt.client
import salt.config
import salt.payload

COUNTER = itertools.count(1)


class Scene:
    """
    ``.rogue`` the attacker, ``.salt`` master and minions (:func:`saltworks.running`), ``.secrets`` the master's folder of secrets.

    Call :meth:`begin` before each attack.
    """

    def __init__(self, rogue, found, secrets):
        self.rogue, self.salt, self.secrets = rogue, found, secrets
        self.proofs = found.folder / "proofs"
        self.client = salt.client.LocalClient(mopts=salt.config.master_config(found.master.config["conf_file"]))
        self.last = None

    def begin(self):
        """Nothing of an earlier attack is left."""
        shutil.rmtree(self.proofs, ignore_errors=True)
        self.proofs.mkdir()

    def proof(self, name):
        """A file whose existence proves an attack."""
        return self.proofs / name

    def jid(self):
        """A job's id of its own."""
        return f"20260101{next(COUNTER):012d}"

    def new_job(self):
        """The id of a job that the master gave the CA minion; it has been answered."""
        self.last = self.client.cmd_async("ca", "test.sleep", ["0"], tgt_type="list")
        return self.last

    def returns(self):
        """What the master's job cache holds for the last job."""
        return self.client.get_cache_returns(self.last) if self.last else {}

    def cached(self, minion, name):
        """Where a file that a minion sent would lie on the master."""
        return Path(self.salt.master.config["cachedir"]) / "minions" / minion / "files" / name

    def secret_yaml(self):
        """A file on the master that a command could print as a pillar."""
        path = self.proof("secret.yaml")
        path.write_text(json.dumps({"leaked": "PRIVATE KEY of everybody"}))
        return path

    def login(self, identity, _):
        """Log in to the master by another name, with the attacker's own key."""
        public = (Path(self.rogue.opts["pki_dir"]) / "minion.pub").read_text()
        load = {"id": identity, "pub": public, "nonce": "0" * 32, "enc_algo": "OAEP-SHA1", "sig_algo": "PKCS1v15-SHA1"}
        answer = self.rogue.send("_auth", clear=True, **load)
        return salt.payload.loads(answer["load"]) if isinstance(answer.get("load"), bytes) else answer

    def authority_of(self, answer):
        """Name of the cluster whose authority signed the answer's certificates."""
        sent = answer["ca"]["authorities"]["kubernetes"]
        found = [folder.name for folder in self.salt.ca.iterdir() if folder.is_dir() and (folder / "ca.crt").read_text() == sent]
        return found[0] if found else None
