"""One entry of ``files`` as an inventory writes it: the thing that should be at a path, in exactly one of several
ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from agent.deploys.edits import REPLACING
from agent.deploys.items import VALIDATED, Item
from agent.deploys.spec import NamedEntry
from agent.deploys.written import AccountName, Quoted, Written
from agent.domain.fault import Mistake, compiled
from agent.domain.near import near
from agent.system.attributes import CAPABILITIES

CONTENTS = ("content", "source", "template", "directory", "link", "tree", "absent")
"""Fields of which an entry has one, or none and lines and blocks instead."""

EDITS = ("line", "lines", "block", "blocks")

_GOES_WITH = {
    **dict.fromkeys(("mode", "owner", "group", "acl"), ("content", "source", "template", "directory", "tree")),
    "capabilities": ("content", "source", "template"),
    "validate": ("content", "source", "template", "tree", *EDITS),
}
"""Fields that are given only together with others, each with those of which one has to be there."""

DEFAULT_BLOCK = "managed"
"""The name of a block for which none is given."""


def _capability(value: str) -> str:
    name = value.lower().removeprefix("cap_")
    if name not in CAPABILITIES:
        meant = [known for known in CAPABILITIES if known.startswith(name)] or near(name, CAPABILITIES)
        remedy = (
            f"did you mean cap_{meant[0]}?" if meant else "write one of capabilities(7), such as cap_net_bind_service"
        )
        raise Mistake(f"there is no capability {value!r}", remedy)
    return f"cap_{name}"


def _of_repository(value: object) -> object:
    if isinstance(value, str) and value.startswith("/"):
        raise Mistake(
            f"{value!r} is a path of a host", f"write {value.lstrip('/')!r}: it counts from the top of the repo"
        )
    return value


def _plain(field: str, model: type[BaseModel]) -> BeforeValidator:
    def plain(value: object) -> object:
        return {field: value} if isinstance(value, str) else value

    return BeforeValidator(plain, json_schema_input_type=model | str)


_ANY_LINES = ("a", "Z", "0", "☃", "# ☃", "\t☃", f"{''.join(map(chr, range(33, 127)))} " * 9)
"""Lines that have nothing in common, the last a long one of all signs: what is found in each of them is found in every
line that says something, unless it names exceptions (``_EXCEPT``)."""
_EXCEPT = re.compile(r"\(\?<?!")

Mode = Annotated[str, Field(pattern=r"^0?[0-7]{3,4}$"), Quoted]
Capability = Annotated[str, AfterValidator(_capability)]
PartName = Annotated[str, Field(pattern=r"^\S([^\r\n]{0,198}\S)?$")]
RepoPath = Annotated[str, Field(pattern=r"^[^\x00/][^\x00]*$"), BeforeValidator(_of_repository)]


class LineEntry(Written):
    """One line of a file whose other lines are not touched."""

    line: str | None = None
    """The line as it should be, without its newline."""
    match: str | None = None
    """A regular expression (Python's). The first line that it is found in becomes `line`; other lines that it is found
    in are removed. Where it is found nowhere, `line` is appended."""
    absent: bool = False
    """No such line: what equals `line` or matches `match` is removed."""

    @field_validator("line")
    @classmethod
    def _one_line(cls, line: str | None) -> str | None:
        if line is not None and "\n" in line:
            raise Mistake("a line holds no newline", "for several lines use block")
        return line

    @field_validator("match")
    @classmethod
    def _expression(cls, match: str | None) -> str | None:
        found = compiled(match or "", "not a regular expression").search
        if match is not None and not _EXCEPT.search(match) and all(map(found, _ANY_LINES)):
            remedy = "write what only the line that is meant has: ^PermitRootLogin; for a whole file, write its content"
            raise Mistake(f"{match!r} is found in every line, so all other lines would go", remedy)
        return match

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.line is None and not (self.absent and self.match is not None):
            raise Mistake("it is not said which line", "give `line`, or `match` together with `absent: true`")
        return self

    def item(self, **more: Any) -> Item:
        """The item of the line. The key of a line word for word holds its text, so that a changed text is another line,
        and the old one is removed. The key of a line that may replace another holds the pattern that finds both, so
        that the other can be given back."""
        line, match = self.line, self.match
        if self.absent:
            patterns = [] if line is None else [f"^{re.escape(line)}$"]
            line, match = None, "|".join(f"(?:{pattern})" for pattern in (*patterns, *filter(None, [match])))
        if match is None:
            return Item(kind="line", part=line, text=line, **more)
        known = line is None or re.search(match, line)
        part = f"{REPLACING}{match}" + ("" if known else f"|^{re.escape(f'{line}')}$")
        return Item(kind="line", part=part, text=line, match=match, **more)


class BlockEntry(Written):
    """Lines of a file between two marker lines; the file's other lines are not touched."""

    content: str | None = None
    """The lines between the markers."""
    comment: str = Field(default="#", pattern=r"^\S[^\r\n]{0,15}$")
    """The sign that begins a comment in this file, for the markers."""
    absent: bool = False
    """No such block: it is removed with its markers."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.content is None) is not self.absent:
            raise Mistake("a block is there or not", "give either `content` or `absent: true`")
        return self


def _one_content(schema: dict[str, Any]) -> None:
    """Have the JSON Schema ask for one of the contents, or for lines and blocks."""
    edits = {"anyOf": [{"required": [name]} for name in EDITS]}
    schema["oneOf"] = [*({"required": [name]} for name in CONTENTS), edits]


class FileEntry(NamedEntry):
    model_config = ConfigDict(json_schema_extra=_one_content)

    content: str | None = None
    """A file with this text."""
    source: RepoPath | None = None
    """A file like this one of the config repo (from its root)."""
    template: RepoPath | None = None
    """A file like this Jinja2 template of the config repo, over the host's variables."""
    directory: Literal[True] | None = None
    """A directory. The things in it are left alone."""
    link: str | None = Field(default=None, min_length=1)
    """A symbolic link to this target."""
    tree: RepoPath | None = None
    """All files of this folder of the config repo. Other files in the directory are left alone."""
    absent: Literal[True] | None = None
    """Nothing: a file, a link or an empty directory is removed."""
    line: str | None = None
    """One line, with `match` or without; short for one of `lines`."""
    match: str | None = None
    """Goes with `line`; see there, and `lines`."""
    block: str | None = None
    """A marked block; short for one of `blocks`, named by `name`."""
    name: PartName | None = Field(
        default=None,
        description="Goes with `line` or `block`: identifies it, so that it can change. Default for a line: `match`,"
        f" or the line itself; for a block: {DEFAULT_BLOCK}.",
    )
    lines: Mapping[PartName, Annotated[LineEntry, _plain("line", LineEntry)]] = Field(default_factory=dict)
    """Several lines by name: a text, or `line`, `match`, `absent`."""
    blocks: Mapping[PartName, Annotated[BlockEntry, _plain("content", BlockEntry)]] = Field(default_factory=dict)
    """Several blocks by name: a text, or `content`, `comment`, `absent`."""
    mode: Mode | None = None
    """Permissions, quoted: "0640". Default: 0644, 0755 for directories and for files that are executable in Git. In a
    tree it holds for all files."""
    owner: AccountName | None = None
    """User who owns it, by name or number. Default: root."""
    group: AccountName | None = None
    """Group of it. Default: the owner's own."""
    capabilities: tuple[Capability, ...] = Field(default_factory=tuple)
    """Capabilities of a program, such as `cap_net_bind_service` (permitted and effective). Default: none; others are
    removed, also when the file is replaced."""
    acl: Literal["keep"] | None = None
    """`keep`: ACLs that are there stay. Default: there are none."""
    validating: tuple[str, ...] | None = Field(default=None, alias="validate")
    """A program and its arguments that is asked before the new content is put in place; `%s` stands for a file beside
    it that has that content: `[visudo, -cf, "%s"]`. No shell is involved. If it does not end with 0, the old content
    stays and the deploy fails with its words."""
    backup: bool = False
    """Keep what was there before the first change, once, as `<path>.before-hostwright`."""

    @field_validator("validating", mode="before")
    @classmethod
    def _program(cls, program: object) -> object:
        example = 'write a program and its arguments, such as [visudo, -cf, "%s"]'
        if isinstance(program, str):
            raise Mistake("no shell is involved, so a text is no program", example)
        if isinstance(program, (list, tuple)):
            if not program:
                raise Mistake("there is no program", example)
            if not all(isinstance(word, str) and word and "\0" not in word for word in program):
                raise Mistake("each of its words has to be a text", f"{example}, numbers in quotes")
            if not any(VALIDATED in word for word in program[1:]):
                raise Mistake(f"no argument says where the new content is: {VALIDATED} is missing", example)
        return program

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        said = [name for name in CONTENTS if getattr(self, name) is not None]
        edits = [name for name in EDITS if getattr(self, name)]
        if len(said) + bool(edits) != 1:
            raise Mistake(
                f"it is said by {' and '.join(said + edits) or 'nothing'} what is to be there",
                f"give exactly one of {', '.join(CONTENTS)}, or lines and blocks",
            )
        what = {*said, *edits}
        given = {name: getattr(self, "validating" if name == "validate" else name) for name in _GOES_WITH}
        wrong = [name for name, value in given.items() if value not in (None, ()) and what.isdisjoint(_GOES_WITH[name])]
        if wrong:
            problem = f"{' and '.join(wrong)} cannot be given together with {(said + edits)[0]}"
            raise Mistake(problem, "leave one of them out")
        if self.match is not None and self.line is None:
            raise Mistake("`match` without `line`", "write the line that it is to become, or use lines")
        if self.name is not None and (self.line is None) is (self.block is None):
            raise Mistake(
                "`name` names one `line` or one `block`", "leave it out: in `lines` and `blocks` the key is the name"
            )
        if both := sorted(self.named_lines().keys() & self.named_blocks().keys()):
            raise Mistake(f"a line and a block are both named {both[0]!r}", "give one of them another name")
        return self

    @property
    def has_parts(self) -> bool:
        """True if the entry wants lines or blocks."""
        return any(getattr(self, name) for name in EDITS)

    def parts(self, path: str) -> list[Item]:
        """The lines and blocks of the file at ``path``."""
        more: dict[str, Any] = {"path": path, "backup": self.backup, "validate": self.validating or ()}
        lines = [line.item(**more) for line in self.named_lines().values()]
        blocks = self.named_blocks().items()
        return lines + [
            Item(kind="block", part=name, text=block.content, comment=block.comment, **more) for name, block in blocks
        ]

    def named_lines(self) -> dict[str, LineEntry]:
        lines = dict(self.lines)
        if self.line is not None:
            lines[self.name or self.match or self.line] = LineEntry(line=self.line, match=self.match)
        return lines

    def named_blocks(self) -> dict[str, BlockEntry]:
        blocks = dict(self.blocks)
        if self.block is not None:
            blocks[self.name or DEFAULT_BLOCK] = BlockEntry(content=self.block)
        return blocks

    def merged(self, later: Self) -> Self:
        """The entry with ``later`` laid over it: lines and blocks are united by name; any other entry is replaced by
        ``later``."""
        if not (self.has_parts and later.has_parts):
            return later
        return type(self)(
            lines=self.named_lines() | later.named_lines(),
            blocks=self.named_blocks() | later.named_blocks(),
            backup=later.backup if "backup" in later.model_fields_set else self.backup,
            validate=later.validating if later.validating is not None else self.validating,
        )

    @property
    def attributes(self) -> dict[str, Any]:
        """The owner, the group and the fields that go with them, as an item takes them."""
        kept = {"backup": self.backup, "keep_acl": self.acl is not None, "validate": self.validating or ()}
        return {"owner": self.owner or "root", "group": self.group} | kept
