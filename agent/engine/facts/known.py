"""The commands of pyinfra's facts that are answered without a shell, recognised by their whole text.

Where another version of pyinfra has other commands, the shell answers: that is slower, never wrong. An answer is the
output of the command, byte for byte. It is given only where the command would end well.
"""

from __future__ import annotations

from functools import partial

from agent.engine.facts import accounts, files, programs
from agent.engine.facts.shape import Lines, Rests, Shape

_STAT = (
    "! (test -e {path} || test -L {path} ) || ( "
    "stat -c 'user=%U group=%G mode=%A atime=%X mtime=%Y ctime=%Z size=%s %N' {path} 2> /dev/null || "
    "stat -f 'user=%Su group=%Sg mode=%Sp atime=%a mtime=%m ctime=%c size=%z %N%SY' {path} || ls -ld {path} )"
)
_DIGEST = "test -e {path} && ( %s ) || true"
_DIGESTS = {
    "sha1": ("sha1sum", "shasum", "sha1"),
    "sha256": ("sha256sum", "shasum -a 256", "sha256"),
    "sha384": ("sha384sum", "shasum -a 384", "sha384"),
    "md5": ("md5sum", "md5"),
}
_GREP = "%s -e {pattern} {path} 2> /dev/null || ( find {path} -type f > /dev/null && echo {exists} || true )"
_MARKER = r"""[\w #:,;=@%&<>!"~-]+"""
_AWK = (
    f"awk '/{{end:{_MARKER}}}/{{ f=0}} f; /{{start:{_MARKER}}}/{{ f=1}} ' {{path}}"
    " || (find {path} -type f > /dev/null && echo {exists} || echo {missing} )"
)
USERS = """\
for i in `cat /etc/passwd | cut -d: -f1`; do
            ENTRY=`grep ^$i: /etc/passwd`;
            LASTLOG=`(((lastlog -u $i || lastlogin $i) 2> /dev/null) | grep ^$i | tr -s ' ')`;
            PASSWORD=`(grep ^$i: /etc/shadow || grep ^$i: /etc/master.passwd) 2> /dev/null | cut -d: -f2`;
            echo "$ENTRY|`id -gn $i`|`id -Gn $i`|$LASTLOG|$PASSWORD";
        done"""
"""The most expensive command: it asks all of NSS for each user."""

_GUARDED = (
    f"if command -v {{name:{programs.PROGRAM}}} >/dev/null 2>&1; then ( {{inner:.+}} );"
    " else echo '{otherwise:##\\w+##}'; fi"
)
"""The command of a fact that needs a program, with the answer where the program is missing."""

_UNIT = "systemctl show --all --property Id --property {property:SubState|UnitFileState} {unit}"


def _guarded(name: str, inner: str, otherwise: str) -> Lines | None:
    if programs.is_nowhere(name):
        return [otherwise]
    return answered(inner) if programs.which(name) else None


def _by_shell(**_: str) -> None:
    """No answer: the shell gives it. The questions that it rests on are known."""


SHAPES: tuple[Shape, ...] = (
    Shape(_STAT, files.status, Rests.ON_STATUS),
    *(
        Shape(
            _DIGEST % " || ".join(f"{program} {{path}} 2> /dev/null" for program in tried),
            partial(files.digest, name),
            Rests.ON_CONTENT,
        )
        for name, tried in _DIGESTS.items()
    ),
    Shape(_GREP % "grep", partial(files.matching, extended=False), Rests.ON_CONTENT),
    Shape(_GREP % "grep -E", partial(files.matching, extended=True), Rests.ON_CONTENT),
    Shape(_AWK, files.between, Rests.ON_CONTENT),
    *(Shape(f"find {{path}} -type {kind} || true", partial(files.below, kind=kind), Rests.ON_TREE) for kind in "fld"),
    Shape("( test -e {path} && cat {path} ) || echo {missing}", files.content_or, Rests.ON_CONTENT),
    Shape("cat {path}", files.existing_content, Rests.ON_CONTENT),
    Shape("cat {path} 2>/dev/null || true", files.content, Rests.ON_CONTENT),
    Shape("! test -e {path} || cat {path}", files.content, Rests.ON_CONTENT),
    Shape("! test -f {path} || cat {path}", files.regular_content, Rests.ON_CONTENT),
    Shape(f"command -v {{name:{programs.PROGRAM}}} || true", programs.which, Rests.ON_PROGRAM),
    Shape("uname -{letter:[snrm]}", programs.uname, Rests.ON_KERNEL),
    Shape("date +'%Y-%m-%dT%H:%M:%S%z'", programs.now, Rests.ON_TIME),
    Shape(f"echo ~{{user:{accounts.NAME}}}", accounts.home, Rests.ON_HOME),
    Shape(USERS, accounts.users, Rests.ON_USERS),
    Shape("dpkg -l", _by_shell, Rests.ON_PACKAGES),
    Shape(_UNIT, _by_shell, Rests.ON_UNIT),
    Shape(_GUARDED, _guarded, Rests.ON_PROGRAM_AND_ANSWER),
)


def answered(command: str) -> Lines | None:
    """The lines that ``command`` would print, where it would end well; None where it has to be run."""
    for known in SHAPES:
        words = known.words(command)
        if words is not None and (lines := known.answer(**words)) is not None:
            return lines
    return None
