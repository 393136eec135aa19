"""Signatures of ours and of the real ssh-keygen are each other's equals; anything altered is refused."""

from __future__ import annotations

import base64
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import TrustError
from agent.system import sshsig

NAMESPACE = "hostwright-report"


@dataclass(frozen=True)
class Key:
    path: Path

    @property
    def private(self) -> bytes:
        return self.path.read_bytes()

    @property
    def public(self) -> str:
        return self.path.with_suffix(".pub").read_text()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Key, Key]:
    folder = tmp_path_factory.mktemp("keys")
    return make_key(folder / "one"), make_key(folder / "two")


def make_key(path: Path, *options: str) -> Key:
    keygen("-q", "-N", "", "-C", "a comment", "-f", str(path), *(options or ("-t", "ed25519")))
    return Key(path)


def keygen(*arguments: str, message: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ssh-keygen", *arguments], input=message, capture_output=True, timeout=20, check=True)


@pytest.mark.parametrize("message", [b"", b"hello\n", bytes(range(256)) * 1000])
def test_ssh_keygen_accepts_our_signatures(keys: tuple[Key, Key], tmp_path: Path, message: bytes) -> None:
    (tmp_path / "sig").write_bytes(sshsig.sign(keys[0].private, message, NAMESPACE))
    (tmp_path / "allowed").write_text(f"web1 {keys[0].public}")
    signature = ("-n", NAMESPACE, "-s", str(tmp_path / "sig"))
    keygen("-Y", "check-novalidate", *signature, message=message)
    done = keygen("-Y", "verify", "-f", str(tmp_path / "allowed"), "-I", "web1", *signature, message=message)
    assert b"Good" in done.stdout


@pytest.mark.parametrize("options", [(), ("-O", "hashalg=sha256"), ("-O", "hashalg=sha512")])
def test_we_accept_the_signatures_of_ssh_keygen(keys: tuple[Key, Key], options: tuple[str, ...]) -> None:
    signature = keygen("-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(keys[0].path), *options, message=b"hello").stdout
    sshsig.verify(keys[0].public, b"hello", signature, NAMESPACE)


def test_ssh_keygen_and_we_write_the_same_bytes(keys: tuple[Key, Key]) -> None:
    theirs = keygen("-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(keys[0].path), message=b"hello").stdout
    assert sshsig.sign(keys[0].private, b"hello", NAMESPACE) == theirs


def test_another_message_is_refused(keys: tuple[Key, Key]) -> None:
    signature = sshsig.sign(keys[0].private, b"hello", NAMESPACE)
    refused(keys[0].public, b"hallo", signature, NAMESPACE)


def test_another_key_is_refused(keys: tuple[Key, Key]) -> None:
    refused(keys[1].public, b"hello", sshsig.sign(keys[0].private, b"hello", NAMESPACE), NAMESPACE)


def test_a_signature_of_another_namespace_is_refused(keys: tuple[Key, Key]) -> None:
    refused(keys[0].public, b"hello", sshsig.sign(keys[0].private, b"hello", "git"), NAMESPACE)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s + b"\n",
        lambda s: b"\n" + s,
        lambda s: s + s,
        lambda s: s[:-1],
        lambda s: s.replace(b"\n", b"\r\n"),
        lambda s: s.replace(b"\nAAAA", b"\n\nAAAA").replace(b"U1NI", b"U1NI "),
        lambda s: s.replace(b"BEGIN SSH", b"BEGIN  SSH"),
        lambda s: b"".join(s.split(b"\n")),
        lambda s: s[:0],
        lambda s: bytes(len(s)),
    ],
)
def test_a_signature_written_any_other_way_is_refused(keys: tuple[Key, Key], wrap) -> None:  # type: ignore[no-untyped-def]
    refused(keys[0].public, b"hello", wrap(sshsig.sign(keys[0].private, b"hello", NAMESPACE)), NAMESPACE)


def test_every_single_altered_byte_of_the_blob_is_refused(keys: tuple[Key, Key]) -> None:
    armoured = sshsig.sign(keys[0].private, b"hello", NAMESPACE)
    blob = base64.b64decode(b"".join(armoured.split(b"\n")[1:-2]))
    for position in range(len(blob)):
        altered = bytearray(blob)
        altered[position] ^= 1
        refused(keys[0].public, b"hello", sshsig._armour(bytes(altered)), NAMESPACE)


def test_bytes_after_the_signature_inside_the_armour_are_refused(keys: tuple[Key, Key]) -> None:
    armoured = sshsig.sign(keys[0].private, b"hello", NAMESPACE)
    blob = base64.b64decode(b"".join(armoured.split(b"\n")[1:-2]))
    refused(keys[0].public, b"hello", sshsig._armour(blob + b"\0"), NAMESPACE)


@given(st.binary(max_size=400))
def test_random_bytes_as_a_signature_are_refused_and_never_crash(keys: tuple[Key, Key], noise: bytes) -> None:
    refused(keys[0].public, b"hello", noise, NAMESPACE)


@given(st.binary(max_size=120))
def test_random_text_as_a_public_key_is_refused_and_never_crashes(line: bytes) -> None:
    with pytest.raises(TrustError) as caught:
        sshsig.raw_public_key(f"ssh-ed25519 {line.decode('latin-1')}")
    assert caught.value.kind == "bad-key"


def test_a_public_key_needs_no_comment(keys: tuple[Key, Key]) -> None:
    line = " ".join(keys[0].public.split()[:2])
    sshsig.verify(line, b"hello", sshsig.sign(keys[0].private, b"hello", NAMESPACE), NAMESPACE)


@pytest.mark.parametrize("options", [("-t", "ecdsa"), ("-t", "ed25519", "-N", "secret")])
def test_a_private_key_of_another_kind_or_with_a_passphrase_is_refused(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    with pytest.raises(TrustError):
        sshsig.sign(make_key(tmp_path / "key", *options).private, b"hello", NAMESPACE)


def refused(public: str, message: bytes, signature: bytes, namespace: str) -> None:
    with pytest.raises(TrustError) as caught:
        sshsig.verify(public, message, signature, namespace)
    assert caught.value.kind == "bad-signature"
