"""What is told with drift: what the daemon saw, and what the logs say of that moment."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.domain.question import Question, QuestionKind
from agent.steps.evidence import evidence
from agent.trace.answers import trace
from agent.trace.rest import Suspicion, read_suspicion, write_suspicion

AT = datetime(2026, 11, 30, 2, 20, 11, tzinfo=UTC).timestamp()


def suspected(*changes: tuple[str, str]) -> Suspicion:
    return Suspicion(AT - 30, AT, changes)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    def line(offset_s: float, words: str) -> str:
        return f"{datetime.fromtimestamp(AT + offset_s):%Y-%m-%d %H:%M:%S} {words}\n"  # noqa: DTZ006 - dpkg writes so

    log = tmp_path / "dpkg.log"
    log.write_text(line(-60, "install before") + line(-10, "install nginx") + "garbage\n" + line(60, "remove after"))
    return log


def test_a_changed_file_is_told_with_its_times_and_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "motd"
    file.write_text("by hand")
    os.utime(file, (0, 0))
    answer = trace([Question(QuestionKind.PATH, f"{file}")]).rstrip("\n").split("\t")[2]
    (told,) = (line for line in evidence(suspected((f"{file}", answer)), []) if line.startswith(f"{file}"))
    assert "content of 1970-01-01 00:00:00Z, belongs to root:root" in told


def test_what_is_gone_and_what_is_no_path_is_named() -> None:
    told = evidence(suspected(("/etc/motd", "-"), ("web.service", "Id=web.service")), [])
    assert told[:2] == ("/etc/motd: gone", "web.service: is another way")


def test_the_log_of_that_moment_is_told_and_of_no_other(log: Path) -> None:
    assert [line for line in evidence(suspected(), [log]) if "dpkg" in line] == [
        f"dpkg.log: {datetime.fromtimestamp(AT - 10):%Y-%m-%d %H:%M:%S} install nginx"  # noqa: DTZ006
    ]


def test_lines_are_few_short_and_harmless(log: Path) -> None:
    stamp = f"{datetime.fromtimestamp(AT):%Y-%m-%d %H:%M:%S}"  # noqa: DTZ006
    log.write_text(f"{stamp} \x1b[31m{'x' * 1000}\n" * 100)
    told = [line for line in evidence(suspected(), [log]) if "dpkg" in line]
    assert len(told) == 10
    assert all(len(line) <= 200 and line.isprintable() for line in told)


def test_a_suspicion_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    for content in ("", "[]", '{"since": 1}', '{"since": 1, "at": 2, "changes": 3}'):
        (tmp_path / "suspicion").write_text(content)
        assert read_suspicion(tmp_path / "suspicion") is None
    write_suspicion(tmp_path / "suspicion", suspected(("/etc/motd", "-")))
    read = read_suspicion(tmp_path / "suspicion")
    assert read is not None
    assert vars(read) == vars(suspected(("/etc/motd", "-")))
