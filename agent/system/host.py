"""The host itself, by psutil: its vitals and its processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

from agent.domain.health import Vitals

REBOOT_MARKS = (Path("/run/reboot-required"), Path("/var/run/reboot-required"))
"""The files that Debian's packages leave if an update takes effect only after a reboot."""


def vitals(state_folder: Path) -> Vitals:
    """The host's vitals now. ``state_folder``: a folder of the file system whose size and free bytes they name."""
    import psutil  # not loaded by a plan, which needs no vitals

    memory = psutil.virtual_memory()
    disk = psutil.disk_usage(str(state_folder))
    inodes = os.statvfs(state_folder)
    load, _, _ = psutil.getloadavg()
    return Vitals(
        uptime_s=int(time.time() - psutil.boot_time()),
        load_1m_percent=round(100 * load / (psutil.cpu_count() or 1)),
        memory_total=memory.total,
        memory_available=memory.available,
        swap_used=psutil.swap_memory().used,
        disk_total=disk.total,
        disk_free=disk.free,
        inodes_free_percent=100 * inodes.f_favail // inodes.f_files if inodes.f_files else 100,
        processes=len(psutil.pids()),
    )


def reboot_required() -> bool:
    return any(mark.exists() for mark in REBOOT_MARKS)


def processes(program: str, user: str | None) -> int:
    """The number of processes whose program has this name. ``user``: whose processes count; None: everybody's."""
    import psutil

    found = psutil.process_iter(["name", "username", "status"])
    return sum(
        each.info["name"] == program
        and user in (None, each.info["username"])
        and each.info["status"] != psutil.STATUS_ZOMBIE
        for each in found
    )
