"""Stories of config repos with one mistake each, and what `hostwright check` prints of them.

A story is a text file: what is wrong, the files that differ from the good repository in ``good.txt``, and behind
``-- hostwright check: EXIT --`` all that the command prints, stdout and stderr as on a terminal:

    A star without quotes

    -- inventories/prod/site.yaml --
    - hosts: *
      deploys: []
    -- hostwright check: 6 --
    hostwright: inventories/prod/site.yaml:1:10: …

A word behind a path says how the file lies there: ``gone``; ``link``, its text is the target; ``fifo``; or an encoding
of Python's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from agent.cli.main import run

FOLDER = Path(__file__).parent
GOOD = FOLDER / "good.txt"
STORIES = sorted((FOLDER / "stories").glob("*.txt"))

_FILE = re.compile(r"^-- (?P<path>.+?)(?: (?P<how>gone|link|fifo|utf-\S+|latin-1))? --\n", re.MULTILINE)
_PRINTED = "hostwright check: "


@dataclass(frozen=True, slots=True)
class StoryFile:
    """``text``: its content, or of a link its target. ``how``: one of the words above, or nothing."""

    path: str
    how: str
    text: str


@dataclass(frozen=True, slots=True)
class Story:
    title: str
    files: tuple[StoryFile, ...]
    printed: str
    exit: int

    @classmethod
    def read(cls, path: Path) -> Story:
        title, *parts = _FILE.split(path.read_text())
        files = [
            StoryFile(*each) for each in zip(parts[::3], (how or "" for how in parts[1::3]), parts[2::3], strict=True)
        ]
        printed = files.pop() if files and files[-1].path.startswith(_PRINTED) else StoryFile(f"{_PRINTED}0", "", "")
        return cls(title.strip(), tuple(files), printed.text, int(printed.path.removeprefix(_PRINTED)))

    def write(self, path: Path) -> None:
        parts = [f"-- {file.path}{' ' * bool(file.how)}{file.how} --\n{file.text}" for file in self.files]
        path.write_text(f"{self.title}\n\n{''.join(parts)}-- {_PRINTED}{self.exit} --\n{self.printed}")


class GoodRepository:
    """The files of ``good.txt`` in a folder, where the files of one story at a time lie over them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._good = {file.path: file for file in Story.read(GOOD).files}
        self._put(self._good.values())

    def check(self, story: Story) -> tuple[str, int]:
        """What `hostwright check` prints of the story, and its exit code. The current folder has to be ``root``."""
        printed = StringIO()
        self._put(story.files)
        try:
            with redirect_stdout(printed), redirect_stderr(printed):
                code = run(["check"])
        finally:
            self._restore(story.files)
        return printed.getvalue(), code

    def _put(self, files: Iterable[StoryFile]) -> None:
        for file in files:
            path = self.root / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if file.how == "link":
                path.symlink_to(file.text.strip())
            elif file.how == "fifo":
                os.mkfifo(path)
            elif file.how != "gone":
                path.write_bytes(file.text.encode(file.how or "utf-8"))

    def _restore(self, files: Iterable[StoryFile]) -> None:
        for file in files:
            path = self.root / file.path
            path.unlink(missing_ok=True)
            for folder in path.relative_to(self.root).parents:
                if folder != Path() and not any((self.root / folder).iterdir()):
                    (self.root / folder).rmdir()
            if file.path in self._good:
                self._put([self._good[file.path]])
