"""
Certificates of a cluster: which ones a node holds, how they are issued, what is wrong with one.

Pure functions over PEM text and plain data. The same table (:data:`PURPOSES`) tells the master what a node's pillar
lists, the CA minion what it may grant, and the node what it must find on its disk.

A *topology* is ``{name, domain, api: {address}, networks: {services: [one of each address family]}, nodes: {name: {id,
address, addresses, roles}}}`` (``address`` is the first of ``addresses``), optionally with ``certificates: {days,
renew_before_days}``, ``purposes``, the rows that the cluster's plug-ins add to :data:`PURPOSES`, and ``unused``,
purposes of components that the cluster does without.
A *policy* is ``{ca, common_name, organization, usages, dns, ip, days, renew_before_days, cert, key, ca_file, owner}``:
everything about one certificate except its public key, so that a requester has nothing to choose.
"""

import base64
import datetime
import ipaddress
import json

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KUBERNETES = "/etc/kubernetes/pki"
KUBELET = "/var/lib/kubelet/pki"

# Where each authority's certificate lies on a node (kubeadm's names).
AUTHORITY_FILES = {
    "kubernetes": f"{KUBERNETES}/ca.crt",
    "etcd": f"{KUBERNETES}/etcd/ca.crt",
    "front-proxy": f"{KUBERNETES}/front-proxy-ca.crt",
}
# Subject and file name (without extension) of each authority on the CA minion.
AUTHORITIES = {
    "kubernetes": {"common_name": "kubernetes", "file": "ca"},
    "etcd": {"common_name": "etcd-ca", "file": "etcd-ca"},
    "front-proxy": {"common_name": "front-proxy-ca", "file": "front-proxy-ca"},
}

DAYS = 90
RENEW_BEFORE_DAYS = 30
CLOCK_SKEW = datetime.timedelta(minutes=5)
PUBLIC_KEY_LIMIT = 2048  # characters; RSA 4096 needs about 800
RSA_BITS = (2048, 4096)
RSA_EXPONENT = 65537

SERVER, CLIENT = "server_auth", "client_auth"
USAGES = {SERVER: ExtendedKeyUsageOID.SERVER_AUTH, CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH}

