"""files: what an inventory writes, merged and made concrete, and what it is told when it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.deploys.files.spec import FilesSpec
from agent.deploys.items import items_from_json
from agent.domain.digest import canonical
from agent.domain.fault import Mistake
from agent.domain.tree import blob_id
from agent.errors import InventoryError
from tests.deploys.commit import Commit


@pytest.fixture
def commit(tmp_path: Path) -> Commit:
    files = {
        "files/app.conf": "port = 1\n",
        "files/run.sh": ("executable", "#!/bin/sh\n"),
        "files/tpl.j2": "port = {{ port }}\n",
        "files/latin.j2": b"\xe9",
        "files/conf.d/a": "a\n",
        "files/conf.d/deep/b": ("executable", "b\n"),
        "files/conf.d/l": ("link", "a"),
        "files/conf.data": "not in conf.d\n",
    }
    return Commit(tmp_path / "commit", files, port=8080)


def items(commit: Commit, written: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Items by key, without the folders that nobody named."""
    concrete = FilesSpec.model_validate(written).concrete(commit)
    canonical(concrete.arguments)  # or a TypeError: what crosses to the engine is JSON without floats
    by_key: dict[str, dict[str, Any]] = {
        item.key: item.to_json() for item in items_from_json(concrete.arguments["items"])
    }
    assert list(by_key) == [resource.key for resource in concrete.resources]
    return {key: item for key, item in by_key.items() if item["kind"] != "directory" or "mode" in item}


def complaints(commit: Commit, written: dict[str, Any]) -> str:
    with pytest.raises((ValidationError, InventoryError)) as caught:
        FilesSpec.model_validate(written).concrete(commit)
    return "\n".join(map(str, caught.value.faults)) if isinstance(caught.value, Mistake) else str(caught.value)


@pytest.mark.parametrize(
    ("entry", "key", "expected"),
    [
        ({"content": "hi\n"}, "file:/p", {"kind": "file", "text": "hi\n", "mode": 0o644}),
        (
            {"source": "files/app.conf", "mode": "0640", "group": "app"},
            "file:/p",
            {
                "kind": "file",
                "source": "files/app.conf",
                "blob": blob_id(b"port = 1\n"),
                "mode": 0o640,
                "group": "app",
            },
        ),
        (
            {"source": "files/run.sh", "owner": "ann"},
            "file:/p",
            {
                "kind": "file",
                "source": "files/run.sh",
                "blob": blob_id(b"#!/bin/sh\n"),
                "mode": 0o755,
                "owner": "ann",
            },
        ),
        ({"template": "files/tpl.j2"}, "file:/p", {"kind": "file", "text": "port = 8080\n", "mode": 0o644}),
        ({"directory": True}, "directory:/p", {"kind": "directory", "mode": 0o755}),
        ({"link": "/etc/app"}, "link:/p", {"kind": "link", "target": "/etc/app"}),
        ({"absent": True, "backup": True}, "file:/p", {"kind": "file", "absent": True, "backup": True}),
        (
            {"line": "a no", "match": "^#?a "},
            "line:/p#~^#?a ",
            {"kind": "line", "part": "~^#?a ", "text": "a no", "match": "^#?a "},
        ),
        ({"line": "a no"}, "line:/p#a no", {"kind": "line", "part": "a no", "text": "a no"}),
        (
            {"line": "a.no", "match": "^b", "name": "a line that its match does not find"},
            r"line:/p#~^b|^a\.no$",
            {"kind": "line", "part": r"~^b|^a\.no$", "text": "a.no", "match": "^b"},
        ),
        (
            {"block": "x\n", "name": "lab"},
            "block:/p#lab",
            {"kind": "block", "part": "lab", "text": "x\n"},
        ),
        ({"block": "x\n"}, "block:/p#managed", {"kind": "block", "part": "managed", "text": "x\n"}),
        (
            {"lines": {"a": {"line": "a.b", "absent": True, "match": "^c"}}},
            r"line:/p#~(?:^a\.b$)|(?:^c)",
            {"kind": "line", "part": r"~(?:^a\.b$)|(?:^c)", "match": r"(?:^a\.b$)|(?:^c)"},
        ),
        (
            {"blocks": {"a": {"absent": True, "comment": ";"}}},
            "block:/p#a",
            {"kind": "block", "part": "a", "comment": ";"},
        ),
    ],
)
def test_an_entry_becomes_one_item(commit: Commit, entry: dict[str, Any], key: str, expected: dict[str, Any]) -> None:
    assert items(commit, {"/p": entry}) == {key: {"path": "/p"} | expected}


