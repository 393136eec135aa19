"""``hostwright`` and ``python -m agent``."""

from __future__ import annotations

import sys


def main() -> None:
    """The command's entry point."""
    if sys.argv[1:] == ["daemon"]:
        # Ahead of the command line and its libraries: this process stays for months, and is to stay small.
        from agent.daemon import serve
        from agent.host.paths import Paths

        sys.exit(serve(Paths()))
    from agent.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
