"""ACLs and capabilities: as bytes, in words, and given exactly."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.system.attributes import (
    CAPABILITIES,
    CAPABILITY,
    acl_words,
    capability_words,
    packed_capabilities,
)
from agent.system.files import write_all, write_atomic
from tests.system import acls

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files capabilities, which only root may")

MAL = 65533


def test_an_acl_is_told_by_whom_it_names() -> None:
    assert acl_words(acls.naming(0, 4)) == "u:root:r--"
    assert acl_words(acls.naming(MAL, 6)) == f"u:{MAL}:rw-"


def test_an_acl_that_cannot_be_read_is_told_as_such() -> None:
    assert acl_words(b"\2\0\0\0abc") == "one that cannot be read"


@pytest.mark.parametrize("names", [["cap_net_bind_service"], ["cap_chown", "cap_checkpoint_restore"]])
def test_capabilities_are_told_by_name(names: list[str]) -> None:
    assert capability_words(packed_capabilities(names)) == " ".join(names)


def test_capabilities_that_are_not_simply_in_force_are_told_with_their_flags() -> None:
    inherited = (0x02000000).to_bytes(4, "little") + bytes(4) + (1 << 13).to_bytes(4, "little") + bytes(8)
    assert capability_words(inherited) == "cap_net_raw+i"


def test_every_capability_of_this_kernel_has_a_name() -> None:
    assert int(Path("/proc/sys/kernel/cap_last_cap").read_text()) < len(CAPABILITIES)


@as_root
def test_capabilities_are_packed_as_setcap_does(tmp_path: Path) -> None:
    setcap = shutil.which("setcap", path="/usr/sbin:/sbin")
    if setcap is None:
        pytest.skip("there is no setcap")
    (tmp_path / "f").touch()
    subprocess.run([setcap, "cap_net_bind_service,cap_bpf=ep", f"{tmp_path / 'f'}"], check=True)
    assert os.getxattr(tmp_path / "f", CAPABILITY) == packed_capabilities(["cap_net_bind_service", "cap_bpf"])


@pytest.mark.parametrize("many", [False, True])
def test_a_document_takes_nothing_from_its_folders_default_acl(tmp_path: Path, many: bool) -> None:
    acls.give(tmp_path, MAL, 4, default=True)
    document = tmp_path / "document"
    if many:
        write_all(tmp_path, {document: b"secret"}, mode=0o440)
    else:
        write_atomic(document, b"secret", mode=0o440)
    assert acls.of(document) == set()
    assert document.stat().st_mode & 0o777 == 0o440


def test_a_stranger_called_like_what_is_swept_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = tmp_path / f".document.{os.getpid()}.new"
    stranger.mkdir()
    (stranger / "kept").touch()
    write_atomic(tmp_path / "document", b"ours")
    assert (tmp_path / "document").read_bytes() == b"ours"
