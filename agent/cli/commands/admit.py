"""admit: at a desk, the hosts that ask to be admitted, and the admission of one that has proved who it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from agent.cli.admitting import admit_hosts
from agent.cli.commands.secret import identity_option
from agent.cli.commands.status import READ_DEADLINE_S, span
from agent.cli.config_repo import ConfigRepo
from agent.cli.desk import Desk, Draft, desk_of
from agent.cli.invocation import FILE, CliCommand, Reply
from agent.cli.output import Output
from agent.domain.one_time_code import OneTimeCode
from agent.domain.request import admitting_anew
from agent.domain.text import moment, printable, some
from agent.errors import Exit, TrustError, UsageError, first_exit
from agent.fleet.requests import JudgedRequest, judge_request
from agent.fleet_view import view_of_repo
from agent.host.identity import admitted
from agent.system import own_git
from agent.system.files import read_bounded

CODE_FILE_LIMIT = 64 * 1024 * 1024
"""Bytes of a user-data file, which may hold the agent itself."""
COLUMNS = ("host", "fingerprint", "asked", "what")


@dataclass(frozen=True, slots=True)
class Proof:
    """The fingerprint and the one-time code of a host, as far as the administrator knows them."""

    fingerprint: str | None
    code: OneTimeCode | None

    def fits(self, each: JudgedRequest) -> bool:
        """True if ``each`` has the fingerprint and the code; one that is None fits every request."""
        right = self.fingerprint is None or _bare(each.fingerprint) == _bare(self.fingerprint)
        return right and (self.code is None or each.proved_by(self.code))

    @property
    def description(self) -> str:
        named = [f"the fingerprint {printable(self.fingerprint)}"] if self.fingerprint is not None else []
        return " and ".join([*named, *(["this code"] if self.code is not None else [])])


@click.command(cls=CliCommand)
@click.argument("host", required=False)
@click.option("--fingerprint", metavar="SHA256:…", help="The host's key, as `hostwright status` shows it there.")
@click.option("--code", metavar="CODE", help="The one-time code that the machine was made with.")
@click.option("--code-file", type=FILE, help="A file with it: the user-data.")
@click.option("--commit", is_flag=True, help="Commit and push what was written.")
@click.option("--remote", metavar="URL", help="The remote that holds the branch `status` [the repo's origin].")
@identity_option
def admit(
    output: Output,
    repo: ConfigRepo,
    *,
    host: str | None,
    fingerprint: str | None,
    code: str | None,
    code_file: Path | None,
    commit: bool,
    remote: str | None,
    identities: tuple[Path, ...],
) -> Reply | int:
    """Show which hosts ask to be admitted; with HOST, admit it."""
    proof = Proof(fingerprint, _code(code, code_file))
    desk = desk_of(repo)
    if host is None:
        if commit or proof.description:
            raise UsageError("no host is named", hint="hostwright admit HOST")
        return _list(output, desk, remote)
    desk.require_host(host)
    if commit:
        desk.require_committable()
    found = _requests(output, desk, remote, host)
    chosen = _chosen(output, host, found, proof)
    if chosen is None:
        return Exit.INTERRUPTED
    if proof.code is not None and fingerprint is None and not chosen.vouched:
        _require_unused_code(desk, host, chosen.fingerprint)
    content = chosen.request.lines if chosen.request is not None else b""
    Draft(desk, {f"{desk.folder}/identities/{host}.pub": content}).require_sound()
    done = admit_hosts(output, desk, {host: content}, commit=commit, keys=identities)
    data = {
        "host": host,
        "fingerprint": chosen.fingerprint,
        "changed": list(done.changed),
        "secrets": list(done.rekeyed),
    }
    return Reply(data, first_exit([error.exit for error in done.failures]), done.failures)


def _code(code: str | None, file: Path | None) -> OneTimeCode | None:
    if code is not None and file is not None:
        raise UsageError("--code and --code-file say the same", hint="give one of them")
    try:
        if file is not None:
            return OneTimeCode.read(read_bounded(file, CODE_FILE_LIMIT).decode(errors="replace"))
        return OneTimeCode.read(code) if code is not None else None
    except (OSError, ValueError) as error:
        what = "--code" if file is None else f"{file}"
        hint = "`hostwright enroll --user-data` writes it into the user-data"
        raise UsageError(f"{what}: {error}", hint=hint) from None


def _require_unused_code(desk: Desk, host: str, fingerprint: str) -> None:
    """Raise TrustError if ``host`` was admitted before, or nobody can tell: others may know its code by now, because it
    is in the user-data."""
    used = own_git.ever_committed(desk.root, f"{desk.folder}/identities/{host}.pub")
    if used:
        raise TrustError(
            f"{host} was admitted before, and a code admits once",
            hint=f"if `hostwright status` there shows it, too: hostwright admit {host} --fingerprint {fingerprint}",
        )
    if used is None:
        raise TrustError(
            f"nobody can tell whether {host} was admitted before: this clone does not have the whole history",
            hint="git fetch --unshallow, then run this again; or, if `hostwright status` there shows it, too: "
            f"hostwright admit {host} --fingerprint {fingerprint}",
        )


def _requests(output: Output, desk: Desk, remote: str | None, host: str | None = None) -> list[JudgedRequest]:
    """The judged requests for hosts of this inventory, or for ``host`` alone, with those that cannot be believed."""
    found = view_of_repo(desk.root, desk.inventory, remote).branch.requests(READ_DEADLINE_S, host)
    if found.left_out:
        output.say(f"{found.left_out} more requests are on the branch than anybody can look at: who puts them there?")
    known, _ = admitted(desk.tree, desk.inventory)
    judged = (judge_request(each, known) for each in found.found)
    return [each for each in judged if each.request is None or each.request.inventory == desk.inventory]


def _list(output: Output, desk: Desk, remote: str | None) -> Reply:
    found, now = _requests(output, desk, remote), int(time.time())
    rows = [
        (each.host, each.fingerprint, f"{span(now - each.request.at)} ago" if each.request else "", _what(desk, each))
        for each in found
    ]
    if rows:
        output.show_table(COLUMNS, rows)
        output.say("next: hostwright admit HOST, with --code-file USER-DATA or the --fingerprint that the host shows")
    else:
        output.show(f"no host of {desk.folder} asks to be admitted")
    return Reply([_document(desk, each) for each in found])


def _what(desk: Desk, each: JudgedRequest) -> str:
    if each.request is None:
        return each.why
    if each.host not in desk.who.hosts:
        return "not in the inventory"
    if each.admitted:
        return "admitted here; it goes when the host knows it"
    if each.vouched:
        return "the admitted key vouches for it"
    if each.known is not None:
        return f"another key is admitted: {each.known.fingerprint}"
    return "with a code" if each.request.seal else ""


def _document(desk: Desk, each: JudgedRequest) -> dict[str, Any]:
    request = each.request
    return {
        "host": each.host,
        "path": each.path,
        "fingerprint": each.fingerprint or None,
        "what": _what(desk, each),
        "vouched": each.vouched,
        "sealed": bool(request is not None and request.seal),
        "asked_at": None if request is None else moment(request.at, "%Y-%m-%dT%H:%M:%S+00:00"),
        "agent_version": None if request is None else request.agent_version,
    }


def _chosen(output: Output, host: str, found: Sequence[JudgedRequest], proof: Proof) -> JudgedRequest | None:
    """The request to grant; None if the person says no. Raises UsageError, TrustError if none may be granted."""
    believed = [each for each in found if each.request is not None]
    believed = [each for each in believed if not each.admitted] or believed
    if not believed:
        why = [each.why for each in found]
        told = f"; what lies in its place: {some(why)}" if why else ""
        raise UsageError(
            f"{host} does not ask to be admitted{told}", hint="is its agent installed? it asks with its first report"
        )
    fitting = [each for each in believed if proof.fits(each)]
    if proof.description and not fitting:
        prints = some([each.fingerprint for each in believed])
        raise TrustError(
            f"no request for {host} has {proof.description}; asked by {prints}",
            hint=f"compare with `hostwright status` on {host}: it may be another machine",
        )
    if len({each.fingerprint for each in fitting}) > 1:
        prints = some([each.fingerprint for each in fitting])
        raise TrustError(
            f"{len(fitting)} machines ask to be {host}: {prints}",
            hint="--fingerprint SHA256:… says which; the others want a name of their own",
        )
    chosen = max(fitting, key=lambda each: each.request.at if each.request is not None else 0)
    if chosen.known is not None and not chosen.vouched:
        raise TrustError(
            f"{host} is admitted with another key, {chosen.known.fingerprint}",
            hint=f"if it was installed anew, and `hostwright status` there shows {chosen.fingerprint}: "
            f"{admitting_anew(host, chosen.fingerprint)}",
        )
    if chosen.vouched:
        output.say(f"the admitted key of {host} vouches for {chosen.fingerprint}")
        return chosen
    if proof.description:
        return chosen
    if not sys.stdin.isatty():
        raise UsageError(
            f"nobody is there to be asked whether {host} shows {chosen.fingerprint}",
            hint="say --fingerprint SHA256:… or --code-file USER-DATA",
        )
    return chosen if output.ask(f"does {host} show {chosen.fingerprint}? (`hostwright status` there)") else None


def _bare(fingerprint: str) -> str:
    return fingerprint.strip().removeprefix("SHA256:").rstrip("=")
