"""The questions to ssh-keygen: who signed a commit or tag, whether ssh can use a private key, and which lines of
known_hosts are about a server.

``git verify-commit`` does not do: it judges a key at the date that the commit claims, so a key that expired last year
could still sign commits with an older date. Here the caller names the time. Dates in allowed_signers without a ``Z``
are read as UTC, so that all hosts of a fleet come to the same verdict.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.domain.commit import Signer
from agent.domain.text import printable
from agent.errors import Consequence, SourceError, TrustError
from agent.problems import ProblemKind
from agent.system.files import read_bounded
from agent.system.process import Completed, run
from agent.system.remote import SSH_PORT, Remote

TIMEOUT_S: Final = 20
"""Seconds for one run of ssh-keygen, which takes 7 ms."""
PRINCIPALS_LIMIT: Final = 16
"""Names of one key that are tried at most."""
NAMESPACE: Final = "git"
KEY_LIMIT: Final = 1024 * 1024
"""Bytes of a file with a private key."""
_INSTALL: Final = "install the OpenSSH client (`openssh-client`, `openssh-clients`)"
_PUBLIC: Final = re.compile(rb"\s*(sk-)?(ssh|ecdsa)-[a-z0-9@.-]+ ")
_PASSPHRASE: Final = b"incorrect passphrase"
_SSH: Final = b"-----BEGIN SSH SIGNATURE-----"
_SSH_END: Final = b"-----END SSH SIGNATURE-----"
_BEGINS: Final = re.compile(rb"^-----BEGIN (SSH SIGNATURE|PGP SIGNATURE|PGP MESSAGE|SIGNED MESSAGE)-----", re.MULTILINE)
_GOOD: Final = re.compile(r'Good "git" signature for .* with \S+ key (SHA256:[A-Za-z0-9+/]{43})\s*$')
_SOUND: Final = re.compile(r"key (SHA256:[A-Za-z0-9+/]{43})\s*$")
_REASONS: Final = (
    (b"key has expired", ProblemKind.EXPIRED_KEY, "is signed by {key}, which has expired"),
    (b"key is not yet valid", ProblemKind.EXPIRED_KEY, "is signed by {key}, which is not valid yet"),
    (
        b"not permitted for use in signature namespace",
        ProblemKind.WRONG_SIGNER,
        "is signed by {key}, which may not sign for git",
    ),
)
"""Errors of ssh-keygen about a key that it found, with the problem's kind and the words for it."""


