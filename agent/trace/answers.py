"""Answers to questions about this host, and the check that each question still has the same answer.

A trace is text: a line for each question with ``kind``, ``subject`` and answer, with tabs between. The daemon reads it,
so this module loads next to nothing: kinds are the bare words of ``QuestionKind``.

An answer that holds times is only good if no later change can get the same time. File systems use the time of the
kernel's last tick, the grain of their clock. So the agent asks about a path that changed within that grain again a
moment later (Git calls such a path racy).
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from operator import attrgetter

from agent.system import systemd
from agent.system.process import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.domain.question import Question

GRAIN_NS = 20_000_000
"""The grain in nanoseconds: two ticks, and a tick takes 10 ms at most (CONFIG_HZ=100)."""

COARSE_GRAIN_NS = 2_000_000_000
"""The grain of file systems that keep whole seconds, or only even ones (ext3, FAT)."""

VALUE_LIMIT = 64 * 1024
"""The most bytes of a value that are read."""

ASK_TIMEOUT_S = 20.0
"""Seconds that systemd has to answer all questions about units, and again to name those that failed."""

lstat_fields: Callable[[os.stat_result], tuple[int, ...]] = attrgetter(
    "st_ctime_ns", "st_mtime_ns", "st_dev", "st_ino", "st_mode", "st_uid", "st_gid", "st_size"
)
"""The fields that the answer about a path holds, and that a glance compares: it may not compare fewer."""

_TRIES = 5
_GIVING = ("system.posix_acl_access", "system.posix_acl_default", "security.capability")
"""Extended attributes that give rights (``system.attributes``). Of a folder they are part of the answer, because a plan
compares them."""
_NOTHING, _UNTOLD = b"-", b"?"
_ESCAPES = ((b"\\", b"\\\\"), (b"\t", b"\\t"), (b"\n", b"\\n"))

_SYSTEMD = "/run/systemd/system"
"""A folder that exists while systemd runs: sd_booted(3)."""
_SHOW = (
    "systemctl",
    "show",
    "--property=Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,FragmentPath,SourcePath,BusName"
    ",InactiveExitTimestampMonotonic,WantedBy,RequiredBy,UpheldBy,TriggeredBy",
    "--",
)
_SHOWN_MOST = 16 * 1024 * 1024
"""The most bytes that ``_SHOW`` may print: a unit takes some hundred."""


def trace(questions: Iterable[Question]) -> str:
    """Ask each question once; return the lines, with a character for each byte. Waits until no answer is younger than
    the grain of the clock: 20 ms where something has just changed (2 s on file systems with whole seconds). Raises
    UnsteadyError where something changes all the time or systemd does not name failed units, UnsignedError where it
    does not answer about a unit."""
    return _text(_asked(_line(question.kind, question.subject) for question in questions))


def renewed(trace: str) -> tuple[str, list[bytes]] | None:
    """Ask each question of a trace again, as ``trace`` does. Return the new trace, and the questions whose answer
    differs; None where the trace is empty or its look rested on more than questions. Raises as ``trace``."""
    lines = trace.encode("latin-1").split(b"\n")[:-1]
    before = {line[: (end := line.rindex(b"\t") + 1)]: line[end:] for line in lines}
    if not before or any(question.startswith((b"unsigned\t", b"unsteady\t")) for question in before):
        return None
    now = _asked(before)
    return _text(now), [question for question, answer in before.items() if answer != now[question]]


def _text(answers: Mapping[bytes, bytes]) -> str:
    return b"".join(b"%s%s\n" % line for line in answers.items()).decode("latin-1")


def _asked(questions: Iterable[bytes]) -> dict[bytes, bytes]:
    asked, at_ns = list(dict.fromkeys(questions)), time.time_ns()
    answers = dict(zip(asked, ask(asked), strict=True))
    if _UNTOLD in answers.values():
        untold = next(question for question, answer in answers.items() if answer == _UNTOLD)
        if untold == _FAILED_UNITS:
            from agent.domain.question import UnsteadyError

            raise UnsteadyError("systemd does not say which units have failed")
        from agent.domain.question import UnsignedError

        raise UnsignedError(f"systemd does not tell of {subject_of(untold)}")
    for _ in range(_TRIES):
        young = _young(answers, at_ns)
        if not young:
            return answers
        time.sleep(max(_grain(_ctime_ns(answers[question])) for question in young) / 1e9)
        at_ns = time.time_ns()
        answers |= zip(young, ask(young), strict=True)
    from agent.domain.question import UnsteadyError  # the daemon only asks again

    raise UnsteadyError(f"{subject_of(young[0])} changes all the time")


def unsigned(why: str) -> str:
    """Return the line of a look that no questions cover, for the reason ``why``. ``differing`` never yields it: only
    another look can find a difference."""
    return _line("unsigned", why).decode("latin-1") + "\n"


def unsteady(why: str) -> str:
    """Return the line of a look that has to be repeated soon, for the reason ``why``. ``differing`` always yields
    it."""
    return _line("unsteady", why).decode("latin-1") + "\n"


def differing(lines: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Ask each question of a trace again; yield each line whose answer has changed, with the new answer."""
    together: list[bytes] = []
    for line in lines:
        kind, subject, before = line.rstrip(b"\n").split(b"\t")
        if kind in _TOGETHER:
            together.append(line)
            continue
        if kind == b"unsigned":
            continue
        if kind == b"unsteady":
            yield line, b""
            continue
        now = _ALONE[kind](unescaped(subject))
        if now != before:
            yield line, now
    questions = [line[: line.rindex(b"\t") + 1] for line in together]
    for line, question, now in zip(together, questions, ask(questions), strict=True):
        if line.rstrip(b"\n") != question + now:
            yield line, now


