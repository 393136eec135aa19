"""The page: what people see first, and what no value can break."""

from __future__ import annotations

import html
import string
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from agent.domain.host_phase import HostPhase
from agent.domain.report import LATEST, Adoption, Commits, Problem, ReportedChange
from agent.domain.status import LONGEST_SILENCE_S, HostStatus, ReportVerdict, report_path
from agent.fleet.render import PAGE_LIMIT, escape, readme
from tests.fleet.samples import NOW, SHA, report

GOLDEN = Path(__file__).parent / "golden"


def status(
    host: str = "web1", verdict: ReportVerdict = ReportVerdict.VERIFIED, why: str = "", **changed: object
) -> HostStatus:
    claimed = report(host, **changed) if verdict in (ReportVerdict.VERIFIED, ReportVerdict.UNADMITTED) else None
    return HostStatus(host, claimed, verdict, why, report_path(host))


def problem(message: str, hint: str = "") -> Problem:
    return Problem(kind="deploy-failed", message=message, hint=hint, consequence="retry", exit=7)


def drift(resource: str = "file:/etc/motd") -> ReportedChange:
    return ReportedChange(deploy="files", resource=resource, operation="write", cause="drift", state="held")


FLEET = (
    status("web1", adopted=(Adoption(sha=SHA, at=NOW - 86_400, soaked_s=86_400),)),
    status("web2", phase=HostPhase.DRIFTED, changes=(drift(), drift("file:/etc/issue"))),
    status("db1", phase=HostPhase.FAILED, problems=(problem("nginx: port 80 is taken | by apache", "stop apache2"),)),
    status("db2", phase=HostPhase.WAITING, commits=Commits()),
    status("new1", ReportVerdict.UNADMITTED, "no identities/new1.pub is merged"),
    status("new2", ReportVerdict.MISSING, "admitted, and no report yet"),
    status("old1", next_due=NOW - 1),
    status("forged1", ReportVerdict.REFUSED, "the signature does not match the message"),
    HostStatus(
        "hosts/<script>", None, ReportVerdict.UNREADABLE, "not the place of any host's report", "hosts/<script>"
    ),
)


@pytest.mark.parametrize(("name", "statuses"), [("fleet", FLEET), ("one", FLEET[:1]), ("none", ())])
def test_the_page_is_as_it_was_agreed(name: str, statuses: Sequence[HostStatus]) -> None:
    assert readme(statuses, inventory="production", as_of=NOW).decode() == (GOLDEN / f"{name}.md").read_text()


def test_the_order_of_reports_does_not_change_the_page() -> None:
    assert page(FLEET) == page(tuple(reversed(FLEET)))


def test_a_silent_host_is_not_shown_as_well() -> None:
    assert "silent, was converged" in page([status(next_due=NOW - 1)])


def test_a_refused_report_shows_no_claim() -> None:
    assert "converged" not in page([status("web1", ReportVerdict.REFUSED, "why")])


def test_a_big_fleet_shows_totals_and_those_that_are_not_well() -> None:
    fleet = [status(f"web{number}") for number in range(1500)] + [status("bad1", phase=HostPhase.FAILED)]
    shown = page(fleet)
    assert "**1501 hosts**" in shown
    assert "✅ 1500 converged" in shown
    assert "<code>bad1</code>" in shown
    assert "<code>web7</code>" not in shown
    assert len(shown) < 2000


def test_a_big_fleet_that_is_well_says_so() -> None:
    assert "Every host is well." in page([status(f"web{number}") for number in range(1500)])


def test_the_page_stays_below_what_forges_show_even_if_everything_is_wrong() -> None:
    fleet = [status("-" * 200 + str(number), ReportVerdict.REFUSED, "<" * 4000) for number in range(10_000)]
    written = readme(fleet, inventory="production", as_of=NOW)
    assert PAGE_LIMIT - 5000 < len(written) < 512_000
    assert written.endswith(b"see `hostwright status`.\n")


@pytest.mark.parametrize("at", [0, NOW + 10**8, LATEST])
def test_a_clock_that_says_anything_does_not_break_the_page(at: int) -> None:
    assert "web1" in page([status(at=at, next_due=at, adopted=(Adoption(sha=SHA, at=at, soaked_s=0),))])


def test_a_host_that_announces_an_endless_silence_is_silent_all_the_same() -> None:
    assert "silent, was converged" in page([status(at=NOW - LONGEST_SILENCE_S - 1, next_due=LATEST)])


def test_a_host_whose_clock_is_ahead_is_told() -> None:
    assert "its clock is 86400 s ahead" in page([status(at=NOW + 86_400, next_due=LATEST)])


texts = (
    st.text(max_size=200)
    | st.sampled_from(["www.example.org", "WWW.x", "https://x.org", "@ann", "a@b.org"])
    | st.text(alphabet="|`[]()<>!&*_#\\\n\r~:@\u202e\u200b\x00\x1b -ab", max_size=60)
)


@given(texts)
def test_an_escaped_value_is_one_line_of_signs_without_meaning(value: str) -> None:
    written = escape(value).replace("<!-- -->", "")
    unescaped = html.unescape(written)
    assert not set(written.replace("&#", "")) & (set(string.punctuation) - set(",;/?%.-"))
    assert "www." not in written.lower()
    assert unescaped.isprintable()
    assert len(written.splitlines()) <= 1


@given(host=texts, why=texts, message=texts, version=texts)
def test_a_markdown_reader_sees_every_value_as_plain_text_in_its_own_cell(
    host: str, why: str, message: str, version: str
) -> None:
    statuses = [
        HostStatus(host, None, ReportVerdict.UNREADABLE, why, host),
        status("web1", phase=HostPhase.FAILED, agent_version=version, problems=(problem(message),)),
    ]
    tokens = MarkdownIt("commonmark").enable("table").parse(page(statuses))
    rows = cells(tokens)
    assert [len(row) for row in rows] == [9, 9, 9]
    assert text_of(rows[1][1]) == f"<code>{shown(host)}</code>"
    assert text_of(rows[2][8]) == f"<code>{shown(version)}</code>"


def cells(tokens: Sequence[Token]) -> list[list[Token]]:
    rows: list[list[Token]] = []
    for position, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        if token.type in ("td_open", "th_open"):
            rows[-1].append(tokens[position + 1])
    return rows


def text_of(cell: Token) -> str:
    """What a reader makes of a cell; the only markup that it may find there is ours."""
    children = cell.children or []
    assert {child.type for child in children} <= {"text", "text_special", "html_inline"}
    assert {child.content for child in children if child.type == "html_inline"} <= {"<code>", "</code>", "<!-- -->"}
    return "".join(child.content for child in children)


def shown(value: str) -> str:
    """``value`` as the page may show it: shortened, without line ends and invisible signs."""
    return html.unescape(escape(value))


def page(statuses: Sequence[HostStatus]) -> str:
    return readme(statuses, inventory="production", as_of=NOW).decode()
