"""Wallets: where keys come from, what is signed, and that nothing shows."""

from __future__ import annotations

import json
import pickle
import stat
from pathlib import Path

import pytest
from eth_account import Account
from eth_keys.datatypes import PrivateKey

from omnilytics_flwr.errors import ChainError
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_key, dev_wallet, read_password

MARKET = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
PASSWORD = Secret(b"correct horse")


@pytest.fixture(scope="module")
def signer() -> Wallet:
    return Wallet(Secret(dev_key(3)))


def test_sign_hash_is_the_accounts_and_always_the_same(signer: Wallet) -> None:
    for number in range(16):
        signature = signer.sign_hash(bytes([number]) * 32)
        assert len(signature) == 65
        assert signature == signer.sign_hash(bytes([number]) * 32)
        assert Account._recover_hash(bytes([number]) * 32, signature=signature) == signer.address


def test_sign_transaction_hash_and_sender_are_right(signer: Wallet) -> None:
    transaction = {"type": 2, "chainId": 5, "nonce": 0, "gas": 21000, "maxFeePerGas": 9, "maxPriorityFeePerGas": 1}
    raw, transaction_hash = signer.sign_transaction(transaction | {"to": MARKET, "value": 1, "data": b""})
    assert Account.recover_transaction(raw) == signer.address
    assert len(transaction_hash) == 66


def test_wallet_shows_address_only(signer: Wallet) -> None:
    key = dev_key(3).hex()
    assert repr(signer) == f"Wallet({signer.address})"
    assert repr(Secret(dev_key(3))) == "Secret()"
    for shown in (str(signer), f"{signer!r:>80}", str(Secret(dev_key(3))), str(vars(signer))):
        assert key not in shown


def test_secrets_are_not_pickled(signer: Wallet) -> None:
    for secret in (signer, Secret(b"x")):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(secret)


def test_keystore_written_and_read_is_the_same_account_for_its_owner_only(tmp_path: Path, signer: Wallet) -> None:
    path = tmp_path / "key.json"
    signer.save_keystore(path, PASSWORD)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["version"] == 3
    assert Wallet.from_keystore(path, PASSWORD).address == signer.address
    with pytest.raises(ChainError, match="the password is wrong"):
        Wallet.from_keystore(path, Secret(b"wrong"))
    with pytest.raises(ChainError, match="cannot be written"):
        signer.save_keystore(path, PASSWORD)


def test_keystore_of_the_specification_opens(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    salt = "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"
    crypto = {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {"c": 262144, "dklen": 32, "prf": "hmac-sha256", "salt": salt},
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    }
    path.write_text(json.dumps({"crypto": crypto, "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "version": 3}))
    key = bytes.fromhex("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d")
    opened = Wallet.from_keystore(path, Secret(b"testpassword"))
    assert str(opened.address) == str(PrivateKey(key).public_key.to_checksum_address())


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '"x"', '{"version": 3}', '{"version": 3, "crypto": {"kdf": "none"}}', '{"version": 2, "crypto": {}}']
)
def test_keystore_garbage_raises(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    with pytest.raises(ChainError, match="no keystore"):
        Wallet.from_keystore(path, PASSWORD)
    with pytest.raises(ChainError, match="cannot be read"):
        Wallet.from_keystore(tmp_path / "none", PASSWORD)


@pytest.mark.parametrize("value", [None, "", "xyz", "0x12", "00" * 32, "ff" * 32, "11" * 33])
def test_from_environment_no_key_raises_without_showing_it(value: str | None) -> None:
    with pytest.raises(ChainError) as caught:
        Wallet.from_environment({} if value is None else {"OMNILYTICS_PRIVATE_KEY": value})
    assert not value or value not in str(caught.value)


def test_from_environment_key_set_is_that_account(signer: Wallet) -> None:
    for prefix in ("", "0x"):
        assert Wallet.from_environment({"OMNILYTICS_PRIVATE_KEY": prefix + dev_key(3).hex()}).address == signer.address


def test_read_password_file_goes_before_environment_and_both_before_a_person(tmp_path: Path) -> None:
    path, environment = tmp_path / "password", {"OMNILYTICS_PASSWORD": "other"}
    with pytest.raises(ChainError, match="cannot be read"):
        read_password(file=path)
    path.write_text("first line\nsecond line\n")
    assert read_password(file=path, environment=environment).reveal() == b"first line"
    assert read_password(environment=environment, ask=lambda: Secret(b"typed")).reveal() == b"other"
    assert read_password(environment={}, ask=lambda: Secret(b"typed")).reveal() == b"typed"
    with pytest.raises(ChainError, match="no password"):
        read_password(environment={})


def test_dev_wallet_public_chain_raises(connection: Connection) -> None:
    connection.__dict__["is_local"] = False
    with pytest.raises(ChainError, match="not local"):
        dev_wallet(0, connection)
