"""The engine child of a plan. Confines itself, then is the runner.

It says whether it could before anything of the config repo has been looked at; where it could not, that is all it
does.
"""

from __future__ import annotations

import os
from pathlib import Path

from agent.engine.protocol import Begin, Ready, encode
from agent.system.confinement import confine


def main(folder: str, begin: Begin | None = None) -> int:
    """``folder``: the one place that it may write to. ``begin``: the orders, where they need not be read."""
    scratch = Path(folder)
    try:
        confine(scratch)
    except OSError as error:
        _say(Ready(error.strerror or str(error) or "no reason was given"))
        return 0
    os.environ["TMPDIR"] = f"{scratch}"
    _trust_repositories(scratch)
    _say(Ready(""))
    from agent.engine import runner

    return runner.main(confined=True, begin=begin)


def _say(message: Ready) -> None:
    os.write(1, encode(message))


def _trust_repositories(scratch: Path) -> None:
    """git refuses to look at what belongs to somebody else, since it might run what is configured there. Here that
    could do no harm. A file, not the environment's GIT_CONFIG_COUNT: that does not reach the other end of a fetch from
    a repository on this host."""
    system, ours = Path("/etc/gitconfig"), scratch / "gitconfig"
    text = system.read_bytes() if system.is_file() else b""
    ours.write_bytes(text + b"\n[safe]\n\tdirectory = *\n")
    os.environ["GIT_CONFIG_SYSTEM"] = f"{ours}"
