"""The result of an operation that deploy code asks for during a plan: the result that the plan expects."""

from __future__ import annotations

from typing import ClassVar

from pyinfra.api.host import Host
from pyinfra.api.operation import OperationMeta
from pyinfra.api.state import State, StateOperationHostData

from agent.errors import HostwrightError


class DryRunMeta(OperationMeta):
    """An operation's result, which before the operation runs is the expected one. pyinfra's own class has none then, so
    that in a dry run each ``_if=a.did_change`` would hold. In an interrupted deploy every operation counts as changed:
    operations that depend on it may not have run.
    """

    interrupted: ClassVar[bool] = False
    expected: bool | None = None

    def did_change(self) -> bool:
        if self.is_complete():
            return self.interrupted or super().did_change()
        if self.expected is None:
            return super().did_change()
        return self.interrupted or self.expected

    def did_succeed(self, _raise_if_not_complete: bool = True) -> bool:
        if self.expected is not None and not self.is_complete():
            return True
        return super().did_succeed(_raise_if_not_complete)

    def did_error(self) -> bool:
        if self.expected is not None and not self.is_complete():
            return False
        return super().did_error()

    @property
    def will_change(self) -> bool:
        return self.interrupted or super().will_change


class DryRunState(State):
    """A state that checks itself, when an operation is added, whether the operation would change something.

    pyinfra fails the whole deploy where this check fails. It may fail because the operation looks at something that
    an earlier operation is about to make. Then the operation counts as a change, and is looked at when it runs.
    """

    def should_check_for_changes(self) -> bool:
        return False

    def set_op_data_for_host(self, host: Host, op_hash: str, op_data: StateOperationHostData) -> None:
        meta = op_data.operation_meta
        try:
            meta._maybe_is_change = next(iter(op_data.command_generator()), None) is not None
        except (HostwrightError, SyntaxError):
            raise
        except Exception:
            if not any(earlier.operation_meta._maybe_is_change for earlier in self.ops[host].values()):
                raise
            meta._maybe_is_change = True
            self.failed_hosts.discard(host)
            self.active_hosts.add(host)
        super().set_op_data_for_host(host, op_hash, op_data)
