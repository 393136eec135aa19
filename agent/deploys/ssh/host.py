"""The host's side of ssh: one correction for each file that is not as it should be.

That of sshd's settings asks sshd itself before it writes them, and has it read them. A configuration that sshd refuses
locks everybody out at its next start, so the agent never puts one in place.
"""

from __future__ import annotations

import grp
import pwd
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from agent.deploys import questions as about
from agent.deploys import systemctl
from agent.deploys.correction import Correction, refusal
from agent.deploys.items import Item, items_from_json
from agent.deploys.ssh.reading import DROP_IN, MAIN, UNITS, Configuration
from agent.deploys.tree import item_corrections, put_item
from agent.deploys.unit_state import LoadedUnit
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.domain.question import Question
from agent.errors import Consequence, DeployError
from agent.problems import ProblemKind
from agent.system.files import read_bounded
from agent.system.process import run
from agent.system.systemd import booted, is_active


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One correction for each resource that is not as it should be. Settings that cannot come into force, for instance
    on a host without sshd or systemd, are refused."""
    items = items_from_json(arguments["items"])
    found = item_corrections(items, root)
    drop_in = next((item for item in items if item.path == DROP_IN), None)
    if drop_in is None:
        return found
    plain = next((correction for correction in found if correction.change.resource == drop_in.key), None)
    try:
        settings = _settings(drop_in, plain, cast("list[str]", arguments["keywords"]))
    except DeployError as error:
        settings = refusal(drop_in.key, error)
    return [*(correction for correction in found if correction is not plain), *filter(None, [settings])]


def questions(arguments: Mapping[str, JSON]) -> Iterator[Question]:
    """The questions that ``corrections`` rests on. Raises DeployError where there is no sshd, its settings cannot be
    read, or systemctl fails."""
    items = items_from_json(arguments["items"])
    yield from about.of_items(items)
    drop_in = next((item for item in items if item.path == DROP_IN), None)
    if drop_in is None:
        return
    yield from about.through(daemon())
    yield from systemctl.questions(UNITS)
    yield from about.below(DROP_IN)
    for place in Configuration(drop_in.text or "").places():
        yield from about.through(place)


def _settings(drop_in: Item, plain: Correction | None, keywords: list[str]) -> Correction | None:
    """The correction of the drop-in; None where it is in place and in force. ``plain``: the correction of its file
    alone, None where the file is right. Raises DeployError where the settings cannot come into force."""
    daemon()
    if not booted():
        raise DeployError(
            "systemd does not run this host, so sshd cannot be told of new settings",
            hint="leave settings out for this host",
            consequence=Consequence.STALL,
        )
    unit, verb, outdated = _sshd()
    if plain is not None:
        words = [plain.change.operation, *([f"{verb} {unit}"] if unit else [])]
        change = replace(plain.change, operation=", ".join(words))
        return Correction(change, put_settings, drop_in, keywords, unit, verb)
    if why := Configuration(drop_in.text or "").obstacle(keywords):
        raise not_in_force(why)
    if unit and outdated:
        return Correction(WantedChange(drop_in.key, f"{verb} {unit}"), tell, unit, verb)
    return None


def _sshd() -> tuple[str | None, str, bool]:
    """The unit by which sshd runs, or failed to run; the verb by which it reads its settings; and True where it has not
    read our drop-in since that changed. The unit is None where sshd was stopped: it stays so."""
    found = systemctl.query(UNITS)
    unit = next((unit for unit in UNITS if found[unit].running), None)
    verb = RELOAD
    if unit is None:
        unit = next((unit for unit in UNITS if _failed(found[unit])), None)
        verb = START
    if unit is None:
        return None, verb, False
    return unit, verb, systemctl.behind(unit, found[unit], reload_on=[DROP_IN]) is not None


def _failed(unit: LoadedUnit) -> bool:
    return unit.load == "loaded" and (unit.active == "failed" or unit.restarting)


TIMEOUT_S = 20.0
"""For one run of sshd or ssh-keygen, which take about 10 ms."""

RELOAD, START = "reload", "start"
"""The verbs by which sshd reads its settings: for a unit that runs, and for one that failed."""

_SETTLED_S = 5.0
_POLL_S = 0.1
_PID_FILE = Path("/run/sshd.pid")
"""sshd removes it at a reload, and writes it once it listens. Where sshd has another PidFile, the agent watches for all
of ``_SETTLED_S`` that sshd does not end."""

_COMPLAINTS = 5
"""Lines of sshd's complaints that are repeated."""

