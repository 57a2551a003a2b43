"""A cluster's secrets: made once, kept, never half a pair."""

import base64
import concurrent.futures

import kaas_pki
import kaas_secrets
import pytest
from cryptography import x509


def secrets(folder):
    return kaas_secrets.cluster(str(folder), kaas_pki.create_ca)


def test_made_once_and_kept(tmp_path):
    first = secrets(tmp_path / "demo")
    assert secrets(tmp_path / "demo") == first
    assert len(base64.b64decode(first["encryption"][0]["key"])) == 32
    assert kaas_pki.public_key(first["service_account"]["private"]) == first["service_account"]["public"]
    signer = x509.load_pem_x509_certificate(first["csr_signer"]["certificate"].encode())
    assert signer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert kaas_pki.pair_problem(first["csr_signer"]["certificate"], first["csr_signer"]["key"]) is None


def test_masters_that_ask_at_once_get_the_same(tmp_path):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: secrets(tmp_path / "demo"), range(4)))
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize(("lost", "left"), [("sa.key", "sa.pub"), ("csr-signer.key", "csr-signer.crt")])
def test_half_a_pair_is_never_replaced(tmp_path, lost, left):
    secrets(tmp_path)
    before = (tmp_path / left).read_text()
    (tmp_path / lost).unlink()
    with pytest.raises(ValueError, match=f"{lost} is missing but {left} is there"):
        secrets(tmp_path)
    assert (tmp_path / left).read_text() == before and not (tmp_path / lost).exists()


def test_the_newest_encryption_key_writes(tmp_path):
    secrets(tmp_path)
    (tmp_path / "encryption-key2").write_text("second")
    assert [key["name"] for key in secrets(tmp_path)["encryption"]] == ["key2", "key1"]
