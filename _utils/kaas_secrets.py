"""A cluster's secrets on the Salt master: made once, kept in files only root reads, handed out by the ext_pillar."""

import base64
import contextlib
import fcntl
import os
import secrets

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def _private_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def service_account():
    """Return ``{name: content}`` of the key pair that signs service-account tokens (RSA 2048, as kubeadm makes)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {"sa.key": _private_pem(key), "sa.pub": public.decode()}


def encryption():
    """Return ``{name: content}`` of the first encryption-at-rest key (secretbox: 32 bytes, base64)."""
    return {"encryption-key1": base64.b64encode(secrets.token_bytes(32)).decode()}


def csr_signer(create_ca):
    """Return ``{name: content}`` of the CA with which the controller-manager answers CertificateSigningRequests.

    It is not the cluster's CA, whose key never leaves the CA minion: the apiserver trusts it for client certificates,
    kubelets do not.
    """
    authority = create_ca("csr-signer")
    return {"csr-signer.crt": authority["certificate"], "csr-signer.key": authority["key"]}


@contextlib.contextmanager
def _locked(folder):
    """Hold the folder's lock: several masters' pillars may be compiled at once, and both must get the same secret."""
    with open(os.path.join(folder, ".lock"), "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _write(path, content):
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(f"{path}.new", path)


def _read(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as handle:
        return handle.read()


def cluster(folder, create_ca):
    """Return a cluster's secrets from ``folder``, making what is missing; ``create_ca`` is :func:`kaas_pki.create_ca`.

    Returns ``{service_account: {private, public}, encryption: [{name, key}], csr_signer: {certificate, key}}`` (PEM,
    base64). A group of files is made only as a whole: half of a pair is an error that names the missing file.
    """
    groups = {
        "sa.key": service_account,
        "encryption-key1": encryption,
        "csr-signer.key": lambda: csr_signer(create_ca),
    }
    os.makedirs(folder, mode=0o700, exist_ok=True)
    os.chmod(folder, 0o700)
    with _locked(folder):
        for first, make in groups.items():
            if os.path.exists(os.path.join(folder, first)):
                continue
            made = make()
            there = [name for name in made if os.path.exists(os.path.join(folder, name))]
            if there:
                raise ValueError(
                    f"{os.path.join(folder, first)} is missing but {', '.join(there)} is there: "
                    "restore it from the backup"
                )
            # The first name is what tells that the group exists: it comes last.
            for name in sorted(made, key=lambda name: name == first):
                _write(os.path.join(folder, name), made[name])
        keys = sorted(
            (name for name in os.listdir(folder) if name.startswith("encryption-key") and not name.endswith(".new")),
            reverse=True,
        )
        return {
            "service_account": {"private": _read(folder, "sa.key"), "public": _read(folder, "sa.pub")},
            "encryption": [{"name": name.removeprefix("encryption-"), "key": _read(folder, name)} for name in keys],
            "csr_signer": {"certificate": _read(folder, "csr-signer.crt"), "key": _read(folder, "csr-signer.key")},
        }
