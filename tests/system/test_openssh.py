"""Who signed a commit: real signatures by git and ssh-keygen, and what can be done to them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent.errors import TrustError
from agent.system.openssh import (
    RefusedSignatureError,
    SignedText,
    allowed_signers,
    names_a_signer,
    signer_of,
    split,
)
from tests.gitserver import Author, ConfigRepo, author

NOW = 1_790_000_000  # 2026-09-21


@pytest.fixture
def ann(tmp_path: Path) -> Author:
    return author(tmp_path / "keys", "ann")


@pytest.fixture
def repo(tmp_path: Path) -> ConfigRepo:
    return ConfigRepo(tmp_path / "repo")


def raw(repo: ConfigRepo, sha: str) -> bytes:
    return subprocess.run(["git", "-C", repo.path, "cat-file", "commit", sha], capture_output=True, check=True).stdout


def parsed(repo: ConfigRepo, sha: str) -> SignedText:
    return split(raw(repo, sha))


def refusal(commit: bytes, signers: str, now: int = NOW) -> str:
    with pytest.raises(RefusedSignatureError) as refused:
        signer_of(split(commit), signers.encode(), now=now)
    return refused.value.kind


def test_a_good_signature_names_principal_and_key(repo: ConfigRepo, ann: Author) -> None:
    signer = signer_of(parsed(repo, repo.commit("Signed", by=ann)), ann.line.encode(), now=NOW)
    assert (signer.principal, signer.fingerprint) == ("ann@example.org", ann.fingerprint)


@pytest.mark.parametrize(("kind", "bits"), [("rsa", "2048"), ("ecdsa", "256")])
def test_other_kinds_of_keys_sign_too(repo: ConfigRepo, tmp_path: Path, kind: str, bits: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-f", tmp_path / "key"], check=True)
    bob = Author("bob", tmp_path / "key")
    assert signer_of(parsed(repo, repo.commit("Signed", by=bob)), bob.line.encode(), now=NOW).principal.startswith(
        "bob"
    )


def test_a_commit_without_a_signature_is_unsigned(repo: ConfigRepo, ann: Author) -> None:
    assert refusal(raw(repo, repo.commit("Plain")), ann.line) == "unsigned"


def test_a_signature_shown_in_the_message_is_none(repo: ConfigRepo, ann: Author) -> None:
    signature = split(raw(repo, repo.commit("Signed", by=ann))).signature
    assert signature is not None
    indented = signature.decode().replace("\n", "\n ")
    assert refusal(raw(repo, repo.commit(f"x\n\ngpgsig {indented}")), ann.line) == "unsigned"


def test_a_stranger_s_signature_is_refused(repo: ConfigRepo, ann: Author, tmp_path: Path) -> None:
    eve = author(tmp_path / "keys", "eve")
    assert refusal(raw(repo, repo.commit("Signed", by=eve)), ann.line) == "wrong-signer"


def test_nobody_is_trusted_by_an_empty_file(repo: ConfigRepo, ann: Author) -> None:
    assert refusal(raw(repo, repo.commit("Signed", by=ann)), "# nobody\n") == "wrong-signer"


def test_a_key_that_expired_does_not_sign_whatever_the_commit_says_of_its_date(repo: ConfigRepo, ann: Author) -> None:
    commit = raw(repo, repo.commit("Backdated", by=ann, date="2024-05-01T12:00:00Z"))
    expired = ann.line_with('valid-before="20250101"')
    assert refusal(commit, expired) == "expired-key"
    assert signer_of(split(commit), expired.encode(), now=1_714_600_000).principal == "ann@example.org"


def test_dates_of_keys_are_utc_wherever_the_host_is(
    repo: ConfigRepo, ann: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = raw(repo, repo.commit("Signed", by=ann))
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    line = ann.line_with('valid-before="20260921120000"')
    noon = 1_789_992_000
    assert signer_of(split(commit), line.encode(), now=noon - 1)
    assert refusal(commit, line, now=noon + 1) == "expired-key"


def test_a_key_that_is_not_valid_yet_does_not_sign(repo: ConfigRepo, ann: Author) -> None:
    assert refusal(raw(repo, repo.commit("Early", by=ann)), ann.line_with('valid-after="20300101"')) == "expired-key"


def test_a_key_for_other_purposes_does_not_sign_commits(repo: ConfigRepo, ann: Author) -> None:
    signers = ann.line_with('namespaces="hostwright-report"')
    assert refusal(raw(repo, repo.commit("Signed", by=ann)), signers) == "wrong-signer"


def test_a_changed_commit_has_a_bad_signature(repo: ConfigRepo, ann: Author) -> None:
    commit = raw(repo, repo.commit("Harmless", by=ann)).replace(b"Harmless", b"Harmful!")
    assert refusal(commit, ann.line) == "bad-signature"


def test_a_signature_of_something_else_is_bad(repo: ConfigRepo, ann: Author) -> None:
    """The right key over the same bytes, but as a file and not as a commit."""
    commit = raw(repo, repo.commit("Signed", by=ann))
    text = split(commit)
    payload = repo.path.parent / "payload"
    payload.write_bytes(text.payload)
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", ann.key, payload], check=True)
    other = payload.with_suffix(".sig").read_bytes()
    assert text.signature is not None
    forged = commit.replace(header(text.signature), header(other))
    assert forged != commit
    assert refusal(forged, ann.line) == "bad-signature"


def header(signature: bytes) -> bytes:
    return b"gpgsig " + signature.rstrip(b"\n").replace(b"\n", b"\n ") + b"\n"


def test_a_second_signature_is_refused(repo: ConfigRepo, ann: Author) -> None:
    commit = raw(repo, repo.commit("Signed", by=ann))
    signature = split(commit).signature
    assert signature is not None
    assert refusal(commit.replace(b"\ngpgsig ", b"\n" + header(signature) + b"gpgsig ", 1), ann.line) == "bad-signature"


def test_a_signature_between_the_parents_is_refused(repo: ConfigRepo, ann: Author) -> None:
    """Git stops reading parents at the first other header, the signature covers them all: history would shrink."""
    repo.commit("One")
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit("Side", {"a": ""})
    repo.git("checkout", "--quiet", "main")
    commit = raw(repo, repo.merge("side", by=ann))
    signature = split(commit).signature
    assert signature is not None
    assert commit.count(b"\nparent ") == 2
    first, second = (position for position in range(len(commit)) if commit.startswith(b"\nparent ", position))
    without = commit.replace(header(signature), b"")
    moved = without[: second + 1] + header(signature) + without[second + 1 :]
    assert first < second
    assert split(commit).payload == without
    assert refusal(moved, ann.line) == "bad-signature"


def test_a_pgp_signature_is_named_as_one(repo: ConfigRepo, ann: Author) -> None:
    commit = raw(repo, repo.commit("Plain"))
    pgp = b"-----BEGIN PGP SIGNATURE-----\n\niQEz\n-----END PGP SIGNATURE-----\n"
    assert refusal(commit.replace(b"\n\n", b"\n" + header(pgp) + b"\n", 1), ann.line) == "pgp-signature"


def test_a_merge_of_a_signed_tag_is_covered_with_the_tag(repo: ConfigRepo, ann: Author) -> None:
    """The tag's own signature stands in a mergetag header, indented: it is content, not the commit's signature."""
    repo.commit("One", by=ann)
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit("Side", {"a": ""}, by=ann)
    repo.git("-c", "gpg.format=ssh", "-c", f"user.signingKey={ann.key}", "tag", "-s", "-m", "Tag", "v1")
    repo.git("checkout", "--quiet", "main")
    repo.commit("Two", {"b": ""}, by=ann)
    commit = raw(repo, repo.merge("v1", by=ann))
    assert b"\nmergetag object " in commit
    assert signer_of(split(commit), ann.line.encode(), now=NOW).principal == "ann@example.org"
    assert refusal(raw(repo, repo.git("rev-parse", "v1^{commit}")), "") == "wrong-signer"


def test_a_signature_of_the_same_commit_in_the_other_object_format_is_not_covered(
    repo: ConfigRepo, ann: Author
) -> None:
    commit = raw(repo, repo.commit("Signed", by=ann))
    other = b"gpgsig-sha256 -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----\n"
    both = commit.replace(b"\n\n", b"\n" + other + b"\n", 1)
    assert signer_of(split(both), ann.line.encode(), now=NOW).principal == "ann@example.org"


def test_a_line_that_is_no_key_does_not_spoil_the_others(repo: ConfigRepo, ann: Author) -> None:
    signers = b"garbage here\nx ssh-ed25519 AAAA\n\xff\xfe\0\n" + ann.line.encode()
    assert signer_of(parsed(repo, repo.commit("Signed", by=ann)), signers, now=NOW).principal == "ann@example.org"


def test_a_principal_cannot_play_tricks_on_a_terminal(repo: ConfigRepo, ann: Author) -> None:
    signers = f"\x1b[2Jann {ann.public}"
    assert signer_of(parsed(repo, repo.commit("Signed", by=ann)), signers.encode(), now=NOW).principal == r"\x1b[2Jann"


def test_two_files_are_one_even_without_a_last_newline() -> None:
    assert allowed_signers((b"a ssh-ed25519 X", b"b ssh-ed25519 Y\n")) == b"a ssh-ed25519 X\nb ssh-ed25519 Y\n"


@pytest.mark.parametrize(("text", "names"), [(b"", False), (b"# x\n\n  # y\n", False), (b"# x\na ssh-rsa A", True)])
def test_comments_name_nobody(text: bytes, names: bool) -> None:
    assert names_a_signer(text) is names


def test_nothing_is_left_behind_and_nobody_else_could_look(
    repo: ConfigRepo, ann: Author, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, seen = tmp_path / "scratch", tmp_path / "seen"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", f"{scratch}")
    fake = tmp_path / "bin/ssh-keygen"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\nls -ld {scratch}/* >> {seen}\n")
    fake.chmod(0o755)
    commit = raw(repo, repo.commit("Signed", by=ann))
    monkeypatch.setenv("PATH", f"{fake.parent}")
    assert refusal(commit, ann.line) == "bad-signature"
    assert {line.split()[0] for line in seen.read_text().splitlines()} == {"drwx------"}
    assert list(scratch.iterdir()) == []


def test_a_host_without_ssh_keygen_says_so(
    repo: ConfigRepo, ann: Author, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = raw(repo, repo.commit("Signed", by=ann))
    monkeypatch.setenv("PATH", f"{tmp_path}")
    with pytest.raises(TrustError) as refused:
        signer_of(split(commit), ann.line.encode(), now=NOW)
    assert refused.value.kind == "ssh-keygen-missing"
