"""The process that engine children are forks of: ``python -I -m agent.engine``."""

from __future__ import annotations

from agent.system.exit import end_process
from agent.system.late_methods import compile_late


def main() -> None:
    compile_late("agent")
    from agent.engine.preloaded import serve

    end_process(serve())


if __name__ == "__main__":
    main()
