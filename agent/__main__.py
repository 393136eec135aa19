"""``hostwright`` and ``python -m agent``."""

from __future__ import annotations

import gc
import os
import sys

from agent.system.exit import leave

FEW_COLLECTIONS = 200_000
"""Objects between two looks for garbage: what a command loads and finds stays until it ends. A cycle of 12,000
resources holds some 100,000, and a look at these takes 16 ms of CPU."""


def main() -> None:
    """The command's entry point."""
    told = [name for name in os.environ if name.startswith("PYTHON")]
    for name in told:
        del os.environ[name]
    if told and os.geteuid() == 0 and not sys.flags.ignore_environment:
        # Python has obeyed some of them already, and obeys others when it ends.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # the same command once more
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed: the next open file would be it, for all programs that are run
            nothing = open(os.devnull, mode)  # noqa: SIM115
            os.set_inheritable(nothing.fileno(), True)
            setattr(sys, name, nothing)
    if sys.argv[1:] == ["daemon"]:
        # Ahead of the command line and its libraries: this process stays for months, and is to stay small.
        from agent.daemon import serve
        from agent.host.paths import Paths

        sys.exit(serve(Paths()))
    gc.set_threshold(FEW_COLLECTIONS)
    from agent.system.late_methods import compile_late

    compile_late("agent")
    from agent.cli.main import run

    leave(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
