"""Stand-ins are known by what their programs write, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from agent.domain.stand_in import (
    ANNEX,
    FAT,
    GIT_CRYPT,
    LFS,
    PAGE,
    TRANSCRYPT,
    VAULT,
    StandIn,
    fetched_stand_in,
    link_stand_in,
    stand_in,
)

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % (b"4d" * 32)


@pytest.mark.parametrize(
    ("content", "meant"),
    [
        (POINTER, LFS),
        (POINTER.replace(b"\n", b"\r\n"), LFS),
        (POINTER.replace(b"\noid", b"\next-0-foo sha256:aa\noid"), LFS),
        (POINTER.replace(b"git-lfs.github.com", b"hawser.github.com"), LFS),
        (b"/annex/objects/SHA256E-s104857600--0d4f.iso\n", ANNEX),
        (b"/annex/objects/SHA256E-s104857600--0d4f.iso", ANNEX),
        (b"/annex/objects/SHA256E-s104857600--0d4f.iso\r\n", ANNEX),
        (b"#$# git-fat 7db1a8c0eb1aa2f1b5c3f3f4a1f1bb3f9c2d1e0f                12345\n", FAT),
        (b"\0GITCRYPT\0\x9a\x01\x02", GIT_CRYPT),
        (b"$ANSIBLE_VAULT;1.1;AES256\n3264\n", VAULT),
    ],
)
def test_a_stand_in_is_known(content: bytes, meant: StandIn) -> None:
    assert stand_in(content) is meant


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"version https://git-lfs.github.com/spec/v1 is how a pointer begins\n",
        b"see " + POINTER,
        b"GITCRYPT\0",
        b"/annex/objects\n",
        b"U2FsdGVkX1+ciphertext of something that is meant to be one\n",
        b"<html>\n",
    ],
)
def test_content_is_not_taken_for_one(content: bytes) -> None:
    assert stand_in(content) is None


def test_salted_base64_is_transcrypts_where_a_filter_made_it() -> None:
    assert stand_in(b"U2FsdGVkX1+abc=\n", filtered=True) is TRANSCRYPT
    assert stand_in(b"plain\n", filtered=True) is None


@pytest.mark.parametrize("page", [b"<!DOCTYPE html>\n", b"\xef\xbb\xbf\n <html lang='en'>", b"<!doctype HTML><head>"])
def test_a_page_in_place_of_a_download_is_known(page: bytes) -> None:
    assert fetched_stand_in(page) is PAGE


@pytest.mark.parametrize("target", ["../.git/annex/objects/Xx/2z/KEY/KEY", ".git/annex/objects/a", "annex/objects/a"])
def test_a_link_into_an_annex_is_known(target: str) -> None:
    assert link_stand_in(target) is ANNEX
    assert link_stand_in("../annexes/objects") is None
