"""Replaces what pyinfra would do wrong here, once in the life of the child."""

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
from agent.engine.output import read_buffer
from agent.engine.ownership import require_closure
from agent.engine.run_as import running_as


@functools.cache
def patch_pyinfra(*, confined: bool) -> None:
    """Puts our parts in place of pyinfra's."""
    # Not by attribute: pyinfra.api has a function of that name, too.
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
    """The mode of a file that operations copy without ``mode=``. That of a commit's files is what git makes of them: in
    the export nobody may write to them."""
    mode = os.stat(pathname).st_mode  # noqa: PTH116  # as pyinfra has it
    if Path(pathname).absolute().is_relative_to(repository()):
        mode = 0o755 if mode & 0o100 else 0o644
    return int(f"{mode & 0o777:o}")


def _hash_reader(process: Callable[[Any, list[str]], str | None]) -> Callable[[Any, list[str]], str | None]:
    """pyinfra's own puts the path into an expression, and compiles one for each file. This cuts the path off first."""

    def processed(fact: Any, output: list[str]) -> str | None:
        before = output[0].removesuffix(fact.path)
        if before != output[0] and before.endswith("  ") and (found := re.match(fact._regexes[0] % "", before)):
            return found[1]
        return process(fact, output)

    return processed


def run_source(source: Path) -> None:
    """Executes a deploy file as pyinfra's command line does."""
    state = ctx_state.get()
    outer = state.current_exec_filename
    state.current_exec_filename = os.path.relpath(source)
    try:
        run_file(source)
    finally:
        state.current_exec_filename = outer


def _include(filename: str, data: dict[str, Any] | None = None) -> None:
    """``local.include`` as pyinfra's command line has it; its own refuses to work for anybody else."""
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
    """The fact's own command hides that a remote cannot be asked, which without a network is so for ever."""
    return f"! test -d {repo} || (cd {repo} && git ls-remote {remote} {branch or 'HEAD'})"
