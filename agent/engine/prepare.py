"""The operations of a deploy file, each with the changes that it would make now. Nothing is executed.

pyinfra only finds out whether an operation would change something. Each operation that would is looked at once more:
for its diff, for the single corrections of a bulk operation, and for whether its ``_if`` will hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pyinfra.api.util
from pyinfra.api.config import Config
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.host import Host
from pyinfra.api.state import State, StateOperationHostData, StateStage
from pyinfra.context import ctx_config, ctx_host, ctx_inventory, ctx_state

from agent.deploys.correct import CorrectionCommand
from agent.deploys.correction import Correction
from agent.domain.deploy_file import CALL_IT, uncalled
from agent.domain.plan import WantedChange
from agent.engine.code import UnpreparedError, enter, explain, misses_something
from agent.engine.connector import HereConnector
from agent.engine.dry_run import DryRunMeta, DryRunState
from agent.engine.logs import Diff, LogCapture
from agent.engine.operation_calls import CORRECT, call_of, owned
from agent.engine.patches import run_source
from agent.engine.protocol import FoundDeploy, Order
from agent.engine.this_host import read_group_data, this_host
from agent.errors import DeployError
from agent.system.mask import masked


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a deploy. ``hash`` is pyinfra's name for it, ``key`` the agent's.

    ``changes`` is empty where it would do nothing. A ``bulk`` operation yields corrections: each is a change of its
    own, and ``key`` only stands for the rest of it. ``owns``: the keys of the resources that it looks after.
    """

    hash: str
    key: str
    text: str
    changes: tuple[WantedChange, ...]
    bulk: bool
    owns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PyinfraDeploy:
    """A deploy ready to run. ``context`` puts pyinfra's globals in place for as long as it lasts."""

    name: str
    state: State
    host: Host
    operations: tuple[Operation, ...]
    log: LogCapture
    trace: str = ""
    """The answers to the questions of its commands; empty where they were not asked for."""

    @property
    def changes(self) -> tuple[WantedChange, ...]:
        return tuple(change for operation in self.operations for change in operation.changes)

    @property
    def found(self) -> FoundDeploy:
        keys = [operation.key for operation in self.operations if not operation.bulk]
        owned = (key for operation in self.operations for key in operation.owns)
        resources = tuple(dict.fromkeys((*keys, *(change.resource for change in self.changes), *owned)))
        unowned = sum(not operation.owns for operation in self.operations)
        return FoundDeploy(self.name, self.changes, resources, unowned=unowned, trace=self.trace)

    def meta(self, operation: Operation) -> DryRunMeta:
        meta = self.data(operation).operation_meta
        assert isinstance(meta, DryRunMeta)
        return meta

    def data(self, operation: Operation) -> StateOperationHostData:
        return self.state.get_op_data_for_host(self.host, operation.hash)

    def context(self) -> AbstractContextManager[None]:
        return _context(self.state, self.host)

    def close(self) -> None:
        disconnect_all(self.state)


def prepare(order: Order, root: Path, temp: Path, log: LogCapture, *, traced: bool = False) -> PyinfraDeploy:
    """The deploy file of ``order`` with pyinfra's state for it. ``traced``: True to ask the questions that its commands
    rest on. Raises UnpreparedError; then the next deploy can still be prepared.

    Deploy files run from the root of their repository. One that misses a file or a module there is tried from its own
    folder: people run pyinfra in both places.
    """
    assert order.source is not None
    root = Path(order.root) if order.root is not None else root
    path = root / order.source
    try:
        return _prepare_file(order, path, (root, root), temp, log, traced=traced)
    except UnpreparedError as error:
        if path.parent == root or not misses_something(error.__cause__):
            raise
        with suppress(UnpreparedError):
            return _prepare_file(order, path, (root, path.parent), temp, log, traced=traced)
        raise


