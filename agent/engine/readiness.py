"""Finds out whether the child of a plan has confined itself: wholly, or not at all and why."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from agent.engine.child import Child, ChildEndedError, TimedOutError
from agent.engine.preloaded import Preloaded
from agent.engine.protocol import ProtocolError, Ready, decode
from agent.errors import DeployError
from agent.problems import ProblemKind
from agent.system.files import make_private_folder


def await_confined(child: Child, timeout_s: float) -> tuple[Child | None, str]:
    """``child``, which was told to confine itself, once it has; or none, and what this host lacks.

    Its word for it is good: it has seen nothing of the config repo yet. Raises DeployError (kind ``engine``) for a
    child that says what nobody understands.
    """
    confined = False
    try:
        reason = _first_word(child, time.monotonic() + timeout_s)
        confined = not reason
    finally:
        if not confined:
            child.kill()
            child.close()
    return (child, "") if confined else (None, reason)


def why_unconfined(work: Path, timeout_s: float) -> str:
    """Find out what this host lacks for plans that can only look; empty for nothing. Scratch files go to ``work``."""
    make_private_folder(work)
    with tempfile.TemporaryDirectory(prefix="engine-", dir=work) as scratch:
        started = Preloaded().child(scratch, pyinfra=False, timeout_s=timeout_s)
        child, reason = await_confined(started, timeout_s)
        if child is not None:
            child.kill()
            child.close()
    return reason


def unreadable(error: Exception, about: str = "") -> DeployError:
    """The error for a child that sent what cannot be read, ``about`` a deploy."""
    return DeployError(
        f"{f'{about}: ' if about else ''}the engine sent what cannot be read: {error}",
        kind=ProblemKind.ENGINE,
        hint="this is a fault of the agent: report it with what `journalctl -u hostwright-cycle` says",
    )


def _first_word(child: Child, deadline: float) -> str:
    """The reason why it is not confined; empty when it is."""
    try:
        message = decode(child.receive(deadline))
        if not isinstance(message, Ready):
            raise ProtocolError(f"{message.type} where ready was expected")
    except ChildEndedError as end:
        return end.reason
    except TimedOutError:
        return "it took too long"
    except (ProtocolError, OverflowError) as error:
        raise unreadable(error) from error
    return message.unconfined
