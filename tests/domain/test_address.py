"""Addresses of other repositories, as inventories write them."""

from __future__ import annotations

import pytest

from agent.domain.address import Address

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "url", "ref", "path"),
    [
        ("git+ssh://git@h.example/ops/d.git@v2//a/b.py", "git+ssh://git@h.example/ops/d.git", "v2", "a/b.py"),
        ("git+https://h.example/d.git@release/1.2", "git+https://h.example/d.git", "release/1.2", ""),
        ("git+https://h.example:8443/d", "git+https://h.example:8443/d", "", ""),
        ("git+file:///srv/d.git//x.py", "git+file:///srv/d.git", "", "x.py"),
        ("git+ssh://h/d.git@pkg@1.0//x.py", "git+ssh://h/d.git", "pkg@1.0", "x.py"),
        (f"git+ssh://h/d.git@{COMMIT}", "git+ssh://h/d.git", COMMIT, ""),
    ],
)
def test_an_address_is_a_url_and_perhaps_a_ref_and_a_path(text: str, url: str, ref: str, path: str) -> None:
    address = Address.parse(text)
    assert (address.url, address.ref, address.path) == (url, ref, path)
    assert str(address) == text
    assert address.pinned == text.removesuffix(f"//{path}")


def test_git_gets_the_url_without_what_is_ours() -> None:
    assert Address.parse("git+ssh://git@h/d.git@v1//x.py").remote == "ssh://git@h/d.git"


def test_only_a_commit_cannot_move() -> None:
    assert [Address.parse(f"git+ssh://h/d@{ref}").exact for ref in (COMMIT, "v1.0.0", COMMIT[:12])] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://h/d.git", "write git+ssh://"),
        ("git+ext::sh -c id", "write git+ssh://"),
        ("git+git://h/d.git", "write git+ssh://"),
        ("git+ssh:///d.git", "host is missing"),
        ("git+file://h/d.git", "write git+file:///"),
        ("git+https://ann:secret@h/d.git", "a password or token"),
        ("git+https://token@h/d.git", "a password or token"),
        ("git+https://ann:my/secret@h/d.git", "host or port is none"),
        ("git+https://h:/d.git", "host or port is none"),
        ("git+https://bücher.example/d.git", "in ASCII"),
        ("git+ssh://h/d.git@--upload-pack=x", "no branch"),
        ("git+ssh://h/d.git@a..b", "no branch"),
        ("git+ssh://h/d.git@//x.py", "no branch"),
        ("git+ssh://h/d.git//../x.py", "no path"),
        ("git+ssh://h/d.git//.git/config", "no path"),
        ("git+ssh://h/d.git//", "no path"),
        ("git+ssh://h/d.git\n", "write git+ssh://"),
    ],
)
def test_what_git_or_a_folder_might_misunderstand_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        Address.parse(text)
    assert why in str(refused.value)
    assert "secret" not in str(refused.value)