def test_a_tree_becomes_its_files_links_and_folders(commit: Commit) -> None:
    concrete = FilesSpec.model_validate({"/etc/app/conf.d": {"tree": "files/conf.d", "owner": "app"}}).concrete(commit)
    assert [resource.key for resource in concrete.resources] == [
        "directory:/etc",
        "directory:/etc/app",
        "directory:/etc/app/conf.d",
        "file:/etc/app/conf.d/a",
        "directory:/etc/app/conf.d/deep",
        "file:/etc/app/conf.d/deep/b",
        "link:/etc/app/conf.d/l",
    ]
    named = items(commit, {"/etc/app/conf.d": {"tree": "files/conf.d", "owner": "app"}})
    assert {item["mode"] for item in named.values() if item["kind"] == "file"} == {0o644, 0o755}
    assert named["link:/etc/app/conf.d/l"]["target"] == "a"


def test_what_is_named_by_its_own_path_counts_more_than_a_tree(commit: Commit) -> None:
    found = items(commit, {"/d/a": {"content": "own\n"}, "/d": {"tree": "files/conf.d"}})
    assert found["file:/d/a"]["text"] == "own\n"


def test_several_lines_and_blocks_of_one_file_are_owned_one_by_one(commit: Commit) -> None:
    entry = {"lines": {"root": {"line": "a", "match": "^a"}, "x": "y"}, "blocks": {"lab": "z\n"}}
    assert list(items(commit, {"/p": entry})) == ["line:/p#~^a", "line:/p#y", "block:/p#lab"]


def test_a_digest_is_of_what_should_be_and_not_of_how_it_is_written(commit: Commit) -> None:
    def digest(**entry: Any) -> str:
        return FilesSpec.model_validate({"/p": entry}).concrete(commit).resources[0].digest

    plain = digest(content="port = 1\n")
    assert digest(source="files/app.conf") == plain
    assert digest(content="port = 1\n", mode="644", owner="root", backup=True) == plain
    assert digest(content="port = 2\n") != plain
    assert digest(content="port = 1\n", mode="0600") != plain
    assert digest(content="port = 1\n", group="app") != plain


def test_a_later_play_replaces_a_path_and_adds_lines_and_blocks(commit: Commit) -> None:
    earlier = FilesSpec.model_validate(
        {"/a": {"content": "1"}, "/b": {"content": "1"}, "/hosts": {"block": "x", "name": "one", "backup": True}}
    )
    later = FilesSpec.model_validate({"/b": {"link": "/a"}, "/hosts": {"lines": {"two": "y"}, "block": "z"}})
    merged = earlier.merged(later)
    keys = [resource.key for resource in merged.concrete(commit).resources]
    assert keys == ["file:/a", "link:/b", "line:/hosts#y", "block:/hosts#one", "block:/hosts#managed"]
    assert merged.entries["/hosts"].backup


@pytest.mark.parametrize("match", ["^(?!nameserver)", "(?<!#)$", "^[^;]*$", "^.{0,80}$"])
def test_an_expression_with_exceptions_is_not_found_in_every_line(match: str) -> None:
    FilesSpec.model_validate({"/p": {"lines": {"a": {"match": match, "absent": True}}}})


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ({"~/a": {"content": ""}}, "'~/a' is not an absolute path; write the whole path, such as '/home/ann/…'"),
        ({"etc/motd": {"content": ""}}, "'etc/motd' is not an absolute path; write '/etc/motd'"),
        ({"/etc/../motd": {"content": ""}}, "'/etc/../motd' goes a roundabout way; write '/motd'"),
        ({"/etc/": {"directory": True}}, "'/etc/' goes a roundabout way; write '/etc'"),
        ({"/p": {}}, "give exactly one of content, source, template, directory, link, tree, absent, or lines"),
        ({"/p": {"content": "", "link": "x"}}, "it is said by content and link what is to be there"),
        ({"/p": {"content": "", "line": "x"}}, "it is said by content and line what is to be there"),
        ({"/p": {"link": "x", "mode": "0644"}}, "mode cannot be given together with link"),
        ({"/p": {"content": "", "mode": 420}}, 'write "0644"'),
        ({"/p": {"content": "", "mode": "rw"}}, "String should match pattern"),
        ({"/p": {"content": "", "owner": "a b"}}, "String should match pattern"),
        ({"/p": {"line": "a\nb"}}, "for several lines use block"),
        ({"/p": {"line": "a", "match": "("}}, "not a regular expression"),
        ({"/p": {"line": "a", "match": "(" * 5000}}, "not a regular expression: it is nested too deep"),
        ({"/p": {"line": "a", "match": "a{99999999999}"}}, "not a regular expression: the repetition number is"),
        ({"/p": {"content": "", "match": "a"}}, "`match` without `line`"),
        ({"/p": {"lines": {"a": "x"}, "blocks": {"a": "x"}}}, "a line and a block are both named 'a'"),
        ({"/p#1": {"line": "a"}}, "cannot be told apart"),
        (
            {"/p": {"source": "files/app.con"}},
            "there is no file files/app.con in the config repo; did you mean",
        ),
        ({"/p": {"source": "files/conf.d"}}, "files/conf.d is a folder of the config repo; name a file in it"),
        ({"/p": {"source": "files/conf.d/l"}}, "is a link in the config repo"),
        ({"/p": {"tree": "nowhere"}}, "/p.tree: there is no folder nowhere in the config repo"),
        ({"/p": {"template": "files/latin.j2"}}, "/p.template: files/latin.j2: not UTF-8 text"),
        ({"/p": {"content": ""}, "/p/q": {"content": ""}}, "/p/q lies in /p, which is to be a file"),
        ({"/p": {"absent": True}, "/p/q": {"content": ""}}, "/p/q lies in /p, which is to be absent"),
        ({"/d": {"tree": "files/conf.d"}, "/d/a": {"line": "x"}}, "/d/a is a whole file in a tree"),
        ({"/d": {"block": "x\n# END hostwright managed\ny\n"}}, "a block of /d holds a marker of a block"),
        ({"/d": {"line": "# BEGIN hostwright other"}}, "a line of /d holds a marker of a block"),
    ],
)
def test_a_complaint_says_what_is_wrong(commit: Commit, written: dict[str, Any], complaint: str) -> None:
    assert complaint in complaints(commit, written)