# One row per purpose, kubeadm's subjects and files. "{node}" is the node's name; `sans` names a function below;
# `owner` is the account that reads the key (root without one).
# The kubelet client of the apiserver has no organization: RBAC binds this very user to system:kubelet-api-admin,
# so that the certificate is worth nothing beyond the kubelets.
PURPOSES: dict[str, dict] = {
    "etcd-server": {
        "roles": ["etcd"],
        "ca": "etcd",
        "cn": "{node}",
        "usages": [SERVER, CLIENT],
        "sans": "member",
        "file": f"{KUBERNETES}/etcd/server",
        "owner": "etcd",
    },
    "etcd-peer": {
        "roles": ["etcd"],
        "ca": "etcd",
        "cn": "{node}",
        "usages": [SERVER, CLIENT],
        "sans": "member",
        "file": f"{KUBERNETES}/etcd/peer",
        "owner": "etcd",
    },
    "etcd-healthcheck-client": {
        "roles": ["etcd"],
        "ca": "etcd",
        "cn": "kube-etcd-healthcheck-client",
        "usages": [CLIENT],
        "file": f"{KUBERNETES}/etcd/healthcheck-client",
    },
    "apiserver": {
        "roles": ["master"],
        "ca": "kubernetes",
        "cn": "kube-apiserver",
        "usages": [SERVER],
        "sans": "apiserver",
        "file": f"{KUBERNETES}/apiserver",
        "owner": "kube-apiserver",
    },
    "apiserver-kubelet-client": {
        "roles": ["master"],
        "ca": "kubernetes",
        "cn": "kube-apiserver-kubelet-client",
        "usages": [CLIENT],
        "file": f"{KUBERNETES}/apiserver-kubelet-client",
        "owner": "kube-apiserver",
    },
    "apiserver-etcd-client": {
        "roles": ["master"],
        "ca": "etcd",
        "cn": "kube-apiserver-etcd-client",
        "usages": [CLIENT],
        "file": f"{KUBERNETES}/apiserver-etcd-client",
        "owner": "kube-apiserver",
    },
    "front-proxy-client": {
        "roles": ["master"],
        "ca": "front-proxy",
        "cn": "front-proxy-client",
        "usages": [CLIENT],
        "file": f"{KUBERNETES}/front-proxy-client",
        "owner": "kube-apiserver",
    },
    "controller-manager": {
        "roles": ["master"],
        "ca": "kubernetes",
        "cn": "system:kube-controller-manager",
        "usages": [CLIENT],
        "file": f"{KUBERNETES}/controller-manager",
        "owner": "kube-controller-manager",
    },
    "scheduler": {
        "roles": ["master"],
        "ca": "kubernetes",
        "cn": "system:kube-scheduler",
        "usages": [CLIENT],
        "file": f"{KUBERNETES}/scheduler",
        "owner": "kube-scheduler",
    },
    "admin": {
        "roles": ["master"],
        "ca": "kubernetes",
        "cn": "kubernetes-admin",
        "o": ["kubeadm:cluster-admins"],
        "usages": [CLIENT],
        "file": f"{KUBERNETES}/admin",
    },
    "super-admin": {
        "roles": ["master"],
        "ca": "kubernetes",
        "cn": "kubernetes-super-admin",
        "o": ["system:masters"],
        "usages": [CLIENT],
        "file": f"{KUBERNETES}/super-admin",
    },
    "kubelet-client": {
        "roles": ["master", "worker"],
        "ca": "kubernetes",
        "cn": "system:node:{node}",
        "o": ["system:nodes"],
        "usages": [CLIENT],
        "file": f"{KUBELET}/kubelet-client",
    },
    "kubelet": {
        "roles": ["master", "worker"],
        "ca": "kubernetes",
        "cn": "system:node:{node}",
        "o": ["system:nodes"],
        "usages": [SERVER],
        "sans": "node",
        "file": f"{KUBELET}/kubelet",
    },
    "kube-proxy": {
        "roles": ["master", "worker"],
        "ca": "kubernetes",
        "cn": "system:kube-proxy",
        "usages": [CLIENT],
        "file": f"{KUBERNETES}/kube-proxy",
    },
}

# Authorities whose certificate a role needs without one of its own: haproxy verifies the apiservers that it asks.
TRUSTED = {"loadbalancer": ["kubernetes"]}


class PkiError(ValueError):
    """A request or a file that the PKI refuses; the message is safe to show (it never holds key material)."""


def _unique(values):
    return list(dict.fromkeys(str(value) for value in values if value))


def _masters(topology):
    return {name: node for name, node in topology["nodes"].items() if "master" in node["roles"]}


def _sans_member(topology, name, node):
    """An etcd member is dialled by address, and by itself through the loopback."""
    return [name, "localhost"], [node["address"], "127.0.0.1"]


def _sans_node(topology, name, node):
    """The apiserver dials a kubelet by the addresses and the host name of its Node object."""
    return [name], node["addresses"]


def _sans_apiserver(topology, name, node):
    """All names under which any apiserver of the cluster may be dialled: clients may meet any of them."""
    masters = _masters(topology)
    domain = topology["domain"]
    # The `kubernetes` service always gets the first address of each service network.
    service_addresses = [str(ipaddress.ip_network(cidr)[1]) for cidr in topology["networks"]["services"]]
    dns = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{domain}",
        "localhost",
    ]
    addresses = [*service_addresses, *(master["address"] for master in masters.values()), "127.0.0.1"]
    api = (topology.get("api") or {}).get("address")
    if api:
        try:
            ipaddress.ip_address(api)
            addresses.append(api)
        except ValueError:
            dns.append(api)  # a balancer known by name
    return dns + list(masters), addresses


_SANS = {"member": _sans_member, "node": _sans_node, "apiserver": _sans_apiserver}