class RefusedSignatureError(Exception):
    """No trusted signer vouches for a commit or tag. ``kind``: ``unsigned``, ``pgp-signature``, ``wrong-signer``,
    ``expired-key`` or ``bad-signature``. The text ends a sentence that begins with the commit or tag."""

    def __init__(self, kind: ProblemKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class SignedText:
    """The text that a commit's or tag's signature covers, and the armoured signature, if there is one."""

    payload: bytes
    signature: bytes | None


def split(raw: bytes) -> SignedText:
    """The parts of ``raw``, a commit as git stores it: the text without the signature, and the signature in its
    ``gpgsig`` header (gitformat-signature). A signature for the other object format (``gpgsig-sha256``) is in neither.
    Raises RefusedSignatureError for two signatures, and for one in another place than git puts it."""
    payload: list[bytes] = []
    signature: list[bytes] = []
    head, blank, message = raw.partition(b"\n\n")
    name, found, misplaced = b"", 0, False
    for line in head.split(b"\n"):
        if not line.startswith(b" "):
            name, _, value = line.partition(b" ")
            found += name == b"gpgsig"
        else:
            value = line[1:]
        if name == b"gpgsig":
            misplaced |= not any(header.startswith(b"committer ") for header in payload)
            signature.append(value + b"\n")
        elif name != b"gpgsig-sha256":
            payload.append(line + b"\n")
    if found > 1 or misplaced:  # git reads parents up to the first other header, so it could miss some that were signed
        raise RefusedSignatureError(
            ProblemKind.BAD_SIGNATURE, "carries its signature in a place where git does not put it"
        )
    return SignedText(b"".join(payload) + blank[1:] + message, b"".join(signature) or None)


def split_tag(raw: bytes) -> SignedText:
    """The parts of ``raw``, a tag as git stores it: the text, and the signature, which begins at the last line that can
    begin one. Raises RefusedSignatureError if text follows an SSH signature."""
    begins = [found.start() for found in _BEGINS.finditer(raw)]
    if not begins:
        return SignedText(raw, None)
    signature = raw[begins[-1] :]
    if signature.startswith(_SSH) and not signature.rstrip(b"\n").endswith(_SSH_END):
        raise RefusedSignatureError(ProblemKind.BAD_SIGNATURE, "carries something behind its signature")
    return SignedText(raw[: begins[-1]], signature)


def signer_of(text: SignedText, allowed_signers: bytes, *, now: int) -> Signer:
    """The signer of ``text``, whom ``allowed_signers`` (ssh-keygen(1)) lets sign for git at ``now`` (seconds since the
    epoch). Raises RefusedSignatureError; TrustError if ssh-keygen is missing or does not end."""
    if text.signature is None:
        raise RefusedSignatureError(ProblemKind.UNSIGNED, "is not signed")
    if not text.signature.startswith(_SSH):
        raise RefusedSignatureError(
            ProblemKind.PGP_SIGNATURE, "is signed with PGP or X.509; only SSH signatures can be judged"
        )
    with tempfile.TemporaryDirectory(prefix="hostwright-verify-") as folder:  # mode 0700
        allowed, signature = Path(folder, "allowed_signers"), Path(folder, "signature")
        allowed.write_bytes(allowed_signers)
        signature.write_bytes(text.signature)
        files = ("-s", f"{signature}", f"-Overify-time={time.strftime('%Y%m%d%H%M%S', time.gmtime(now))}")
        known = _keygen("find-principals", "-f", f"{allowed}", *files)
        judged = known
        for principal in known.output.decode(errors="replace").splitlines()[:PRINCIPALS_LIMIT] if known.ok else ():
            judged = _keygen(
                *("verify", "-n", NAMESPACE, "-I", principal, "-f", f"{allowed}", *files), message=text.payload
            )
            good = _GOOD.search(judged.output.decode(errors="replace")) if judged.ok else None
            if good is not None:
                return Signer(printable(principal), good[1])
        sound = _keygen("check-novalidate", "-n", NAMESPACE, "-s", f"{signature}", message=text.payload)
    raise _refusal(judged, sound)


def allowed_signers(parts: Iterable[bytes]) -> bytes:
    """Several allowed_signers files as one."""
    return b"".join(part.rstrip(b"\n") + b"\n" for part in parts)


def names_a_signer(text: bytes) -> bool:
    """True if an allowed_signers file has any line that is neither empty nor a comment."""
    return any(line.strip() and not line.lstrip().startswith(b"#") for line in text.splitlines())


@dataclass(frozen=True, slots=True)
class UnusableKey:
    """A key that ssh cannot use. ``why``: words that follow the path of the key. ``remedy``: what to do."""

    why: str
    remedy: str


def unusable(key: Path) -> UnusableKey | None:
    """The reason why ssh cannot load the private key without asking anybody; None if it can, or if nobody can tell. ssh
    itself rarely names it."""
    try:
        done = _public_key(key)
        content = read_bounded(key, KEY_LIMIT)
    except OSError:
        return None
    if done.ok:
        return None
    said = done.error.splitlines()[-1].rpartition(b": ")[2].decode(errors="replace") if done.error else ""
    causes = (
        (_PASSPHRASE in done.error, "has a passphrase, which nobody can type", f"take it off: ssh-keygen -p -f {key}"),
        (_PUBLIC.match(content), "is the public half of a key", "put the file there whose name does not end in .pub"),
        (not content.strip(), "is empty", "put the private key there again"),
        (b"\r" in content, "has the line ends of Windows", f"sed -i 's/\\r$//' {key}"),
        (not content.endswith(b"\n"), "lacks the end of its last line", f"echo >> {key}"),
        (True, f"cannot be loaded by ssh ({printable(said, 100)})", "copy the whole file there again"),
    )
    return next(UnusableKey(why, remedy) for applies, why, remedy in causes if applies)


def public_half(key: Path) -> bytes:
    """The public key of a usable private key, in base64, without its type and comment."""
    return _public_key(key).output.split()[1]


def server_name(remote: Remote) -> str:
    """The name of the server of an ssh remote in known_hosts."""
    host = remote.host.lower()
    return host if remote.port in (None, SSH_PORT) else f"[{host}]:{remote.port}"


def lines_about(remote: Remote, known_hosts: Path) -> tuple[str, ...]:
    """The lines of a known_hosts file (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT") for the server of an ssh remote, also
    under hashed names and patterns; none if there is no file. Raises SourceError if ssh-keygen is missing."""
    asked = ["ssh-keygen", "-F", server_name(remote), "-f", f"{known_hosts}"]
    try:
        done = run(asked, timeout_s=TIMEOUT_S)
    except FileNotFoundError as error:
        raise SourceError(
            f"{remote}: there is no ssh-keygen to look into {known_hosts}",
            kind=ProblemKind.SSH_KEYGEN_MISSING,
            hint=_INSTALL,
        ) from error
    return tuple(line for line in done.output.decode(errors="replace").splitlines() if line and line[0] != "#")


def _refusal(judged: Completed, sound: Completed) -> RefusedSignatureError:
    key = _SOUND.search(sound.output.decode(errors="replace"))
    if not sound.ok or key is None:
        return RefusedSignatureError(ProblemKind.BAD_SIGNATURE, "carries a signature that was not made for it")
    shown = f"the key {key[1]}"
    for complaint, kind, reason in _REASONS:
        if complaint in judged.error:
            return RefusedSignatureError(kind, reason.format(key=shown))
    return RefusedSignatureError(
        ProblemKind.WRONG_SIGNER, f"is signed by {shown}, which is not among the trusted signers"
    )


def _keygen(*arguments: str, message: bytes | None = None) -> Completed:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = run(["ssh-keygen", "-Y", *arguments], timeout_s=TIMEOUT_S, input=message, env=environment)
    except FileNotFoundError as error:
        raise TrustError(
            "signatures cannot be checked: there is no ssh-keygen",
            kind=ProblemKind.SSH_KEYGEN_MISSING,
            hint=_INSTALL,
        ) from error
    if done.timed_out:
        raise TrustError(
            f"ssh-keygen did not end within {TIMEOUT_S} s",
            kind=ProblemKind.SSH_KEYGEN_FAILED,
            consequence=Consequence.RETRY,
        )
    return done


def _public_key(key: Path) -> Completed:
    return run(["ssh-keygen", "-y", "-P", "", "-f", f"{key}"], timeout_s=TIMEOUT_S)
