"""Turns one deploy into its operations and what each would change now. Executes nothing.

pyinfra finds out whether an operation would change something, and stops there. Each that would is looked at once
more: for its diff, for the single corrections of a bulk operation, and for whether its ``_if`` will hold.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyinfra.api.util
from pyinfra.api.config import Config
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.host import Host
from pyinfra.api.state import State, StateOperationHostData, StateStage
from pyinfra.context import ctx_config, ctx_host, ctx_inventory, ctx_state

from agent.deploys.correction import Correction
from agent.domain.deploy_file import CALL_IT, uncalled
from agent.domain.plan import WantedChange
from agent.engine.adapt import run_source
from agent.engine.code import enter, explain, misses_something
from agent.engine.connector import read_group_data, this_host
from agent.engine.foreseen import ForeseeingState, ForeseenMeta
from agent.engine.logs import Diff, LogCapture
from agent.engine.ownership import call_of, owned
from agent.engine.protocol import Order
from agent.errors import DeployError

_KIND = re.compile(r"[a-z][a-z0-9_]*")
_NAMED = re.compile(r"(?P<key>[a-z][a-z0-9-]*:.*?) \| (?P<text>.+)", re.DOTALL)
"""What a built-in calls an operation that is pyinfra's own: the resource's key, then words for people."""


class UnpreparedError(Exception):
    """A deploy cannot be prepared; the message is one line that says where and why."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a deploy, by pyinfra's name for it and by ours.

    ``changes`` is empty where it would do nothing. A ``bulk`` operation yields corrections: each is a change of its
    own, and ``key`` only stands for the rest of it. ``owns``: of a config repo's deploy, what it looks after.
    """

    hash: str
    key: str
    text: str
    changes: tuple[WantedChange, ...]
    bulk: bool
    owns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A deploy ready to run. ``context`` puts pyinfra's globals in place for as long as it lasts."""

    name: str
    built_in: bool
    state: State
    host: Host
    operations: tuple[Operation, ...]
    log: LogCapture

    @property
    def changes(self) -> tuple[WantedChange, ...]:
        return tuple(change for operation in self.operations for change in operation.changes)

    @property
    def resources(self) -> tuple[str, ...]:
        """Keys of all that it looks after as far as it is known. A built-in's bulk operation with nothing to do keeps
        its resources to itself, and its name stands for none."""
        keys = [operation.key for operation in self.operations if not operation.bulk]
        named = [key for key in keys if not (self.built_in and key.startswith("op:"))]
        owned = (key for operation in self.operations for key in operation.owns)
        return tuple(dict.fromkeys((*named, *(change.resource for change in self.changes), *owned)))

    @property
    def unowned(self) -> int:
        """How many operations look after nothing that could be pruned. A built-in declares what it looks after."""
        return 0 if self.built_in else sum(not operation.owns for operation in self.operations)

    def meta(self, operation: Operation) -> ForeseenMeta:
        meta = self.data(operation).operation_meta
        assert isinstance(meta, ForeseenMeta)
        return meta

    def data(self, operation: Operation) -> StateOperationHostData:
        return self.state.get_op_data_for_host(self.host, operation.hash)

    def context(self) -> AbstractContextManager[None]:
        return _context(self.state, self.host)

    def close(self) -> None:
        disconnect_all(self.state)


def prepare(order: Order, root: Path, temp: Path, log: LogCapture) -> Prepared:
    """``order`` with pyinfra's state for it. Raises UnpreparedError; then the next deploy can still be prepared.

    Deploy files are run from the root of their repository. One that misses a file or a module there is tried from its
    own folder: both are places where people run pyinfra.
    """
    root = Path(order.root) if order.root is not None else root
    try:
        return _prepare(order, root, root, temp, log)
    except UnpreparedError as error:
        folder = (root / order.source).parent if order.source is not None else root
        if folder == root or not misses_something(error.__cause__):
            raise
        with suppress(UnpreparedError):
            return _prepare(order, root, folder, temp, log)
        raise


