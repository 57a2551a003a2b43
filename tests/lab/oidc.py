"""A small OpenID Connect issuer: what it publishes, and the tokens that it signs. Serving is a machine's business (see :data:`SERVE`)."""

import base64
import datetime
import ipaddress
import json
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

PORT = 8444
# Serves the files of the folder argv[1] over TLS (tls.pem there holds key and certificate), at the address argv[2].
SERVE = """
import functools, http.server, ssl, sys
folder, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
server = http.server.ThreadingHTTPServer((address, port), functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder + "/www"))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/tls.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def encoded(data):
    """Base64 for URLs without padding, as JWS wants it."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Issuer:
    """An issuer at ``https://ADDRESS:8444`` with a key of its own and a certificate that it signed itself."""

    def __init__(self, address):
        self.url = f"https://{address}:{PORT}"
        self.key = rsa.generate_private_key(65537, 2048)
        tls = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kaas-test-issuer")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(tls.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(hours=2))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
            .sign(tls, hashes.SHA256())
        )
        self.authority = certificate.public_bytes(serialization.Encoding.PEM).decode()
        private = tls.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.tls = private.decode() + self.authority

    def documents(self):
        """``{path below the URL: document}``: what an API server reads to verify tokens."""
        numbers = self.key.public_key().public_numbers()
        size = (numbers.n.bit_length() + 7) // 8
        jwk = {
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "test",
            "n": encoded(numbers.n.to_bytes(size, "big")), "e": encoded(numbers.e.to_bytes(3, "big")),
        }  # fmt: skip
        discovery = {
            "issuer": self.url, "jwks_uri": f"{self.url}/keys", "authorization_endpoint": f"{self.url}/none",
            "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }  # fmt: skip
        return {".well-known/openid-configuration": discovery, "keys": {"keys": [jwk]}}

    def token(self, key=None, algorithm="RS256", **claims):
        """A token for ten minutes; `claims` replace the usual ones, `key` the issuer's own, `algorithm` what the header says."""
        now = int(time.time())
        body = {"iss": self.url, "aud": "kaas-test", "sub": "jane", "iat": now, "nbf": now - 60, "exp": now + 600}
        signed = f"{encoded({'alg': algorithm, 'kid': 'test', 'typ': 'JWT'})}.{encoded({**body, **claims})}"
        if algorithm == "none":
            return signed + "."
        signature = (key or self.key).sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{encoded(signature)}"
