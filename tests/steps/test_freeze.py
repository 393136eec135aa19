"""freeze: a host whose commit in force was signed by somebody who does not count any more."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from agent.domain.commit import TrustMode
from tests.gitserver import Author
from tests.steps.follower import SIGNERS, Host
from tests.steps.test_verify_tags import TAGS


def kind(host: Host) -> str | None:
    error = host.frozen()
    return error.kind if error else None


def test_a_host_with_a_commit_by_somebody_who_counts_is_not_frozen(running: Host, bob: Author) -> None:
    assert kind(running) is None
    running.repo.commit("By Bob", by=bob)
    running.pull()
    assert kind(running) is None


def test_a_host_is_frozen_when_its_last_signer_removed_himself(running: Host, bob: Author, eve: Author) -> None:
    """last(A): Bob may ── B: Eve instead"""
    running.repo.commit("Eve instead of me", {SIGNERS: f"{eve.line}\n"}, by=bob)
    running.pull()
    error = running.frozen()
    assert error is not None
    assert error.kind == "signer-revoked"
    assert "bob@example.org" in error.message
    assert "trusted_signers" in error.hint


def test_a_frozen_host_stays_so_whoever_has_gone_signs_and_thaws_with_who_counts(
    running: Host, bob: Author, eve: Author
) -> None:
    running.repo.commit("Eve instead of me", {SIGNERS: f"{eve.line}\n"}, by=bob)
    running.pull()
    running.repo.commit("Still me", by=bob)
    assert running.refusal().kind == "wrong-signer"
    assert kind(running) == "signer-revoked"
    running.repo.git("reset", "--quiet", "--hard", "HEAD~1")
    running.repo.commit("Go on", by=eve)
    running.pull()
    assert kind(running) is None


def test_a_signer_who_is_removed_by_another_s_commit_freezes_nothing(running: Host, ann: Author, bob: Author) -> None:
    running.repo.commit("By Bob", by=bob)
    running.repo.commit("Bob may not", {SIGNERS: "# nobody\n"}, by=ann)
    running.pull()
    assert kind(running) is None


def test_an_anchor_that_root_takes_out_freezes_what_it_vouched_for_alone(
    running: Host, ann: Author, bob: Author
) -> None:
    running.repo.commit("By Ann", by=ann)
    running.pull()
    running.anchors.write_text(f"{bob.line}\n")
    assert kind(running) == "signer-revoked"
    running.repo.commit("By Bob", by=bob)
    running.pull()
    assert kind(running) is None


def test_a_key_that_has_expired_warns_and_does_not_freeze(running: Host, ann: Author, bob: Author) -> None:
    running.repo.commit("Bob until October", {SIGNERS: bob.line_with('valid-before="20261001"') + "\n"}, by=ann)
    running.repo.commit("By Bob", by=bob)
    running.pull()
    running.now += 30 * 86400
    trusted = running.pull()
    assert trusted.signer is not None
    assert trusted.signer.principal == "bob@example.org"
    assert "expired" in trusted.note
    assert kind(running) is None


def test_a_certificate_that_has_expired_does_not_freeze(running: Host, tmp_path: Path) -> None:
    """People sign with certificates that live for a day; the authority is what is trusted."""
    signed_by_certificate(running, tmp_path)
    running.now += 30 * 86400
    assert running.pull().sha == running.last
    assert kind(running) is None


def test_a_certificate_whose_authority_is_gone_freezes(running: Host, ann: Author, tmp_path: Path) -> None:
    signed_by_certificate(running, tmp_path)
    running.anchors.write_text(f"{ann.line}\n")
    assert kind(running) == "signer-revoked"


def test_a_host_that_asks_for_no_signatures_is_never_frozen(running: Host) -> None:
    running.mode = TrustMode.UNSIGNED
    running.anchors.write_text("")
    assert kind(running) is None


def test_a_host_without_a_trusted_commit_is_not_frozen(host: Host) -> None:
    assert kind(host) is None


def test_a_tag_s_signer_who_has_gone_freezes(running: Host, ann: Author, bob: Author, eve: Author) -> None:
    running.repo.commit("Only tags", TAGS, by=ann)
    running.pull()
    running.repo.commit("Eve instead of Bob", {SIGNERS: f"{eve.line}\n"}, by=ann)
    running.repo.tag("v1", by=bob)
    running.pull()
    assert kind(running) == "signer-revoked"
    running.repo.commit("More")
    running.repo.tag("v2", by=eve)
    running.pull()
    assert kind(running) is None


def test_a_tag_in_force_is_fetched_again_with_a_lost_mirror(running: Host, ann: Author, bob: Author) -> None:
    running.repo.commit("Only tags", TAGS, by=ann)
    running.pull()
    running.repo.commit("Nobody but Ann", {SIGNERS: "# nobody\n"})
    running.repo.tag("v1", by=bob)
    running.pull()
    running.mirror.close()
    shutil.rmtree(running.mirror.path)
    running.pull()
    assert kind(running) == "signer-revoked"


def signed_by_certificate(host: Host, folder: Path) -> None:
    """A trusted commit that was signed with a certificate of an authority among the anchors, valid for September."""
    for name in ("authority", "carol"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    valid = ("-I", "carol", "-n", "carol@example.org", "-V", "20260901:20261001")
    subprocess.run(["ssh-keygen", "-q", "-s", folder / "authority", *valid, folder / "carol.pub"], check=True)
    public = " ".join((folder / "authority.pub").read_text().split()[:2])
    with host.anchors.open("a") as anchors:
        anchors.write(f'*@example.org cert-authority,namespaces="git" {public}\n')
    host.repo.commit("By certificate", by=Author("carol", folder / "carol-cert.pub"))
    signer = host.pull().signer
    assert signer is not None
    assert signer.principal == "carol@example.org"
