"""Kinds, exit codes and consequences of what can go wrong."""

from __future__ import annotations

import ast
import inspect
from enum import StrEnum
from itertools import pairwise

import pytest

from agent.domain.event import EventKind
from agent.domain.plan import HoldKind
from agent.errors import EXIT_PRECEDENCE, Exit, HostwrightError, InventoryError, SourceError, TrustError, first_exit
from agent.problems import ProblemKind


def test_no_cause_is_fine():
    assert first_exit([]) is Exit.FINE


def test_of_several_causes_the_first_in_the_published_order_is_the_exit_code():
    assert [int(code) for code in EXIT_PRECEDENCE] == [1, 2, 3, 6, 5, 4, 7, 8, 9, 10]
    assert first_exit([Exit.REPORT, Exit.SOURCE, Exit.TRUST]) is Exit.TRUST


def test_an_error_says_whether_time_alone_can_mend_it():
    assert SourceError("away").consequence == "retry"
    assert TrustError("unsigned").consequence == "stall"


def test_an_error_has_its_class_s_kind_unless_it_is_given_one():
    assert InventoryError("broken").kind == "inventory"
    assert TrustError("broken", kind=ProblemKind.HISTORY_REWRITTEN).kind == "history-rewritten"


def test_what_nobody_expected_is_a_bug():
    assert HostwrightError("?").exit is Exit.BUG


@pytest.mark.parametrize("kinds", [ProblemKind, HoldKind, EventKind])
def test_every_kind_is_followed_by_a_sentence_that_says_what_it_means(kinds: type[StrEnum]) -> None:
    body = ast.parse(inspect.getsource(kinds)).body[0].body  # type: ignore[attr-defined]
    pairs = pairwise(body)
    said = [after.value.value for node, after in pairs if isinstance(node, ast.Assign) and isinstance(after, ast.Expr)]
    assert len(said) == len(kinds)
    assert [sentence for sentence in said if not sentence.endswith(".")] == []
