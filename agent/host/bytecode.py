"""A program that compiles the modules of its own environment: `python -I -m agent.host.bytecode [PROCESSES]`.

The agent's confined child processes cannot write, so without this they would compile what they import each time.
"""

from __future__ import annotations

import compileall
import re
import sys

NEVER_IMPORTED = re.compile(
    r"/site-packages/(cffi|hatchling|markdown_it|mdurl|pathspec|pluggy|pycparser|pydantic/v1|pygments|tomlkit"
    r"|trove_classifiers)/|/site-packages/.*/(tests?|testing)/"
)
"""Modules that the agent never imports: the backend of its build, tests of libraries, and parts of libraries that it
does not use. They are a third of all. Python compiles one of them if it is imported all the same."""


def compile_below(folder: str, processes: int = 1) -> None:
    """Compile all modules below ``folder`` except those of NEVER_IMPORTED. ``processes``: 0 for one a processor."""
    compileall.compile_dir(folder, quiet=2, rx=NEVER_IMPORTED, workers=processes)


if __name__ == "__main__":
    compile_below(f"{sys.prefix}/lib", *map(int, sys.argv[1:]))