def policies(topology, node):
    """
    The certificates that a node holds.

    topology: see the module's docstring. node: the node's name in it (KeyError when unknown).
    Returns ``{purpose: policy}``; `days` is the life time in days, `dns` and `ip` are the exact subject alternative
    names.
    """
    entry = topology["nodes"][node]
    lifetime = topology.get("certificates") or {}
    result = {}
    for purpose, row in {**topology.get("purposes", {}), **PURPOSES}.items():
        if not set(row["roles"]) & set(entry["roles"]) or purpose in topology.get("unused", ()):
            continue
        dns, ip = _SANS[row["sans"]](topology, node, entry) if "sans" in row else ([], [])
        result[purpose] = {
            "ca": row["ca"],
            "common_name": row["cn"].format(node=node),
            "organization": list(row.get("o", [])),
            "usages": list(row["usages"]),
            "dns": sorted(_unique(dns)),
            "ip": sorted(_unique(ip)),
            "days": lifetime.get("days", DAYS),
            "renew_before_days": lifetime.get("renew_before_days", RENEW_BEFORE_DAYS),
            "cert": row["file"] + ".crt",
            "key": row["file"] + ".key",
            "ca_file": AUTHORITY_FILES[row["ca"]],
            "owner": row.get("owner", "root"),
        }
    return result


def authorities(topology, node):
    """
    The authorities' certificates that a node holds: of those that signed its own, and those that its roles trust.

    topology: see the module's docstring. node: the node's name in it. Returns ``{path: name of the authority}``.
    """
    names = [policy["ca"] for policy in policies(topology, node).values()]
    names += [name for role in topology["nodes"][node]["roles"] for name in TRUSTED.get(role, [])]
    return {AUTHORITY_FILES[name]: name for name in _unique(names)}


def authority_files(directory):
    """The authorities in a directory of the CA minion: ``{name: {certificate: path, key: path}}``."""
    return {
        name: {"certificate": f"{directory}/{row['file']}.crt", "key": f"{directory}/{row['file']}.key"}
        for name, row in AUTHORITIES.items()
    }


def create_authority(name):
    """A new authority by its name in :data:`AUTHORITIES`; see :func:`create_ca`."""
    return create_ca(AUTHORITIES[name]["common_name"])


def create_key():
    """A new EC P-256 private key, as PEM (PKCS#8, not encrypted)."""
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def public_key(key_pem):
    """The public half of a PEM private key, as PEM. Raises PkiError when the key cannot be read."""
    return _public_pem(_load_key(key_pem).public_key())


