"""probe: turns the host's signs into its health."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.domain.check import Check, CheckResult
from agent.domain.health import Health, Symptom, Vitals
from agent.system import host, systemd

DISK_LOW_PERCENT = 5
"""Percent: with less room packages cannot be installed, and logs are not written."""


def failed_at_first(remembered: tuple[str, ...] | None) -> tuple[str, ...]:
    """The failed units that do not count against the host: ``remembered``. If that is None, in the very first cycle
    before it has changed anything: all that have failed now."""
    return systemd.failed_units() if remembered is None else remembered


def probe(state_folder: Path, failed_at_first: tuple[str, ...], checks: Sequence[Check] = ()) -> Health:
    """The health of the host. ``checks``: those of its deploys."""
    return assess(
        host.vitals(state_folder),
        systemd.failed_units(),
        failed_at_first,
        reboot_required=host.reboot_required(),
        checks=_answers(checks),
    )


def failed_unit_told(unit: str) -> str:
    """An entry of the failed units, in words."""
    return f"{unit} has failed" if unit != systemd.UNTOLD else "systemd does not say which units have failed"


def _answers(checks: Sequence[Check]) -> tuple[CheckResult, ...]:
    if not checks:
        return ()
    from agent.checks.ask import run_checks  # ssl and the models of checks take as long to load as all else here

    return run_checks(checks)


def assess(
    vitals: Vitals,
    failed_units: tuple[str, ...],
    failed_at_first: tuple[str, ...],
    *,
    reboot_required: bool,
    checks: tuple[CheckResult, ...] = (),
) -> Health:
    """The health by these signs: some count against the host, the others are only reported. Pure."""
    symptoms = [Symptom(failed_unit_told(unit), unit) for unit in failed_units if unit not in failed_at_first]
    symptoms += [
        Symptom(f"{check.deploy}: {check.label}: {check.output}", check=f"{check.deploy}: {check.label}")
        for check in checks
        if not check.passed
    ]
    old = [unit for unit in failed_units if unit in failed_at_first]
    notes = [f"{failed_unit_told(unit)} since before the agent came" for unit in old]
    if vitals.disk_total and 100 * vitals.disk_free < DISK_LOW_PERCENT * vitals.disk_total:
        notes.append(f"less than {DISK_LOW_PERCENT} % of the disk is free")
    if vitals.inodes_free_percent < DISK_LOW_PERCENT:
        notes.append(f"less than {DISK_LOW_PERCENT} % of the inodes are free")
    return Health(
        vitals=vitals,
        failed_units=failed_units,
        reboot_required=reboot_required,
        symptoms=tuple(symptoms),
        notes=tuple(notes),
        checks=checks,
    )
