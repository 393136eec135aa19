"""What we tell people to do: every command that a message names exists, and can be had where the message is shown."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from agent.cli.main import cli
from agent.cli.table import ADMIN, HOST, SECTIONS

AGENT = Path(__file__).parents[2] / "agent"

EVERYWHERE = {"status"}
"""It reads the host's own settings, or those of the config repo at hand."""

ON_HOSTS = re.compile(
    r"(domain/(request|deploy_errors)|steps|engine|converge|judge_trial|going_back|remove_unwanted|ending"
    r"|select_target|planning|control|daemon|webhook|cycle|host/(?!repositories)"
    r"|cli/(?!commands/(check|inventory|lock|schema|secret|status)|config_repo|main|output|table))"
)
"""Modules whose messages come up on a managed host alone."""
AT_ADMINS = re.compile(
    r"(pinning|inventory/lint/check_alone|domain/request|secrets/(?!unseal)"
    r"|cli/(commands/(admit|check|diff|enroll|init|inventory|lock|retire|schema|secret)"
    r"|admitting|annotations|desk|previews|leaving|config_repo)\.)"
)
"""And those whose messages come up in a clone of the config repo alone. All others are run in both places."""

FOR_HOSTS = re.compile(r"\bon (the|a|that|this) (managed )?host\b")
COMMAND = re.compile(r"(?<!by `)\bhostwright ([a-z][a-z-]*)\b(?!\.)")


def _texts(tree: ast.AST) -> Iterator[str]:
    """Every text of a module but docstrings, with what is filled in left out."""
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            inside |= {id(part) for part in ast.walk(node.value) if isinstance(node.value, ast.Constant)}
        elif isinstance(node, ast.JoinedStr):
            parts = [part for part in node.values if isinstance(part, ast.Constant)]
            inside |= {id(part) for part in parts}
            yield "".join(str(part.value) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def _named() -> Iterator[tuple[str, str, str]]:
    """Module, command, and the text that names it."""
    for path, source in ((path, path.read_text()) for path in sorted(AGENT.rglob("*.py"))):
        for text in _texts(ast.parse(source)) if "hostwright" in source else ():
            for found in COMMAND.finditer(text):
                yield str(path.relative_to(AGENT)), found[1], text


def _complaints(module: str, command: str, text: str) -> Iterator[str]:
    """What is wrong with a command that the text of a module names."""
    if command not in cli.commands:
        yield "there is no such command"
    if command in SECTIONS[HOST] and not (ON_HOSTS.match(module) or FOR_HOSTS.search(text)):
        yield "say that it is for the host"
    if command in SECTIONS[ADMIN].keys() - EVERYWHERE and not (AT_ADMINS.match(module) or "config repo" in text):
        yield "say that it is for the config repository"


def test_a_command_that_a_message_names_exists_and_is_for_the_place_where_it_is_shown() -> None:
    named = list(_named())
    assert len(named) > 40
    assert [(each, complaint) for each in named for complaint in _complaints(*each)] == []
