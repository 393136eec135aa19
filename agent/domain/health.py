"""The health of a host."""

from __future__ import annotations

from dataclasses import dataclass

from agent.domain.check import CheckResult


@dataclass(frozen=True, slots=True)
class Vitals:
    """The host's own signs, by psutil. Sizes in bytes, times in seconds, shares in whole percent."""

    uptime_s: int
    load_1m_percent: int
    """One-minute load in percent of the cores."""
    memory_total: int
    memory_available: int
    swap_used: int
    disk_total: int
    disk_free: int
    """The free bytes, and with ``inodes_free_percent`` the inodes, of the file system with /var/lib/hostwright."""
    inodes_free_percent: int
    processes: int


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing that counts against the host: a ``unit`` that has failed, or the ``check`` of a deploy that does not
    pass. ``text`` is for people."""

    text: str
    unit: str = ""
    check: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """The findings of ``steps.probe``. ``symptoms`` count against the host. ``notes`` do not: they tell of what was
    wrong before, or of vitals."""

    vitals: Vitals
    failed_units: tuple[str, ...]
    reboot_required: bool
    symptoms: tuple[Symptom, ...] = ()
    notes: tuple[str, ...] = ()
    checks: tuple[CheckResult, ...] = ()

    @property
    def healthy(self) -> bool:
        return not self.symptoms

    @property
    def complaints(self) -> tuple[str, ...]:
        return tuple(symptom.text for symptom in self.symptoms)
