"""``python -m tests.malformed [STORY…]`` writes what `hostwright check` prints now into the stories."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.malformed.story import STORIES, GoodRepository, Story


def main() -> None:
    chosen = {Path(name).stem for name in sys.argv[1:]}
    with TemporaryDirectory() as folder:
        repository = GoodRepository(Path(folder))
        os.chdir(folder)
        for path in STORIES:
            if chosen and path.stem not in chosen:
                continue
            story = Story.read(path)
            printed, code = repository.check(story)
            if (printed, code) != (story.printed, story.exit):
                replace(story, printed=printed, exit=code).write(path)
                sys.stdout.write(f"wrote {path.name}\n")
        os.chdir("/")


main()