def test_all_complaints_come_at_once(commit: Commit) -> None:
    found = complaints(commit, {"/a": {"source": "x"}, "/b": {"source": "y"}, "/c": {"tree": "z"}})
    assert sorted(line.split(":")[0] for line in found.splitlines()) == ["/a.source", "/b.source", "/c.tree"]


def test_a_complaint_points_at_the_key(commit: Commit) -> None:
    with pytest.raises(ValidationError) as caught:
        FilesSpec.model_validate({"/p": {"content": "", "mod": "0644"}})
    assert caught.value.errors()[0]["loc"] == ("/p", "mod")


def test_every_field_is_described() -> None:
    for definition in FilesSpec.model_json_schema()["$defs"].values():
        assert all("description" in field for field in definition["properties"].values())


def test_capabilities_are_named_with_or_without_their_cap(commit: Commit) -> None:
    wanted = {"/p": {"source": "files/run.sh", "capabilities": ["net_raw", "CAP_CHOWN"]}}
    assert items(commit, wanted)["file:/p"]["capabilities"] == ["cap_chown", "cap_net_raw"]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (
            {"content": "x", "capabilities": ["net_bind"]},
            "no capability 'net_bind'; did you mean cap_net_bind_service?",
        ),
        ({"directory": True, "capabilities": ["chown"]}, "capabilities cannot be given together with directory"),
        ({"line": "x", "mode": "0600"}, "mode cannot be given together with line"),
        ({"line": "x", "capabilities": ["chown"]}, "capabilities cannot be given together with line"),
        ({"link": "/x", "acl": "keep"}, "acl cannot be given together with link"),
        ({"content": "x", "acl": "u:ann:r--"}, "keep"),
    ],
)
def test_attributes_that_cannot_be_given_are_complained_about(commit: Commit, written: object, told: str) -> None:
    assert told in complaints(commit, {"/p": written})


def test_acls_are_kept_where_git_says_so(commit: Commit) -> None:
    found = items(commit, {"/d": {"directory": True, "acl": "keep"}, "/e": {"directory": True}})
    assert found["directory:/d"]["keep_acl"]
    assert "keep_acl" not in found["directory:/e"]


@pytest.mark.parametrize(
    ("written", "where"),
    [
        ({"/p": {"source": "files/pointer"}}, "/p.source"),
        ({"/p": {"template": "files/pointer"}}, "/p.template"),
        ({"/p": {"tree": "files/large"}}, "/p.tree"),
        ({"/p": {"source": "files/annexed"}}, "/p.source"),
        ({"/p": {"tree": "files/linked"}}, "/p.tree"),
    ],
)
def test_a_stand_in_for_content_is_refused_by_name(commit: Commit, written: dict[str, Any], where: str) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    for path in ("files/pointer", "files/large/a"):
        commit.put(path, pointer)
    for path in ("files/annexed", "files/linked/a"):
        commit.put(path, ("link", "../.git/annex/objects/a/b"))
    said = complaints(commit, written)
    assert said.startswith(f"{where}: files/")
    assert "is a pointer of Git LFS, not the content" in said or "is a pointer of git-annex, not the content" in said
    assert "commit the content itself" in said


def test_a_template_that_is_only_a_stand_in_is_refused_on_a_host_too(commit: Commit) -> None:
    """Where only what is read is judged."""
    commit.put("files/pointer", b"\0GITCRYPT\0secret")
    commit.stand_in = lambda _: None  # type: ignore[method-assign]
    assert "files/pointer is encrypted by git-crypt" in complaints(commit, {"/p": {"template": "files/pointer"}})
