from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.deploys.packages.openpgp import KEY_LIMIT, public_keys
from tests.deploys.packages.vendor import Key

PAGE = b"<!DOCTYPE html><title>404 Not Found</title>"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Key]:
    key = Key(tmp_path_factory.mktemp("gnupg"), "vendor")
    yield key
    key.close()


def as_gpg_reads_it(armour: str, tmp_path: Path) -> bytes:
    file = tmp_path / "key.asc"
    file.write_text(armour)
    done = subprocess.run(["gpg", "--dearmor", "--output", "-", str(file)], capture_output=True, check=True, timeout=60)
    return done.stdout


def test_armoured_and_binary_come_to_the_same_that_gpg_reads(key: Key, tmp_path: Path) -> None:
    armour = public_keys(key.public.encode())
    assert armour == public_keys(key.binary)
    assert as_gpg_reads_it(armour, tmp_path) == key.binary


def test_several_blocks_with_headers_and_words_around_them_become_one(key: Key, tmp_path: Path) -> None:
    head, _, body = key.public.partition("\n\n")
    one = f"Our keys:\r\n{head}\nVersion: GnuPG\nComment: a\n\n{body}".replace("\n", "\r\n")
    armour = public_keys(f"{one}\nand\n{key.public}".encode())
    assert armour.count("BEGIN") == 1
    assert as_gpg_reads_it(armour, tmp_path) == key.binary * 2


def test_a_private_key_is_refused_whatever_it_calls_itself(key: Key) -> None:
    relabelled = key.private.replace("PRIVATE", "PUBLIC")
    for data in (key.private.encode(), relabelled.encode(), key.gpg("--export-secret-keys")):
        with pytest.raises(ValueError, match="is a private key: take it out"):
            public_keys(data)


def test_what_is_no_public_key_is_said_to_be_something_else(key: Key) -> None:
    signature = key.gpg("--armor", "--detach-sign", input=b"x")
    for data, complaint in (
        (PAGE, "is not an OpenPGP key"),
        (b"", "is not an OpenPGP key"),
        (signature, "is a PGP signature, not a public key"),
        (key.gpg("--detach-sign", input=b"x"), "is OpenPGP data, but not a public key"),
        (key.public.encode()[:200], "its armour has no end"),
        (b"\xff\xfe" + PAGE, "OpenPGP data, but not a public key|ends too early"),
        (b"x" * (KEY_LIMIT + 1), "more than"),
    ):
        with pytest.raises(ValueError, match=complaint):
            public_keys(data)


def test_a_damaged_key_is_refused(key: Key) -> None:
    lines = key.public.splitlines()
    lines[3] = lines[3][:10] + ("A" if lines[3][10] != "A" else "B") + lines[3][11:]
    for text, complaint in (
        ("\n".join(lines), "its checksum does not fit"),
        (key.public.replace(lines[4], lines[4][:-2] + "!!"), "is not base64"),
    ):
        with pytest.raises(ValueError, match=complaint):
            public_keys(text.encode())
    with pytest.raises(ValueError, match="ends too early"):
        public_keys(key.binary[:-1])


def test_no_bytes_whatever_are_more_than_a_value_error(key: Key) -> None:
    for position in range(0, len(key.binary), 3):
        damaged = bytearray(key.binary)
        damaged[position] ^= 0xFF
        try:
            armour = public_keys(bytes(damaged))
        except ValueError:
            continue
        assert armour.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n")
