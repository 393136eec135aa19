from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.deploys.items import items_from_json
from agent.deploys.packages.spec import PackagesSpec
from agent.domain.fault import Mistake
from tests.deploys.commit import Commit
from tests.deploys.packages.vendor import Key

URL = "https://apt.example.org/debian"
SOURCES = "/etc/apt/sources.list.d/hostwright-vendor.sources"
KEYRING = "/etc/apt/keyrings/hostwright-vendor.asc"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Key]:
    key = Key(tmp_path_factory.mktemp("gnupg"), "vendor")
    yield key
    key.close()


def spec(**repositories: Any) -> PackagesSpec:
    return PackagesSpec.model_validate({"repositories": repositories})


def files(spec: PackagesSpec, commit: Commit) -> dict[str, str | None]:
    items = items_from_json(spec.concrete(commit).arguments["items"])
    return {item.path: item.text for item in items if item.kind != "directory"}


def test_a_repository_is_a_sources_file_and_a_keyring_of_its_own(tmp_path: Path, key: Key) -> None:
    written = {"url": URL, "suites": ["trixie", "trixie-updates"], "architectures": ["amd64"], "key": "keys/vendor.gpg"}
    found = files(spec(vendor=written), Commit(tmp_path, {"keys/vendor.gpg": key.binary}))
    assert found[SOURCES] == (
        "Types: deb\n"
        f"URIs: {URL}\n"
        "Suites: trixie trixie-updates\n"
        "Components: main\n"
        "Architectures: amd64\n"
        f"Signed-By: {KEYRING}\n"
    )
    assert found == files(spec(vendor={**written, "key": key.public}), Commit(tmp_path, {}))


def test_its_files_are_resources_that_leave_with_it(tmp_path: Path, key: Key) -> None:
    concrete = spec(vendor={"url": URL, "suites": ["trixie"], "key": key.public}).concrete(Commit(tmp_path, {}))
    keys = [resource.key for resource in concrete.resources]
    assert keys == [
        f"file:{SOURCES}",
        f"file:{KEYRING}",
        "directory:/etc/apt/sources.list.d",
        "directory:/etc/apt/keyrings",
    ]


def test_a_flat_repository_has_no_components(tmp_path: Path) -> None:
    found = files(spec(flat={"url": "file:/srv/debs", "suites": ["./"]}), Commit(tmp_path, {}))
    assert found == {
        "/etc/apt/sources.list.d/hostwright-flat.sources": "Types: deb\nURIs: file:/srv/debs\nSuites: ./\n"
    }


def test_a_keyring_of_the_host_is_named_as_it_is(tmp_path: Path) -> None:
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    found = files(spec(vendor={"url": URL, "suites": ["x"], "key": keyring}), Commit(tmp_path, {}))
    assert list(found) == [SOURCES]
    assert f"Signed-By: {keyring}\n" in (found[SOURCES] or "")


def test_an_absent_repository_has_neither_file(tmp_path: Path) -> None:
    assert files(spec(vendor={"absent": True}), Commit(tmp_path, {})) == {SOURCES: None, KEYRING: None}


def test_a_later_play_replaces_a_repository_of_the_same_name() -> None:
    first, second = {"url": URL, "suites": ["one"]}, {"url": URL, "suites": ["two"]}
    merged = spec(vendor=first, other=first).merged(spec(vendor=second))
    assert {name: found.suites for name, found in merged.apt_repositories.items()} == {
        "vendor": ("two",),
        "other": ("one",),
    }


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ({"url": URL}, "give `url` and `suites`"),
        ({"suites": ["x"]}, "give `url` and `suites`"),
        ({"absent": True, "url": URL}, "stands alone"),
        ({"url": "ftp://x/y", "suites": ["x"]}, "not the address of a repository"),
        ({"url": f"{URL}\nTrusted: yes", "suites": ["x"]}, "not the address of a repository"),
        ({"url": "https://me:word@example.org/", "suites": ["x"]}, "auth.conf.d"),
        ({"url": URL, "suites": ["x y"]}, "match pattern"),
        ({"url": URL, "suites": ["x\nTrusted: yes"]}, "match pattern"),
        ({"url": URL, "suites": ["./"], "components": ["main"]}, "has no components"),
        ({"url": URL, "suites": ["./", "x"]}, "has no components"),
        ({"url": URL, "suites": ["x"], "trusted": True}, "Extra inputs"),
        ({"url": URL, "suites": ["x"], "key": "two words"}, "neither the path of a file nor an armoured key"),
        ({"url": URL, "suites": ["x"], "types": ["rpm"]}, "deb-src"),
    ],
)
def test_what_is_no_repository_is_refused_with_a_word(written: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        spec(vendor=written)


@pytest.mark.parametrize("name", ["../x", "a b", "", "-x", "a/b"])
def test_a_name_is_part_of_a_file_name(name: str) -> None:
    with pytest.raises(ValidationError):
        spec(**{name: {"url": URL, "suites": ["x"]}})


def test_every_key_that_is_none_is_complained_of_at_once(tmp_path: Path, key: Key) -> None:
    commit = Commit(tmp_path, {"keys/private.asc": key.private, "keys/page.asc": "<html>", "keys/link": ("link", "x")})
    wanted = {
        name: {"url": URL, "suites": ["x"], "key": path}
        for name, path in {
            "private": "keys/private.asc",
            "page": "keys/page.asc",
            "near": "keys/pages.asc",
            "link": "keys/link",
        }.items()
    }
    with pytest.raises(Mistake) as caught:
        spec(**wanted).concrete(commit)
    complaints = [str(fault) for fault in caught.value.faults]
    assert "private.key: the key of repository private, keys/private.asc, is a private key" in complaints[0]
    assert "page.key: the key of repository page, keys/page.asc, is not an OpenPGP key" in complaints[1]
    assert complaints[2].endswith("there is no file keys/pages.asc in the config repo; did you mean keys/page.asc?")
    assert complaints[3].endswith("link in the config repo, which is not followed; name the file itself")
