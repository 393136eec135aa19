"""The SourceError for a conversation with a remote that failed, made from git's messages, with a hint what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent.domain.text import printable
from agent.errors import Consequence, SourceError
from agent.problems import ProblemKind
from agent.system.git_command import Access
from agent.system.openssh import unusable
from agent.system.process import Completed
from agent.system.remote import Remote, without_password

_LINE_LIMIT: Final = 300
"""Characters of a line of git's messages that are passed on."""


class UnexplainedError(SourceError):
    """Git failed, and the repository here may be to blame."""


@dataclass(frozen=True, slots=True)
class _Cause:
    pattern: str
    kind: ProblemKind
    hint: str
    consequence: Consequence = Consequence.RETRY


_CAUSES: Final = (
    _Cause(
        r"remote host identification has changed|host key for .* has changed",
        ProblemKind.HOST_KEY_MISMATCH,
        "somebody may be listening in. Ask who runs the server for its new key's fingerprint; only when it is the "
        "one that ssh-keyscan shows (on the host, `hostwright doctor`), replace the line in known_hosts",
        Consequence.STALL,
    ),
    _Cause(
        r"host key verification failed|no \S+ host key is known|host key is revoked",
        ProblemKind.HOST_KEY_UNKNOWN,
        "compare the fingerprint that ssh-keyscan (on the host, `hostwright doctor`) shows with the server's own, then "
        "add the key to known_hosts",
        Consequence.STALL,
    ),
    _Cause(
        r"permission denied|authentication failed|could not read (username|password)|returned error: 40[13]\b"
        r"|too many authentication failures|access denied|unprotected private key",
        ProblemKind.AUTH_REFUSED,
        "give this host's deploy key (or the user in the URL) read access to the repository",
        Consequence.STALL,
    ),
    _Cause(
        r"ssl certificate|server certificate verification failed|certificate verify|\bSSL\b.*(fail|error)",
        ProblemKind.SOURCE_UNREACHABLE,
        "name the certificate authority of the server in the settings (`ca`), and check the host's clock",
    ),
    _Cause(
        r"out of memory|[mr]e?alloc failed|protocol error|bad line length|bad packet|invalid packet|bad band"
        r"|received HTTP/0\.9|is this a git repository|invalid server response|expected (flush|service|response-end)",
        ProblemKind.BAD_ANSWER,
        "is it the Git server that answers there, or a page of some network? the next cycle asks again",
    ),
    _Cause(
        r"returned error: 404|repository '.*' not found|does not (appear to be a git repository|exist)"
        r"|not a git repository|repository not found|project you were looking for",
        ProblemKind.SOURCE_UNREACHABLE,
        "check the address of the remote: there is no repository, or this host may not see it",
    ),
    _Cause(
        r"returned error: 3\d\d\b|redirect",
        ProblemKind.SOURCE_UNREACHABLE,
        "the server says that the repository is elsewhere, which is not followed; is it there for good, and the same? "
        "then write its new address into the settings (`remote`)",
        Consequence.STALL,
    ),
    _Cause(
        r"could not resolve (host|proxy)|name or service not known|temporary failure in name resolution",
        ProblemKind.SOURCE_UNREACHABLE,
        "check the host's name servers (/etc/resolv.conf) and the spelling of the remote",
    ),
    _Cause(
        r"timed out|timeout|operation too slow|not responding",
        ProblemKind.TIMEOUT,
        "check the network between this host and the Git server; the next cycle tries again",
    ),
    _Cause(
        r"connection (refused|reset|closed)|no route to host|network is unreachable|failed to connect"
        r"|couldn't connect|remote end hung up|early eof|returned error: 5\d\d|kex_exchange|empty reply|broken pipe",
        ProblemKind.SOURCE_UNREACHABLE,
        "check that the Git server is up and can be reached from this host; the next cycle tries again",
    ),
    _Cause(
        r"no space left on device|disk quota exceeded", ProblemKind.DISK_FULL, "make room below /var/lib/hostwright"
    ),
    _Cause(
        r"couldn't find remote ref",
        ProblemKind.BRANCH_MISSING,
        "push the branch, or name another one in the settings (`branch`)",
    ),
    _Cause(
        r"fsck error|error: object [0-9a-f]+: |badTree|hasDot",
        ProblemKind.BAD_OBJECTS,
        "the repository holds malformed or dangerous objects; `git fsck --strict` in a clone names them",
        Consequence.STALL,
    ),
    _Cause(
        r"index-pack failed|unpack-objects failed|pack is corrupted|pack has bad object|inflate",
        ProblemKind.TRANSFER_DAMAGED,
        "the next cycle tries again; if it stays so, run `git fsck` in that repository on the server",
    ),
)


def failure(done: Completed, remote: Remote | str, access: Access | None = None) -> SourceError:
    """The error for ``done``, a failed conversation with ``remote``: UnexplainedError unless the remote, the network or
    the disk is surely to blame. ``access``: the way that git took to the remote, if it took one."""
    if done.timed_out:
        within = f"within {access.timeout_s} s" if access is not None else "in time"
        return SourceError(
            f"{remote} did not finish answering {within}",
            kind=ProblemKind.TIMEOUT,
            hint="check the network between this host and the Git server; the next cycle tries again",
        )
    lines = _lines(done)
    for cause in _CAUSES:
        line = next((line for line in lines if re.search(cause.pattern, line, re.IGNORECASE)), None)
        if line is not None:
            key = access.deploy_key if access is not None else None
            if cause.kind is ProblemKind.AUTH_REFUSED and key is not None and (wrong := unusable(key)) is not None:
                message = f"{remote}: the key {key} {wrong.why}"
                return SourceError(
                    message, kind=ProblemKind.KEY_UNUSABLE, hint=wrong.remedy, consequence=Consequence.STALL
                )
            error = UnexplainedError if cause.kind is ProblemKind.TRANSFER_DAMAGED else SourceError
            return error(f"{remote}: {line}", kind=cause.kind, hint=cause.hint, consequence=cause.consequence)
    fatal = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "")
    return UnexplainedError(
        f"{remote}: {fatal or done.complaint}",
        hint="run `git ls-remote` against it by hand as root; the next cycle tries again",
    )


def _lines(done: Completed) -> Sequence[str]:
    text = without_password(done.error.decode(errors="replace"))
    return [printable(line.strip("@ \t"), _LINE_LIMIT) for line in text.splitlines() if line.strip("@ \t")]
