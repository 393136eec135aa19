"""A host's key is made once, kept private, and admitted by a file in the config repo."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from agent.domain.status import decode
from agent.domain.tree import Entry, blob_id
from agent.errors import InventoryError, SettingsError
from agent.host.identity import (
    AGE_NAME,
    PRIVATE_NAME,
    PUBLIC_NAME,
    Identity,
    PublicIdentity,
    admitted,
    decryption_key,
    public_lines,
)
from agent.system import age, sshsig
from tests.fleet.samples import report

AGE = "age1hk9zrzugqnl4jchnxyjlmu2dcz505ffwuappa24dd0w7se6wxsmq8kvx7z"


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity.ensure(tmp_path / "identity", "web1")


def test_a_key_is_made_once_and_stays(tmp_path: Path) -> None:
    first = Identity.ensure(tmp_path / "identity", "web1")
    assert Identity.ensure(tmp_path / "identity", "web1") == first
    assert Identity.load(tmp_path / "identity", "web1") == first


def test_the_private_key_is_its_owner_s_alone(tmp_path: Path, identity: Identity) -> None:
    assert stat.S_IMODE((tmp_path / "identity").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "identity" / PRIVATE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "identity" / AGE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in sorted((tmp_path / "identity").iterdir())] == [AGE_NAME, PRIVATE_NAME, PUBLIC_NAME]


def test_the_key_is_an_openssh_key_of_this_host(tmp_path: Path, identity: Identity) -> None:
    argv = ["ssh-keygen", "-y", "-f", str(tmp_path / "identity" / PRIVATE_NAME)]
    derived = subprocess.run(argv, capture_output=True, check=True, timeout=20).stdout.decode()
    assert derived.split()[:2] == identity.public_line.split()[:2]
    assert identity.public_line.endswith(" web1")
    assert (tmp_path / "identity" / PUBLIC_NAME).read_text() == f"{identity.public_line}\n"


def test_a_host_of_before_gets_its_key_for_secrets_and_keeps_its_other_one(tmp_path: Path, identity: Identity) -> None:
    (tmp_path / "identity" / AGE_NAME).unlink()
    assert Identity.ensure(tmp_path / "identity", "web1") == identity
    assert decryption_key(tmp_path / "identity").startswith("AGE-SECRET-KEY-1")


def test_the_two_lines_of_a_host_admit_it_and_what_is_made_for_them_it_can_read(
    tmp_path: Path, identity: Identity
) -> None:
    parsed = PublicIdentity.parse("\n".join(public_lines(tmp_path / "identity", "web1")).encode(), "web1.pub")
    assert parsed.ssh == identity.public_line
    secret = age.encrypt(b"s3cret", [parsed.age or ""])
    assert age.decrypt(secret, age.x25519([decryption_key(tmp_path / "identity")])) == b"s3cret"


@pytest.mark.parametrize("content", [b"", b"garbage", b"AGE-SECRET-KEY-1QQ"])
def test_a_damaged_key_for_secrets_is_an_error_and_reports_are_signed_all_the_same(
    tmp_path: Path, identity: Identity, content: bytes
) -> None:
    path = tmp_path / "identity" / AGE_NAME
    path.write_bytes(content)
    assert Identity.ensure(tmp_path / "identity", "web1") == identity
    assert path.read_bytes() == content
    with pytest.raises(SettingsError, match="cannot be used"):
        decryption_key(tmp_path / "identity")


def test_a_private_key_is_in_no_representation_of_an_identity(identity: Identity) -> None:
    assert "PRIVATE" not in repr(identity)


def test_a_public_line_that_was_lost_is_written_again(tmp_path: Path, identity: Identity) -> None:
    (tmp_path / "identity" / PUBLIC_NAME).unlink()
    Identity.ensure(tmp_path / "identity", "web1")
    assert (tmp_path / "identity" / PUBLIC_NAME).read_text() == f"{identity.public_line}\n"


def test_a_signed_report_is_its_document_and_a_signature_for_reports_only(identity: Identity) -> None:
    signed = identity.signed(report())
    assert decode(signed.document) == report()
    sshsig.verify(identity.public_line, signed.document, signed.signature, "hostwright-report")


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN OPENSSH PRIVATE KEY-----\n\n"])
def test_a_damaged_key_is_an_error_and_never_replaced(tmp_path: Path, identity: Identity, content: bytes) -> None:
    path = tmp_path / "identity" / PRIVATE_NAME
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        Identity.ensure(tmp_path / "identity", "web1")
    assert str(path) in caught.value.message
    assert path.read_bytes() == content


def test_a_key_that_others_can_read_is_refused(tmp_path: Path, identity: Identity) -> None:
    (tmp_path / "identity" / PRIVATE_NAME).chmod(0o640)
    with pytest.raises(SettingsError, match="0640"):
        Identity.load(tmp_path / "identity", "web1")


def test_a_link_in_the_key_s_place_is_not_followed(tmp_path: Path, identity: Identity) -> None:
    path = tmp_path / "identity" / PRIVATE_NAME
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError):
        Identity.ensure(tmp_path / "identity", "web1")


def test_no_key_yet_is_an_error_for_those_who_only_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        Identity.load(tmp_path, "web1")


@pytest.mark.parametrize(
    ("template", "age"), [("{}\n", None), ("{}", None), ("# web1\n\n{}\n" + AGE + "\n", AGE), ("{}\r\n" + AGE, AGE)]
)
def test_an_identity_file_has_one_line_or_two(identity: Identity, template: str, age: str | None) -> None:
    parsed = PublicIdentity.parse(template.format(identity.public_line).encode(), "x.pub")
    assert parsed == PublicIdentity(identity.public_line, age)


@pytest.mark.parametrize("content", [b"", b"\xff", b"ssh-rsa AAAA", AGE.encode(), b"ssh-ed25519 AAAA x"])
def test_an_identity_file_without_a_key_is_an_error_that_names_it(content: bytes) -> None:
    with pytest.raises(InventoryError, match=r"identities/x\.pub"):
        PublicIdentity.parse(content, "identities/x.pub")


@pytest.mark.parametrize("rest", ["nonsense", f"{AGE}\n{AGE}", "age1" + "q" * 58])
def test_an_identity_file_with_more_than_that_is_an_error(identity: Identity, rest: str) -> None:
    with pytest.raises(InventoryError):
        PublicIdentity.parse(f"{identity.public_line}\n{rest}\n".encode(), "x.pub")


class Files(dict[str, bytes]):
    """A tree in memory."""

    def entries(self, prefix: str = "") -> tuple[Entry, ...]:
        return tuple(
            Entry(path, 0o100644, blob_id(self[path])) for path in sorted(self) if path.startswith(f"{prefix}/")
        )

    def read(self, path: str) -> bytes:
        return self[path]


def test_the_hosts_of_an_inventory_are_admitted_by_their_files_and_one_bad_file_harms_no_other(
    identity: Identity,
) -> None:
    line = identity.public_line.encode()
    tree = Files(
        {
            "inventories/production/identities/web1.pub": line,
            "inventories/production/identities/web2.pub": b"nonsense",
            "inventories/production/identities/notes.txt": b"x",
            "inventories/production/identities/old/web3.pub": line,
            "inventories/local/identities/web4.pub": line,
        }
    )
    identities, complaints = admitted(tree, "production")
    assert identities == {"web1": PublicIdentity(identity.public_line)}
    assert ["web2.pub" in complaint.message for complaint in complaints] == [True]
