"""tools.yaml: what it says, and what is said of it."""

from __future__ import annotations

import pytest

from agent.inventory.tools import ArchiveTool, PythonTool
from tests.inventory.samples import Repo

SHA = "ab" * 32
RIPGREP = """
    ripgrep:
      version: "14.1"
      url: "https://example.org/{{ version }}/rg-{{ arch }}-{{ platform }}.tar.gz"
      platforms:
        linux-x86_64: {arch: x86_64-musl}
        linux-aarch64:
        linux-armv7l: {url: "https://example.org/arm/{{ version }}.zip", sha256: "%s"}
      bin: [rg]
    """
HEAD = "x: {version: '1', url: 'https://e.example/x', platforms: {linux-x86_64: }, bin: [x]"


def archive(repo: Repo, text: str, name: str) -> ArchiveTool:
    repo.write("tools.yaml", text)
    tool = repo.load().tools[name]
    assert isinstance(tool, ArchiveTool)
    return tool


def python(repo: Repo, text: str) -> PythonTool:
    repo.write("tools.yaml", f"x: {text}")
    tool = repo.load().tools["x"]
    assert isinstance(tool, PythonTool)
    return tool


def test_each_platform_gets_its_url_from_the_template_or_one_of_its_own(repo: Repo) -> None:
    tool = archive(repo, RIPGREP % SHA, "ripgrep")
    assert {platform: asset.url for platform, asset in tool.assets.items()} == {
        "linux-aarch64": "https://example.org/14.1/rg-aarch64-linux-aarch64.tar.gz",
        "linux-armv7l": "https://example.org/arm/14.1.zip",
        "linux-x86_64": "https://example.org/14.1/rg-x86_64-musl-linux-x86_64.tar.gz",
    }
    assert [asset.sha256 for asset in tool.assets.values()] == [None, SHA, None]


def test_a_command_may_say_where_it_lies_by_the_same_words(repo: Repo) -> None:
    text = HEAD.replace("[x]", "{x: 'x-{{ version }}/{{ arch }}/run'}") + "}"
    assert archive(repo, text, "x").assets["linux-x86_64"].bin == {"x": "x-1/x86_64/run"}


@pytest.mark.parametrize(
    ("text", "requirement"),
    [
        ("{pip: ruff}", "ruff"),
        ("{pip: ruff, version: 0.6.9}", "ruff==0.6.9"),
        ("{pip: ruff, version: 0.6.*}", "ruff==0.6.*"),
        ("{pip: 'httpie[socks]', version: '>=3, <4'}", "httpie[socks]>=3,<4"),
    ],
)
def test_a_python_tool_becomes_the_requirement_that_pip_would_write(repo: Repo, text: str, requirement: str) -> None:
    assert python(repo, text).requirement == requirement


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[x]", "tools.yaml:1:1: a mapping is expected"),
        ("x: 1", "tools.yaml:1:4: x: a mapping is expected"),
        ("a b: {pip: x}", 'tools.yaml:1:1: "a b" is not a name for a tool'),
        ("x: {pip: x, versoin: 1.*}", 'tools.yaml:1:13: x: unknown key "versoin"; did you mean "version"?'),
        ("x: {pipp: x}", 'tools.yaml:1:5: x: unknown key "pipp"; did you mean "pip"?'),
        ("x: {version: '1'}", 'the key "platforms" is missing'),
        (f"{HEAD}, binary: 1}}", 'unknown key "binary"'),
        ("x: {pip: x, version: 0.6}", "0.6 is read as a number, which has lost what was written; put it in quotes"),
        ("x: {pip: 'x==1'}", 'tools.yaml:1:5: x.pip: "x==1" is not the name of a distribution'),
        ("x: {pip: x, version: '1; rm'}", 'x.version: "1; rm" is not a version'),
        (
            HEAD.replace("https://e.example/x", "{{ vresion }}") + "}",
            "x.url: 'vresion' is undefined; did you mean \"version\"?",
        ),
        (HEAD.replace("https://e.example/x", "{{ version") + "}", "x.url: {{ opens here and is never closed"),
        (HEAD.replace("https", "ftp") + "}", 'x.url: "ftp://e.example/x" cannot be downloaded'),
        (HEAD.replace("//e", "//ann:pw@e") + "}", "without a name or password in it"),
        (HEAD.replace("linux-x86_64", "windows") + "}", "x.platforms.windows"),
        (HEAD.replace("[x]", "{x: ../x}") + "}", 'x.bin.x: "../x" is not a path in an archive'),
        (HEAD.replace("[x]", "[a/b]") + "}", "x.bin[0]"),
        (
            HEAD.replace("url: 'https://e.example/x', ", "") + "}",
            "there is no URL for linux-x86_64; write `url: https://…`",
        ),
        (HEAD.replace("linux-x86_64: ", "linux-x86_64: {sha256: abc}") + "}", "x.platforms.linux-x86_64.sha256"),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_place(repo: Repo, text: str, complaint: str) -> None:
    repo.write("tools.yaml", text)
    assert complaint in "\n".join(repo.complaints())


def test_all_complaints_come_at_once(repo: Repo) -> None:
    repo.write("tools.yaml", "x: {pip: '!'}\ny: {version: '1'}\n")
    assert {line.split(":")[1] for line in repo.complaints()} == {"1", "2"}


def test_a_template_knows_no_hosts(repo: Repo) -> None:
    repo.write("tools.yaml", HEAD.replace("https://e.example/x", "https://{{ owner }}/x") + "}")
    assert "'owner' is undefined" in "\n".join(repo.complaints())


def test_without_the_file_there_are_no_tools(repo: Repo) -> None:
    assert repo.load().tools == {}
    repo.write("tools.yaml", "# nothing yet\n")
    assert repo.load().tools == {}