def subject_of(line: bytes) -> str:
    """Return the subject of a line."""
    return unescaped(line.split(b"\t")[1]).decode(errors="replace")


def ask(questions: Iterable[bytes]) -> list[bytes]:
    """Return an answer for each question. A question is a line without its answer."""
    questions = list(questions)
    about_units = _answers_about_units([question for question in questions if question.startswith(_ABOUT_UNITS)])
    return [about_units[question] if question in about_units else _answer(question) for question in questions]


def _answer(question: bytes) -> bytes:
    kind, subject, _ = question.split(b"\t")
    return _ALONE[kind](unescaped(subject))


def _answers_about_units(questions: Collection[bytes]) -> Mapping[bytes, bytes]:
    names = {question: unescaped(question.split(b"\t")[1]) for question in questions if question != _FAILED_UNITS}
    by_name = _units([*names.values()], time.monotonic() + ASK_TIMEOUT_S) if names else {}
    answers = {question: by_name[name] for question, name in names.items()}
    return answers | {_FAILED_UNITS: _failed_units()} if _FAILED_UNITS in questions else answers


def _path(path: bytes) -> bytes:
    try:
        found = os.lstat(path)
        target = _target(path) if stat.S_ISLNK(found.st_mode) else b""
    except OSError as error:
        return _absence(error)
    return b"%d %d %d %d %o %d %d %d " % lstat_fields(found) + target


def _folder(path: bytes) -> bytes:
    try:
        found = os.lstat(path)
        more = _target(path) if stat.S_ISLNK(found.st_mode) else _given(path)
    except OSError as error:
        return _absence(error)
    return b"%d %d %o %d %d %s" % (found.st_dev, found.st_ino, found.st_mode, found.st_uid, found.st_gid, more)


def _target(path: bytes) -> bytes:
    return _escaped(os.readlink(path))  # noqa: PTH115 - a Path takes no bytes


def _given(path: bytes) -> bytes:
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return b" ".join(
            os.getxattr(path, name, follow_symlinks=False).hex().encode() for name in _GIVING if name in names
        )
    except OSError:
        return b""  # a file system without them


def _value(path: bytes) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        return _absence(error)
    try:
        return b"=" + _escaped(os.read(descriptor, VALUE_LIMIT))
    except OSError as error:
        return _absence(error)
    finally:
        os.close(descriptor)


def _past(moment: bytes) -> bytes:
    return b"yes" if time.time() >= int(moment) else b"no"


