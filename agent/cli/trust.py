"""Commands about whom this host trusts, and by which key others know it."""

from __future__ import annotations

from agent.cli.host import APPLY_WAIT_S, require_root
from agent.cli.output import Output
from agent.domain.memory import TrustRecord
from agent.errors import UsageError
from agent.host.identity import Identity
from agent.host.lock import locked
from agent.host.paths import Paths
from agent.host.settings import read as read_settings
from agent.host.state import Memory


def show(output: Output) -> int:
    """Mode, anchors, and the commit that was trusted last."""
    require_root()
    paths = Paths()
    settings, record = read_settings(paths), Memory(paths).trust()
    anchors = _anchors(paths)
    output.show(f"trust     {settings.trust.value}")
    for line in anchors:
        output.show(f"anchor    {line}")
    signer = f", signed by {record.principal}" if record.principal else ""
    output.show(f"last      {record.last}{signer}" if record.last else "last      no commit has been trusted yet")
    output.envelope(
        "trust",
        0,
        {"mode": settings.trust.value, "anchors": anchors, "last": record.last, "principal": record.principal},
    )
    return 0


def reset(output: Output) -> int:
    """Forgets the last trusted commit: the next cycle meets the remote as if for the first time."""
    require_root()
    paths = Paths()
    settings = read_settings(paths)
    with locked(paths.lock, wait_s=APPLY_WAIT_S):
        memory = Memory(paths)
        forgotten = memory.trust().last
        if forgotten is None:
            raise UsageError("there is nothing to forget: no commit has been trusted yet")
        memory.keep_trust(TrustRecord())
    judged = "whatever it is" if settings.trust.value == "unsigned" else f"if {paths.trusted_signers} vouches for it"
    output.say(f"forgot {forgotten[:12]}: the next cycle takes the newest commit of {settings.branch}, {judged}")
    output.envelope("trust reset", 0, {"forgotten": forgotten})
    return 0


def identity(output: Output) -> int:
    """The line that goes into the config repo to admit this host."""
    require_root()
    settings = read_settings(Paths())
    line = Identity.load(Paths().identity, settings.host).public_line
    output.show(line)
    output.say(f"merge it as inventories/{settings.inventory}/identities/{settings.host}.pub to admit this host")
    output.envelope("identity", 0, {"host": settings.host, "ssh": line})
    return 0


def _anchors(paths: Paths) -> list[str]:
    if not paths.trusted_signers.is_file():
        return []
    lines = paths.trusted_signers.read_text(errors="replace").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]
