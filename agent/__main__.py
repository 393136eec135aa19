"""The entry point of ``hostwright`` and ``python -m agent``."""

from __future__ import annotations

import gc
import os
import sys

from agent.system.exit import end_process

FEW_COLLECTIONS = 200_000
"""New objects between two garbage collections. Most objects of a command live until it ends, so few are garbage. A
cycle of 12,000 resources holds some 100,000 objects, and one collection of these takes 16 ms of CPU."""


def main() -> None:
    """Run the command that ``sys.argv`` names, and end the process with its exit code."""
    told = [name for name in os.environ if name.startswith("PYTHON")]
    for name in told:
        del os.environ[name]
    if told and os.geteuid() == 0 and not sys.flags.ignore_environment:
        # Python has obeyed some of them already, and obeys others when it ends.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # the same command once more
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed: the next opened file would take its place, also in child processes
            nothing = open(os.devnull, mode)  # noqa: SIM115
            os.set_inheritable(nothing.fileno(), True)
            setattr(sys, name, nothing)
    if sys.argv[1:] == ["daemon"] and os.geteuid() == 0:
        # Not by way of the command line and its libraries: this process runs for months, and has to stay small.
        from agent.daemon import serve
        from agent.host.paths import Paths

        sys.exit(serve(Paths()))
    gc.set_threshold(FEW_COLLECTIONS)
    from agent.system.late_methods import compile_late

    compile_late("agent")
    from agent.cli.main import run

    end_process(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