def create_ca(common_name, years=10, now=None):
    """A new authority: ``{"certificate": PEM, "key": PEM}``, EC P-256, self-signed, for leaves only (path length 0)."""
    now = now or _now()
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name, [])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(digital_signature=True, key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return {"certificate": certificate.public_bytes(serialization.Encoding.PEM).decode(), "key": _key_pem(key)}


def issue(ca_cert, ca_key, public_key_pem, policy, now=None):
    """
    A leaf certificate (PEM) for a public key.

    All but the key comes from the policy: there is no request whose extensions could slip through. Accepted keys: EC
    on P-256 or
    P-384, RSA of 2048 to 4096 bits with the usual exponent. The life time never exceeds the authority's. Raises
    PkiError.
    """
    now = now or _now()
    public = load_public_key(public_key_pem)
    authority = x509.load_pem_x509_certificate(_bytes(ca_cert))
    signer = _load_key(ca_key)
    if _public_pem(signer.public_key()) != _public_pem(authority.public_key()):
        raise PkiError("the authority's certificate and key do not belong together")
    if authority.not_valid_after_utc <= now:
        raise PkiError(f"the authority's certificate expired on {authority.not_valid_after_utc:%Y-%m-%d}")
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(policy["common_name"], policy["organization"]))
        .issuer_name(authority.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - CLOCK_SKEW, authority.not_valid_before_utc))
        .not_valid_after(min(now + datetime.timedelta(days=policy["days"]), authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        # RSA key exchange needs key encipherment; EC keys only ever sign.
        .add_extension(
            _key_usage(digital_signature=True, key_encipherment=isinstance(public, rsa.RSAPublicKey)), critical=True
        )
        .add_extension(x509.ExtendedKeyUsage([USAGES[usage] for usage in policy["usages"]]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_authority_key_identifier(authority), critical=False)
    )
    names = [x509.DNSName(name) for name in policy["dns"]]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in policy["ip"]]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def load_public_key(pem):
    """Parse and judge a requester's public key. Raises PkiError; the message never repeats what was sent."""
    if not isinstance(pem, str):
        raise PkiError("the public key is not text")
    if len(pem) > PUBLIC_KEY_LIMIT:
        raise PkiError(f"the public key is longer than {PUBLIC_KEY_LIMIT} characters")
    text = pem.strip()
    # Anything else (a signing request, a certificate, a private key, two keys at once) is not a public key.
    if not text.startswith("-----BEGIN PUBLIC KEY-----") or text.count("-----BEGIN ") != 1:
        raise PkiError("not one PEM public key (BEGIN PUBLIC KEY)")
    if not text.endswith("-----END PUBLIC KEY-----"):
        raise PkiError("not one PEM public key (text after its end)")
    try:
        key = serialization.load_pem_public_key(text.encode("ascii"))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PkiError("the public key cannot be read") from None
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)):
            raise PkiError(f"curve {key.curve.name} is not allowed (use P-256 or P-384)")
        return key
    if isinstance(key, rsa.RSAPublicKey):
        low, high = RSA_BITS
        if not low <= key.key_size <= high:
            raise PkiError(f"RSA key of {key.key_size} bits is not allowed (use {low} to {high})")
        if key.public_numbers().e != RSA_EXPONENT:
            raise PkiError(f"RSA public exponent is not {RSA_EXPONENT}")
        return key
    raise PkiError("this kind of key is not allowed (use EC P-256 or P-384, or RSA)")


def problems(cert_pem, key_pem, ca_pem, policy, *, now=None, renew_before_days=None):
    """
    What is wrong with a certificate on a node's disk, as a list of short reasons; empty means: leave it alone.

    ca_pem may hold several authorities (while they are being rotated): one of them must have signed. None stands for a
    missing file. A certificate is due when less than `renew_before_days` (by default the policy's), but at most half of
    its life time, is left.
    """
    now = now or _now()
    renew_before_days = (
        policy.get("renew_before_days", RENEW_BEFORE_DAYS) if renew_before_days is None else renew_before_days
    )
    if not cert_pem:
        return ["missing"]
    try:
        certificate = x509.load_pem_x509_certificate(_bytes(cert_pem))
        extensions = certificate.extensions
    except (ValueError, x509.DuplicateExtension):
        return ["the certificate cannot be read"]
    try:
        authorities = load_authorities(ca_pem)
    except PkiError as error:
        return [f"authority: {error}"]
    found = []
    signers = [authority for authority in authorities if _signed_by(certificate, authority)]
    if not signers:
        found.append("not signed by the authority in " + policy["ca_file"])
    found += _time_problems(certificate, signers, policy, now, renew_before_days)
    try:
        if _public_pem(_load_key(key_pem).public_key()) != _public_pem(certificate.public_key()):
            found.append("belongs to another key")
    except PkiError as error:
        found.append(str(error))
    if _subject(certificate) != _name(policy["common_name"], policy["organization"]).rfc4514_string():
        found.append(f"subject {_subject(certificate)} is not the expected one")
    return found + _extension_problems(extensions, policy)


def _time_problems(certificate, signers, policy, now, renew_before_days):
    left = certificate.not_valid_after_utc - now
    if certificate.not_valid_before_utc > now:
        return [f"not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC (check the clock)"]
    if left <= datetime.timedelta(0):
        return [f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}"]
    # At the end of the authority's own life a new certificate would live no longer: renewing again and again gains
    # nothing.
    capped = any(signer.not_valid_after_utc <= certificate.not_valid_after_utc for signer in signers)
    if left < datetime.timedelta(days=min(renew_before_days, policy["days"] / 2)) and not capped:
        return [f"expires soon ({certificate.not_valid_after_utc:%Y-%m-%d})"]
    return []


