"""Compiles the environment that it lies in: `python -I -m agent.host.bytecode [PROCESSES]`.

The agent's confined children cannot write, so they would compile what they import again and again.
"""

from __future__ import annotations

import compileall
import re
import sys

NEVER_IMPORTED = re.compile(
    r"/site-packages/(cffi|hatchling|markdown_it|mdurl|pathspec|pluggy|pycparser|pydantic/v1|pygments|tomlkit"
    r"|trove_classifiers)/|/site-packages/.*/(tests?|testing)/"
)
"""The backend of the agent's build, tests of libraries, and what libraries need for work that the agent does not give
them: a third of all. Where such a module is imported all the same, Python compiles it then."""


def compile_below(folder: str, processes: int = 1) -> None:
    """Compile all modules below ``folder`` but those of NEVER_IMPORTED. ``processes``: 0 for one on each processor."""
    compileall.compile_dir(folder, quiet=2, rx=NEVER_IMPORTED, workers=processes)


if __name__ == "__main__":
    compile_below(f"{sys.prefix}/lib", *map(int, sys.argv[1:]))