def _prepare_file(
    order: Order, path: Path, start: tuple[Path, Path], temp: Path, log: LogCapture, *, traced: bool
) -> PyinfraDeploy:
    """``prepare`` from one folder. ``start``: the root of the repository, and the folder to run from."""
    root, folder = start
    log.clear()
    DryRunMeta.interrupted = order.interrupted
    try:
        enter(root, folder)
        state = DryRunState(this_host(order.data), Config(TEMP_DIR=str(temp)))
        state.cwd = str(folder)
        trace = None
        if traced:
            from agent.engine.deploy_trace import DeployTrace  # loaded for traced plans alone

            trace = DeployTrace()
            (host,) = state.inventory
            assert isinstance(host.connector, HereConnector)
            host.connector.trace = trace

        def run() -> None:
            read_group_data(state.inventory, (root, path.parent))
            _run_deploy_file(path, root)

        deploy = _prepare(order.name, state, run, log)
        return replace(deploy, trace=trace.text(order.name)) if trace else deploy
    except (Exception, SystemExit) as error:
        raise UnpreparedError(explain(error, root, log.complaints)) from error


def _prepare(name: str, state: State, code: Callable[[], object], log: LogCapture) -> PyinfraDeploy:
    forget_files()
    (host,) = state.inventory
    with _context(state, host):
        state.set_stage(StateStage.Connect)
        connect_all(state)
        state.set_stage(StateStage.Prepare)
        code()
        return PyinfraDeploy(name, state, host, _operations(state, host, log), log)


def forget_files() -> None:
    """Empty pyinfra's caches of hashes and templates by file name: the files may have changed since."""
    pyinfra.api.util.FILE_SHAS.clear()
    pyinfra.api.util.TEMPLATES.clear()


@contextmanager
def _context(state: State, host: Host) -> Iterator[None]:
    # Set and reset here: the managers' own use() does not restore after an exception.
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


def _run_deploy_file(path: Path, root: Path) -> None:
    run_source(path)
    if not ctx_host.get().op_hash_order and (functions := uncalled(path.read_bytes(), ran=True)):
        told = (
            f"{path.relative_to(root)} defines {', '.join(functions)} and calls nothing, so that nothing would be done"
        )
        raise DeployError(told, hint=CALL_IT)


def _operations(state: State, host: Host, log: LogCapture) -> tuple[Operation, ...]:
    found: list[Operation] = []
    counts: Counter[str] = Counter()
    for op_hash in list(host.op_hash_order):
        data = state.ops[host].get(op_hash)
        if data is None:
            continue  # an operation with _run_once that has run
        name = masked(", ".join(sorted(state.get_op_meta(op_hash).names)))  # pyinfra's names hold arguments
        counts[name] += 1
        key = f"op:{name}#{counts[name]}"
        call = call_of(data.command_generator)
        owns = owned(call)
        meta = data.operation_meta
        assert isinstance(meta, DryRunMeta)
        # Not by will_change, which in an interrupted deploy is true for every operation.
        meta.expected = bool(meta._maybe_is_change) and _condition_is_met(data)
        corrections, diff = _look(state, data, log) if meta.expected else ([], None)
        changes = tuple(correction.change for correction in corrections)
        if meta.expected and not changes:
            changes = (WantedChange(key, name, diff.text if diff else None, bool(diff and diff.private), owns),)
        found.append(Operation(op_hash, key, name, changes, bool(corrections) or call.operation == CORRECT, owns))
    return tuple(found)


def _condition_is_met(data: StateOperationHostData) -> bool:
    conditions = data.global_arguments.get("_if")
    asked: list[Callable[[], bool]] = (
        conditions if isinstance(conditions, list) else [conditions] if callable(conditions) else []
    )
    try:
        return all(condition() for condition in asked)
    except Exception:
        # It needs something that exists only after a run, such as an operation's output: then it may well be met.
        return True


def _look(state: State, data: StateOperationHostData, log: LogCapture) -> tuple[list[Correction], Diff | None]:
    """Run the operation's generator to its end, with diffs switched on; return its corrections and its diff (None:
    none).

    Raises the exception of a bulk operation. In any other the first command is known to be wanted, and later ones may
    fail only because the first has not run yet: then the exception is ignored.
    """
    corrections: list[Correction] = []
    log.clear()
    state.config.DIFF = True
    try:
        # Corrections before an exception stay in the list.
        commands = data.command_generator()
        corrections.extend(each.correction for each in commands if isinstance(each, CorrectionCommand))
    except UnicodeDecodeError:
        return corrections, log.binary_diff()
    except Exception:
        if corrections:
            raise
    finally:
        state.config.DIFF = False
    return corrections, log.diff()