def _extension_problems(extensions, policy):
    found = []
    dns, addresses = set(), set()
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            dns = set(value.get_values_for_type(x509.DNSName))
            addresses = {str(address) for address in value.get_values_for_type(x509.IPAddress)}
    for kind, has, wants in (
        ("names", dns, set(policy["dns"])),
        ("addresses", addresses, {str(ipaddress.ip_address(address)) for address in policy["ip"]}),
    ):
        if wants - has:
            found.append(f"{kind} missing: " + ", ".join(sorted(wants - has)))
        if has - wants:
            found.append(f"{kind} not wanted: " + ", ".join(sorted(has - wants)))
    try:
        usages = set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        usages = set()
    if usages != {USAGES[usage] for usage in policy["usages"]}:
        found.append("usages are not " + ", ".join(policy["usages"]))
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            found.append("is an authority")
    except x509.ExtensionNotFound:
        found.append("has no basic constraints")
    return found


def describe(cert_pem):
    """What may be shown of a certificate: ``{subject, serial (hex), not_before, not_after (ISO 8601)}``."""
    try:
        certificate = x509.load_pem_x509_certificate(_bytes(cert_pem))
    except ValueError:
        raise PkiError("the certificate cannot be read") from None
    return {
        "subject": _subject(certificate),
        "serial": f"{certificate.serial_number:x}",
        "not_before": certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "not_after": certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def load_authorities(pem):
    """The authorities in a PEM bundle, as certificate objects; at least one. Raises PkiError."""
    if not pem:
        raise PkiError("certificate of the authority is missing")
    try:
        found = x509.load_pem_x509_certificates(_bytes(pem))
    except ValueError:
        raise PkiError("certificate of the authority cannot be read") from None
    for certificate in found:
        try:
            if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                raise PkiError("certificate of the authority is not an authority's")
        except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
            raise PkiError("certificate of the authority is not an authority's") from None
    return found


def fingerprints(pem):
    """SHA-256 fingerprints (hex) of the authorities in a PEM bundle, as a set. Raises PkiError."""
    return {certificate.fingerprint(hashes.SHA256()).hex() for certificate in load_authorities(pem)}


def pair_problem(cert_pem, key_pem):
    """Why an authority's certificate and key cannot be used together, or None."""
    try:
        authority = load_authorities(cert_pem)[0]
        if _public_pem(_load_key(key_pem).public_key()) != _public_pem(authority.public_key()):
            return "certificate and key do not belong together"
    except PkiError as error:
        return str(error)
    return None


def kubeconfig(cluster, url, authority_pem, user, cert_pem, key_pem):
    """A kubeconfig (YAML text) that holds its certificates and key inline; for use outside the cluster's nodes."""

    def inline(pem):
        return base64.b64encode(_bytes(pem)).decode()

    # JSON is YAML; a dump would need a library that plain functions here do without.
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": cluster, "cluster": {"server": url, "certificate-authority-data": inline(authority_pem)}}
            ],
            "users": [
                {
                    "name": user,
                    "user": {"client-certificate-data": inline(cert_pem), "client-key-data": inline(key_pem)},
                }
            ],
            "contexts": [{"name": f"{user}@{cluster}", "context": {"cluster": cluster, "user": user}}],
            "current-context": f"{user}@{cluster}",
        },
        indent=2,
    )


def _now():
    return datetime.datetime.now(datetime.UTC)


def _bytes(text):
    return text if isinstance(text, bytes) else str(text).encode()


def _load_key(pem):
    if not pem:
        raise PkiError("the private key is missing")
    try:
        return serialization.load_pem_private_key(_bytes(pem), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PkiError("the private key cannot be read") from None


def _key_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _public_pem(key):
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def _name(common_name, organization):
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, value) for value in organization]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _subject(certificate):
    return certificate.subject.rfc4514_string()


def _key_usage(**wanted):
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: wanted.get(name, False) for name in names})


def _authority_key_identifier(authority):
    try:
        identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())


def _signed_by(certificate, authority):
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
