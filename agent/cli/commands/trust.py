"""trust: the people whom this host trusts, and the standing of the commit that it trusted last."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from dataclasses import asdict

import click

from agent.cli.invocation import APPLY_WAIT_S, CliGroup, Reply
from agent.cli.output import Output
from agent.domain.commit import Accept, BranchRule, TrustMode
from agent.domain.memory import TrustRecord
from agent.domain.text import moment, printable
from agent.errors import SourceError, UsageError
from agent.host.lock import locked
from agent.host.paths import Paths
from agent.host.settings import read as read_settings
from agent.host.state import Memory
from agent.remotes import mirror_of_host
from agent.steps.freeze import standing as standing_of
from agent.steps.signatures import SignatureVerifier, read_anchors
from agent.steps.verify import accepted
from agent.system.allowed_signers import AllowedSigner, parse

_RULES = {
    BranchRule.UNSEEN: "commits that name it (Hostwright-Branch) or were not seen on another branch before",
    BranchRule.NAMED: "commits that name it (Hostwright-Branch)",
    BranchRule.ANY: "signed commits that do not name other branches only",
}


@click.group(cls=CliGroup, invoke_without_command=True)
def trust() -> None:
    """Show whom this host trusts, and the commit that it trusted last."""


@trust.command()
def show(output: Output, paths: Paths) -> Reply:
    """The same."""
    settings, memory, now = read_settings(paths), Memory(paths), int(time.time())
    record, state = memory.trust(), memory.state()
    anchors = read_anchors(paths.trusted_signers)
    signers, standing, why = b"", None, ""
    accept = Accept()
    if record.last is not None and paths.mirror.exists():
        with closing(mirror_of_host(paths, settings)) as mirror, suppress(SourceError):  # the next cycle mends it
            judge = SignatureVerifier(mirror, settings.inventory, anchors, now)
            accept = accepted(mirror, settings.inventory, state.fleet.accept, record.last)
            signers = judge.signers(record.last)
            if settings.trust is TrustMode.SIGNED:
                standing, why = standing_of(record, record.last, judge)
    taken = [*(("commits",) if accept.commits else ()), *(f"tags {pattern}" for pattern in accept.tags)]
    output.show(f"trust     {settings.trust.value}")
    output.show(f"accept    {', '.join(taken)}")
    if settings.trust is TrustMode.SIGNED:
        output.show(f"branch    {settings.branch}: {_RULES[accept.branch]}")
    for name, text in (("anchor", anchors), ("signer", signers)):
        for signer in parse(text):
            output.show(f"{name:<9} {_told(signer, now)}")
    output.show(f"last      {_last(record)}" if record.last else "last      no commit has been trusted yet")
    if standing is not None:
        output.show(f"standing  {standing.value}{': ' if why else ''}{why}")
    if state.refused:
        output.show(f"refused   {state.refused}")
    return Reply(
        {
            "mode": settings.trust.value,
            "accept": taken,
            "branch": settings.branch,
            "branch_rule": accept.branch.value if settings.trust is TrustMode.SIGNED else None,
            "anchors": [asdict(signer) for signer in parse(anchors)],
            "signers": [asdict(signer) for signer in parse(signers)],
            "last": record.last,
            "at": record.at or None,
            "principal": record.principal,
            "fingerprint": record.fingerprint,
            "tag": record.tag or None,
            "standing": standing.value if standing is not None else None,
            "refused": state.refused,
        },
    )


@trust.command()
def reset(output: Output, paths: Paths) -> Reply:
    """Forget the last trusted commit, after its history was rewritten on purpose."""
    settings = read_settings(paths)
    with locked(paths.lock, wait_s=APPLY_WAIT_S):
        memory = Memory(paths)
        record = memory.trust()
        forgotten = record.last
        if forgotten is None and not record.lost:
            raise UsageError("there is nothing to forget: no commit has been trusted yet")
        memory.keep_trust(TrustRecord())
        memory.keep_sightings(None)
    judged = "whatever it is" if settings.trust.value == "unsigned" else f"if {paths.trusted_signers} vouches for it"
    what = forgotten[:12] if forgotten is not None else "that something was trusted"
    output.say(f"forgot {what}: the next cycle takes the newest commit of {settings.branch}, {judged}")
    return Reply({"forgotten": forgotten}, command="trust reset")


def _told(signer: AllowedSigner, now: int) -> str:
    authority = "certificates of " if signer.authority else ""
    dates = (("from", signer.valid_after), ("until", signer.valid_before))
    limits = "".join(f" {word} {moment(at)}" for word, at in dates if at is not None)
    validity = signer.validity(now)
    limits += f", {validity}" if validity != "valid" else ""
    return f"{signer.principals}  {authority}{signer.fingerprint}{limits}"


def _last(record: TrustRecord) -> str:
    who = f", signed by {record.principal} {record.fingerprint}".rstrip() if record.principal else ""
    tag = f", as {printable(record.tag)}" if record.tag_object else ""
    return f"{record.last}{tag}{who}, {moment(record.at)}"
