"""Replacements for parts of pyinfra that would be wrong here, made once in the life of the child."""

from __future__ import annotations

import functools
import importlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyinfra.api.util
import pyinfra.connectors.local
import pyinfra.connectors.util
import pyinfra.facts.files
import pyinfra.facts.git
import pyinfra.local
from pyinfra.context import ctx_config, ctx_host, ctx_state

from agent.engine.code import repository, run_file
from agent.engine.connector import HereConnector
from agent.engine.dry_run import DryRunMeta
from agent.engine.operation_calls import require_closure
from agent.engine.output import read_buffer
from agent.engine.run_as import running_as


@functools.cache
def patch_pyinfra(*, confined: bool) -> None:
    """Put the agent's parts in place of pyinfra's. ``confined``: True in the child of a confined plan. Raises
    AssertionError where this pyinfra lacks one."""
    # By import_module, because pyinfra.api has a function of that name, too.
    operation = importlib.import_module("pyinfra.api.operation")
    require_closure(operation._wrap_operation)
    connector: Any = pyinfra.connectors.local
    replacements: list[tuple[Any, str, Any]] = [
        (operation, "OperationMeta", DryRunMeta),
        (pyinfra.connectors.util, "read_buffer", read_buffer),
        (connector, "make_unix_command_for_host", running_as(connector.make_unix_command_for_host, confined=confined)),
        (pyinfra.local, "include", _include),
        (pyinfra.api.util, "get_path_permissions_mode", _permissions),
        (pyinfra.facts.files.HashFileFactBase, "process", _hash_reader(pyinfra.facts.files.HashFileFactBase.process)),
    ]
    if confined:
        replacements.append((pyinfra.facts.git.GitRemoteBranchCommit, "command", _remote_commit))
    for place, name, ours in replacements:
        assert hasattr(place, name), f"pyinfra has no {name} any more"
        setattr(place, name, ours)
    HereConnector.is_root = confined or os.geteuid() == 0


def _permissions(pathname: str) -> int:
    """The mode of a file that operations copy without ``mode=``, such as 644. A commit's file has the mode that git
    gives it, because nobody may write to the exported one."""
    mode = os.stat(pathname).st_mode  # noqa: PTH116  # as pyinfra has it
    if Path(pathname).absolute().is_relative_to(repository()):
        mode = 0o755 if mode & 0o100 else 0o644
    return int(f"{mode & 0o777:o}")


def _hash_reader(process: Callable[[Any, list[str]], str | None]) -> Callable[[Any, list[str]], str | None]:
    """pyinfra's reader of hashes, quicker. It compiles an expression for each path; this cuts the path off first, and
    needs one expression for all."""

    def processed(fact: Any, output: list[str]) -> str | None:
        before = output[0].removesuffix(fact.path)
        if before != output[0] and before.endswith("  ") and (found := re.match(fact._regexes[0] % "", before)):
            return found[1]
        return process(fact, output)

    return processed


def run_source(source: Path) -> None:
    """Run a deploy file as pyinfra's command line does."""
    state = ctx_state.get()
    outer = state.current_exec_filename
    state.current_exec_filename = os.path.relpath(source)
    try:
        run_file(source)
    finally:
        state.current_exec_filename = outer


def _include(filename: str, data: dict[str, Any] | None = None) -> None:
    """``local.include`` as in pyinfra's command line; pyinfra's own function works only there."""
    host, config = ctx_host.get(), ctx_config.get()
    path = Path(pyinfra.api.util.get_file_path(ctx_state.get(), filename)).absolute()
    name = str(path.relative_to(repository())) if path.is_relative_to(repository()) else str(path)
    settings = config.get_current_state()
    try:
        with host.deploy(name, None, data, in_deploy=False):
            run_source(path)
    finally:
        config.set_current_state(settings)


def _remote_commit(self: object, repo: str, remote: str = "origin", branch: str | None = None) -> str:  # noqa: ARG001
    """The command of the fact. pyinfra's own hides that a remote cannot be asked, which is always so without a
    network."""
    return f"! test -d {repo} || (cd {repo} && git ls-remote {remote} {branch or 'HEAD'})"
