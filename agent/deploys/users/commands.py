"""The programs that change accounts and groups: useradd(8), usermod(8), groupadd(8), gpasswd(1), …"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.deploys.telling import reason
from agent.errors import DeployError
from agent.system.process import run

TIMEOUT_S = 300.0
"""For one program. usermod walks a whole home when a uid changes or a home moves."""


@dataclass(frozen=True, slots=True)
class ShadowCommand:
    """One program to run. ``input`` goes to its stdin: what nobody may see in ps."""

    argv: tuple[str, ...]
    input: bytes | None = field(default=None, repr=False)

    def run(self) -> None:
        """Run the program. Raises DeployError with the reason that it gave, or where it is not on this host."""
        try:
            done = run(self.argv, timeout_s=TIMEOUT_S, input=self.input)
        except FileNotFoundError:
            raise DeployError(
                f"{self.argv[0]} is not on this host", hint="install the package shadow or passwd"
            ) from None
        if not done.ok:
            said = f"not done after {TIMEOUT_S:.0f} s" if done.timed_out else reason(done)
            raise DeployError(f"{self.argv[0]}: {said}")


def lock(name: str) -> ShadowCommand:
    """The command that keeps everybody out of an account. A locked password alone keeps no key out, so the account
    expires as well (usermod(8), --lock)."""
    return ShadowCommand(("usermod", "--lock", "--expiredate=1", "--", name))


def leave_group(name: str, group: str) -> ShadowCommand:
    return ShadowCommand(("gpasswd", f"--delete={name}", "--", group))


def set_password(name: str, value: str) -> ShadowCommand:
    """The command that sets an account's password. ``value``: a hash of crypt(5), with a ``!`` in front where it is to
    be locked."""
    return ShadowCommand(("chpasswd", "--encrypted"), f"{name}:{value}\n".encode(errors="surrogateescape"))