_SEPARATION = Path("/run/sshd")
"""The folder that Debian's sshd needs even for a test. Its unit makes it, and removes it when it stops."""

_WAYS_IN = tuple(
    f"{way}authentication" for way in ("password", "pubkey", "kbdinteractive", "gssapi", "hostbased", "kerberos")
)
_SUPERSET = frozenset({"acceptenv", "denyusers", "denygroups", "hostkey", "subsystem"})
"""Settings of which sshd may have more values than the deploy's."""
_DEPENDENT = frozenset({"listenaddress"})
"""Settings that are not compared: sshd prints the address together with the port, which may stand in another file."""

Effective = Mapping[str, frozenset[str]]
"""The values of each keyword (in lower case), as ``sshd -T`` writes them."""


def daemon() -> str:
    """The path of sshd. Raises DeployError where there is none."""
    found = shutil.which("sshd", path="/usr/local/sbin:/usr/sbin:/sbin:/usr/bin")
    if found is None:
        raise DeployError(
            "there is no sshd on this host to have settings",
            hint="install it in a deploy before this one (`packages: {present: [openssh-server]}`)",
        )
    return found


def put_settings(item: Item, keywords: Sequence[str], unit: str | None, verb: str) -> None:
    """Write the drop-in, if sshd agrees, and make ``unit`` (None: sshd was stopped) read it by ``verb``. Raises
    DeployError; the drop-in is then as it was before, and a unit that ran and ended is started again with that."""
    require_sound(item.text or "", keywords)
    before = _as_it_is(item)
    _put(item)
    if unit is None:
        return
    try:
        tell(unit, verb)
    except DeployError as error:
        _put(before)
        hint = "correct the settings; what was there before is there again"
        if verb == RELOAD and not is_active(unit):
            try:
                systemctl.start(unit, "restart")
            except DeployError:
                hint += f", but {unit} does not start with it either: see `systemctl status {unit}`"
        raise DeployError(error.message, hint=hint, kind=error.kind) from error


def tell(unit: str, verb: str) -> None:
    """Make ``unit`` read its settings by ``verb``, and watch that it keeps running: ``sshd -T`` does not notice an
    address that this host does not have, or a port that is taken. Raises DeployError with sshd's own words in one line.
    """
    begun = time.time()
    end = time.monotonic() + _SETTLED_S
    try:
        if verb == RELOAD:
            systemctl.reload(unit)
        else:
            systemctl.start(unit, verb)
        while is_active(unit):
            if _listens_since(begun) or time.monotonic() > end:
                return
            time.sleep(_POLL_S)
        why = "it ended"
    except DeployError as error:
        why = "; ".join(error.message.splitlines())
    errors = "; ".join(systemctl.last_words(unit, begun, lines=_COMPLAINTS, priority="err"))
    raise DeployError(f"{unit} does not run with these settings: {errors or why}", kind=ProblemKind.SSHD_ENDED)


def _put(item: Item) -> None:
    put_item(item, (item.text or "").encode())


def _listens_since(begun: float) -> bool:
    with suppress(OSError):
        return _PID_FILE.stat().st_mtime >= begun
    return False


def _as_it_is(item: Item) -> Item:
    """An item that puts back what is at the path of ``item`` now. Anything but a text file counts as nothing."""
    try:
        text, status = read_bounded(item.path).decode(), Path(item.path).lstat()
    except (OSError, UnicodeDecodeError):
        return replace(item, absent=True, text=None, mode=None)
    return replace(
        item, text=text, mode=stat.S_IMODE(status.st_mode), owner=f"{status.st_uid}", group=f"{status.st_gid}"
    )


