"""What age makes is read by age, and by us; what is no age is an error that says so. Oracle: ssh-keygen's keys."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.system import age
from tests.drawing import cases

SECRET = age.generate()


def ssh_key(folder: Path, kind: str, passphrase: str = "") -> tuple[bytes, str]:
    """A private key of ssh-keygen's and its public line."""
    path = folder / f"id_{kind}"
    bits = ["-b", "2048"] * (kind == "rsa")  # a longer one takes up to two seconds
    argv = ["ssh-keygen", "-q", "-t", kind, *bits, "-N", passphrase, "-C", "ann@example.org", "-f", f"{path}"]
    subprocess.run(argv, check=True, timeout=20)
    return path.read_bytes(), path.with_suffix(".pub").read_text()


@pytest.mark.parametrize("armoured", [True, False])
def test_both_forms_are_read(armoured: bool) -> None:
    recipient = pyrage.x25519.Recipient.from_str(age.recipient_of(SECRET))
    made = pyrage.encrypt(b"\0value\n", [recipient], armored=armoured)
    assert age.decrypt(made, age.x25519([SECRET])) == b"\0value\n"


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_an_ssh_key_reads_what_was_made_for_its_public_line_comment_and_all(tmp_path: Path, kind: str) -> None:
    private, public = ssh_key(tmp_path, kind)
    made = age.encrypt(b"value", [age.recipient(public)])
    assert age.decrypt(made, age.keys_of(private)) == b"value"


def test_a_key_with_a_passphrase_is_asked_for_it(tmp_path: Path) -> None:
    private, public = ssh_key(tmp_path, "ed25519", "correct horse")
    with pytest.raises(age.PassphraseNeeded):
        age.keys_of(private)
    made = age.encrypt(b"value", [age.recipient(public)])
    assert age.decrypt(made, age.keys_of(private, b"correct horse")) == b"value"
    with pytest.raises(age.AgeError):
        age.keys_of(private, b"wrong")


def test_an_identity_file_of_age_keygen_is_read() -> None:
    content = f"# created: 2026-11-30\n# public key: {age.recipient_of(SECRET)}\n{SECRET}\n".encode()
    made = age.encrypt(b"value", [age.recipient_of(SECRET)])
    assert age.decrypt(made, age.keys_of(content)) == b"value"


def test_what_was_made_for_others_says_so() -> None:
    made = age.encrypt(b"value", [age.recipient_of(age.generate())])
    with pytest.raises(age.NotForUs):
        age.decrypt(made, age.x25519([SECRET]))


@cases(50)
@given(st.binary(max_size=400))
def test_garbage_is_an_age_error_and_nothing_else(garbage: bytes) -> None:
    made = age.encrypt(b"value", [age.recipient_of(SECRET)])
    for content in (garbage, age.BINARY + garbage, age.ARMOUR + b"\n" + garbage, made[: len(garbage)]):
        with pytest.raises(age.AgeError):
            age.decrypt(content, age.x25519([SECRET]))
    with pytest.raises(age.AgeError):
        age.keys_of(garbage)


@cases(50)
@given(st.text(max_size=120))
def test_a_line_that_is_no_recipient_is_an_age_error(line: str) -> None:
    for text in (line, f"age1{line}", f"ssh-ed25519 {line}", f"ssh-rsa {line}"):
        with pytest.raises(age.AgeError):
            age.recipient(text)


def test_a_header_that_never_ends_costs_nothing() -> None:
    content = age.BINARY + b"-> X25519 abc\n" + b"-> " * 1_000_000
    with pytest.raises(age.AgeError, match="damaged or cut off"):  # pyrage alone would take hours
        age.decrypt(content, age.x25519([SECRET]))


@pytest.mark.parametrize("armoured", [True, False], ids=["armour", "binary"])
def test_a_file_that_was_cut_off_is_not_whole(armoured: bool) -> None:
    made = age.encrypt(b"value", [age.recipient_of(SECRET)])
    content = made if armoured else age.unarmoured(made)
    assert age.is_whole(content)
    least = len(content.rstrip()) if armoured else len(content) - len(b"value")
    assert [length for length in range(least) if age.is_whole(content[:length])] == []
