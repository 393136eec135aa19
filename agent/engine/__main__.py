"""The engine child: ``python -I -m agent.engine [FOLDER]``. With a folder it is the child of a plan."""

from __future__ import annotations

import sys

from agent.system.exit import leave
from agent.system.late_methods import compile_late


def main() -> None:
    compile_late("agent")
    from agent.engine import confined, runner

    leave(confined.main(sys.argv[1]) if sys.argv[1:] else runner.main())


if __name__ == "__main__":
    main()