def _units(names: list[bytes], until: float) -> Mapping[bytes, bytes]:
    """Return the answers by names of units. The answer is ``?`` where systemd has none for this one unit, such as for a
    template or a pattern, or none by ``until`` (monotonic clock)."""
    if not os.path.isdir(_SYSTEMD):  # noqa: PTH112 - the daemon has no pathlib
        return dict.fromkeys(names, _NOTHING)
    left = until - time.monotonic()
    if left <= 0:
        return dict.fromkeys(names, _UNTOLD)
    try:
        shown = run([*_SHOW, *map(os.fsdecode, names)], timeout_s=left, output_limit=_SHOWN_MOST)
    except OSError:
        return dict.fromkeys(names, _UNTOLD)
    blocks = shown.output.strip(b"\n").split(b"\n\n") if shown.ok and shown.output else []
    if len(blocks) == len(names):
        return {name: _escaped(block) for name, block in zip(names, blocks, strict=True)}
    if len(names) == 1:
        return {names[0]: _UNTOLD}
    half = len(names) // 2  # at least one name has no answer of its own: find it by halves
    return {**_units(names[:half], until), **_units(names[half:], until)}


def _failed_units() -> bytes:
    """Return the names of failed units; ``?`` where systemd does not answer."""
    if not os.path.isdir(_SYSTEMD):  # noqa: PTH112
        return b""
    names = systemd.all_failed_units(ASK_TIMEOUT_S)
    return _UNTOLD if names is None else " ".join(names).encode()


_ALONE: Mapping[bytes, Callable[[bytes], bytes]] = {
    b"path": _path,
    b"folder": _folder,
    b"value": _value,
    b"past": _past,
}
_TOGETHER = (b"unit", b"failed-units")
_ABOUT_UNITS = tuple(kind + b"\t" for kind in _TOGETHER)
_FAILED_UNITS = b"failed-units\t\t"


def _absence(error: OSError) -> bytes:
    """Return the answer of a path that cannot be read: ``-`` if nothing is there, else ``!`` and the errno."""
    return _NOTHING if isinstance(error, (FileNotFoundError, NotADirectoryError)) else b"!%d" % (error.errno or 0)


def _young(answers: Mapping[bytes, bytes], at_ns: int) -> list[bytes]:
    """Return the questions about paths whose answers are younger than the grain of the clock."""
    old = b"%d " % (at_ns - COARSE_GRAIN_NS)
    # A comparison of bytes first: it is in order for times with equally many digits, and most of thousands are old.
    perhaps = (each for each in answers.items() if each[1] > old or each[1][len(old) - 1 : len(old)] != b" ")
    return [
        question
        for question, answer in perhaps
        if question.startswith(b"path\t") and answer[:1] not in (b"-", b"!") and is_young(_ctime_ns(answer), at_ns)
    ]


def is_young(ctime_ns: int, at_ns: int) -> bool:
    """Return True if a later change may leave a path with the same ctime. lstat returned it at ``at_ns`` or later.

    A ctime in the future is young, too: the clock was set back since, and will reach that time again."""
    return ctime_ns > at_ns - _grain(ctime_ns)


def _ctime_ns(answer: bytes) -> int:
    return int(answer.split(b" ", 1)[0])


def _grain(ctime_ns: int) -> int:
    return GRAIN_NS if ctime_ns % 1_000_000_000 else COARSE_GRAIN_NS


def _line(kind: str, subject: str) -> bytes:
    return b"%s\t%s\t" % (kind.encode(), _escaped(subject.encode(errors="surrogateescape")))


def _escaped(text: bytes) -> bytes:
    for plain, escape in _ESCAPES:
        if plain in text:
            text = text.replace(plain, escape)
    return text


def unescaped(text: bytes) -> bytes:
    """Return the subject or answer that a line holds, escaped, as ``text``."""
    if b"\\" not in text:
        return text
    parts = text.split(b"\\\\")
    for plain, escape in _ESCAPES[1:]:
        parts = [part.replace(escape, plain) for part in parts]
    return b"\\".join(parts)