def _prepare(order: Order, root: Path, folder: Path, temp: Path, log: LogCapture) -> Prepared:
    log.clear()
    forget_files()
    ForeseenMeta.interrupted = order.interrupted
    try:
        if order.source is not None:
            enter(root, folder)
        state = ForeseeingState(this_host(order.data), Config(TEMP_DIR=str(temp)))
        (host,) = state.inventory
        state.cwd = str(folder)
        with _context(state, host):
            state.set_stage(StateStage.Connect)
            connect_all(state)
            state.set_stage(StateStage.Prepare)
            if order.source is not None:
                read_group_data(state.inventory, (root, (root / order.source).parent))
            _run_deploy_code(order, root)
            operations = _operations(order, state, host, log)
            return Prepared(order.name, order.source is None, state, host, operations, log)
    except (Exception, SystemExit) as error:
        raise UnpreparedError(explain(error, root, log.complaints)) from error


def forget_files() -> None:
    """pyinfra remembers hashes and templates by file name for good; the files may have changed since."""
    pyinfra.api.util.FILE_SHAS.clear()
    pyinfra.api.util.TEMPLATES.clear()


@contextmanager
def _context(state: State, host: Host) -> Iterator[None]:
    # By hand: the managers' own use() does not restore after an exception.
    values = (
        (ctx_state, state),
        (ctx_inventory, state.inventory),
        (ctx_config, state.config.copy()),
        (ctx_host, host),
    )
    before = [manager.get() for manager, _ in values]
    for manager, value in values:
        manager.set(value)
    try:
        yield
    finally:
        for (manager, _), value in zip(values, before, strict=True):
            manager.set(value)


def _run_deploy_code(order: Order, root: Path) -> None:
    if order.source is not None:
        path = root / order.source
        run_source(path)
        if not ctx_host.get().op_hash_order and (functions := uncalled(path.read_bytes(), ran=True)):
            told = f"{order.source} defines {', '.join(functions)} and calls nothing, so that nothing would be done"
            raise DeployError(told, hint=CALL_IT)
        return
    if not _KIND.fullmatch(order.kind):
        raise DeployError(f"{order.kind!r} is not the name of a built-in deploy")
    operations = importlib.import_module(f"agent.deploys.{order.kind}.operations")
    operations.deploy(order.arguments, root)


def _operations(order: Order, state: State, host: Host, log: LogCapture) -> tuple[Operation, ...]:
    found: list[Operation] = []
    counts: Counter[str] = Counter()
    for op_hash in list(host.op_hash_order):
        data = state.ops[host].get(op_hash)
        if data is None:
            continue  # _run_once, and it has run
        name = ", ".join(sorted(state.get_op_meta(op_hash).names))
        named = _NAMED.fullmatch(name) if order.source is None else None
        counts[name] += 1
        key, text = (named["key"], named["text"]) if named else (f"op:{name}#{counts[name]}", name)
        owns = owned(call_of(data.command_generator)) if order.source is not None else ()
        meta = data.operation_meta
        assert isinstance(meta, ForeseenMeta)
        # Not will_change: of an interrupted deploy that is true of everything.
        meta.foreseen = bool(meta._maybe_is_change) and _condition_holds(data)
        corrections, diff = _look(state, data, log) if meta.foreseen else ([], None)
        changes = tuple(correction.change for correction in corrections)
        if meta.foreseen and not changes:
            changes = (WantedChange(key, text, diff.text if diff else None, bool(diff and diff.private), owns),)
        found.append(Operation(op_hash, key, text, changes, bool(corrections), owns))
    return tuple(found)


def _condition_holds(data: StateOperationHostData) -> bool:
    conditions = data.global_arguments.get("_if")
    asked: list[Callable[[], bool]] = (
        conditions if isinstance(conditions, list) else [conditions] if callable(conditions) else []
    )
    try:
        return all(condition() for condition in asked)
    except Exception:
        # It asks for what only running can tell, such as an operation's output: then it may well hold.
        return True


def _look(state: State, data: StateOperationHostData, log: LogCapture) -> tuple[list[Correction], Diff | None]:
    """What the operation would do, from its start to its end, with diffs switched on.

    Raises what a bulk operation raises. Of any other the first command is known to be wanted; that it cannot get
    further before that has run is no reason to refuse.
    """
    corrections: list[Correction] = []
    log.clear()
    state.config.DIFF = True
    try:
        # Those before an exception stay in the list.
        corrections.extend(command for command in data.command_generator() if isinstance(command, Correction))
    except UnicodeDecodeError:
        return corrections, log.binary_diff()
    except Exception:
        if corrections:
            raise
    finally:
        state.config.DIFF = False
    return corrections, log.diff()