def require_sound(text: str, keywords: Sequence[str]) -> None:
    """Raise DeployError if sshd, with ``text`` as our drop-in, would not start, would not follow one of ``keywords``
    (settings of ``text``, in lower case), or would let nobody in."""
    sshd, config = daemon(), Configuration(text)
    if why := config.obstacle(keywords):
        raise not_in_force(why)
    _SEPARATION.mkdir(mode=0o755, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hostwright-sshd-") as folder:  # mode 0700
        alone, whole, key = (Path(folder, name) for name in ("alone", "whole", "key"))
        alone.write_text(text)
        whole.write_text(config.main_reading_drop_in_from(f"{alone}"), errors="surrogateescape")
        # The test has a host key of its own: a host may not have made its keys yet.
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{key}")
        wanted, effective = (
            _effective(sshd, file, key, {f"{alone}": DROP_IN, f"{whole}": MAIN}) for file in (alone, whole)
        )
    for keyword in keywords:
        ours, all_ = wanted.get(keyword, frozenset()), effective.get(keyword, frozenset())
        if keyword not in _DEPENDENT and not (ours <= all_ if keyword in _SUPERSET else ours == all_):
            raise not_in_force(f"sshd says {keyword} {' '.join(sorted(all_)) or 'is not set'}")
    if why := shuts_out(effective, partial(_knows, pwd.getpwnam), partial(_knows, grp.getgrnam)):
        raise DeployError(f"sshd would let nobody in: {why}", hint="correct the settings; nothing was changed")


def not_in_force(why: str) -> DeployError:
    return DeployError(
        f"{DROP_IN} is not in force: {why}",
        hint=f"take that setting out, or have {MAIN} begin with `Include /etc/ssh/sshd_config.d/*.conf`",
        kind=ProblemKind.NOT_IN_FORCE,
    )


def shuts_out(effective: Effective, user_exists: Callable[[str], bool], group_exists: Callable[[str], bool]) -> str:
    """The reason why nobody at all could log in; empty where none is plain to see: somebody may be able to."""
    if all(effective.get(way, frozenset({"no"})) == {"no"} for way in _WAYS_IN):
        return "every way of logging in is switched off"
    for keyword, exists, what in (("allowusers", user_exists, "users"), ("allowgroups", group_exists, "groups")):
        names = [name.partition("@")[0] for name in effective.get(keyword, ())]
        if names and not any(exists(name) for name in names):
            return f"{keyword} names {', '.join(sorted(names))}, and there are no such {what}"
    return ""


def _effective(sshd: str, file: Path, key: Path, names: Mapping[str, str]) -> Effective:
    output = _run(sshd, "-T", "-f", f"{file}", "-h", f"{key}", names=names)
    values: dict[str, set[str]] = {}
    for line in output.splitlines():
        keyword, _, value = line.partition(" ")
        values.setdefault(keyword, set()).add(value)
    return {keyword: frozenset(found) for keyword, found in values.items()}


def _run(*argv: str, names: Mapping[str, str] | None = None) -> str:
    """Run the program and return its output. Raises DeployError with its complaints, in which each path of ``names`` is
    replaced by its name there."""
    done = run(argv, timeout_s=TIMEOUT_S)
    if done.ok:
        return done.output.decode(errors="replace")
    lines = (done.error or done.output).decode(errors="replace").split("\n")
    said = "; ".join(filter(None, (line.strip() for line in lines[:_COMPLAINTS]))) or done.complaint
    for path, name in (names or {}).items():
        said = said.replace(path, name)
    reason = f"not done after {TIMEOUT_S:.0f} s" if done.timed_out else said
    raise DeployError(f"sshd refuses the settings: {reason}", hint="see sshd_config(5); nothing was changed")


def _knows(find: Callable[[str], object], name: str) -> bool:
    """True where ``find`` finds the name; also for a pattern, which is not looked up."""
    try:
        return "*" in name or "?" in name or bool(find(name))
    except KeyError:
        return False
