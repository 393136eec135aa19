"""What a command is about to change in a clone: judged as a whole, then written, then committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from agent.cli.desk import Desk
from agent.cli.output import Output
from agent.domain.tree import EditedTree
from agent.errors import InventoryError
from agent.inventory.load import load
from agent.system import own_git
from agent.system.files import write_atomic


def commit_or_tell(output: Output, desk: Desk, subject: str, changed: Sequence[str], *, commit: bool) -> None:
    """Commit and push the paths ``changed`` where ``commit`` says so, else tell the person to."""
    if changed and commit:
        output.say(f"committed and pushed {own_git.commit_and_push(desk.root, subject, *changed)[:12]}")
    elif changed:
        output.say(f"commit and push: {', '.join(changed)}")


@dataclass(frozen=True, slots=True)
class Draft:
    """``files``: new contents by path from the top of the clone; None: the file goes."""

    desk: Desk
    files: Mapping[str, bytes | None]

    def require_sound(self) -> None:
        """Raise InventoryError if the inventory would have a complaint with this draft."""
        try:
            load(EditedTree(self.desk.tree, self.files), self.desk.inventory)
        except InventoryError as error:
            raise InventoryError(
                f"nothing was done, for the inventory could not be read then:\n{error.message}", hint=error.hint
            ) from error

    def write(self) -> list[str]:
        """Write the files; return the paths that a commit of them has to name."""
        root, changed = self.desk.root, list[str]()
        for path, content in self.files.items():
            file = root / path
            if content is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(file, content, mode=0o644)
                changed.append(path)
                continue
            with suppress(FileNotFoundError):
                file.unlink()
                changed += [path] if path in self.desk.copy.tracked else []
            for folder in list(file.relative_to(root / self.desk.folder).parents)[:-1]:
                with suppress(OSError):  # something else is in it
                    (root / self.desk.folder / folder).rmdir()
        return changed
