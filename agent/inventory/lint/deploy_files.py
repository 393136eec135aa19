"""Deploy files of the config repo: whether they are Python that does something, found without running them."""

from __future__ import annotations

from collections.abc import Iterable

from agent.domain.deploy_file import CALL_IT, imported, uncalled
from agent.domain.merge_conflict import MERGE_CONFLICT, conflict_line
from agent.domain.stand_in import stand_in
from agent.domain.tree import Tree
from agent.inventory.complaint import Complaints
from agent.inventory.site import Play
from agent.system.yaml import Position


def require_python(tree: Tree, plays: Iterable[Play], complaints: Complaints) -> None:
    """Complain of each deploy file named in a play that is not Python or calls nothing."""
    named: dict[str, Position] = {}
    for mention in (mention for play in plays for mention in play.mentions):
        own = mention.source if mention.repository is None else None
        for source in filter(None, (own, mention.on_remove)):
            named.setdefault(source, mention.position)
    for source, position in named.items():
        _compile(tree, source, position, complaints)


def _compile(tree: Tree, source: str, mentioned: Position, complaints: Complaints) -> None:
    code = tree.read(source)
    try:
        if found := stand_in(code):
            complaints.add(mentioned, (), f"{source} {found.what}", found.remedy)
            return
        compile(code, source, "exec", dont_inherit=True)
        own = (place for name in imported(code) for place in (name, f"{name}.py") if name)
        if (functions := uncalled(code, ran=False)) and not any(tree.paths(place) for place in own):
            problem = f"{source} defines {', '.join(functions)} and calls nothing: nothing would be done"
            complaints.add(mentioned, (), problem, CALL_IT)
    except SyntaxError as error:
        if line := conflict_line(code.decode(errors="replace")):
            complaints.add(Position(source, line, 1), (), *MERGE_CONFLICT)
            return
        position = Position(source, error.lineno or 1, error.offset or 1)
        complaints.add(position, (), f"not Python: {error.msg}", "correct it, and try `python3 -m py_compile`")
    except (ValueError, RecursionError, MemoryError) as error:
        complaints.add(mentioned, (), f"{source} is not Python: {error}", "write a deploy file of pyinfra")
