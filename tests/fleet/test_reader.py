"""What strangers push is shown for what it is; nothing on the branch makes a reader fail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agent.cli.commands.status import row
from agent.domain.report import Report
from agent.domain.status import HostStatus, RawDocument, ReportVerdict, Signed, encode, report_path, signature_path
from agent.fleet.reader import MANY, judge, judge_all, now_seen, parse
from agent.fleet.render import readme
from tests.fleet import hostile, samples
from tests.fleet.samples import DEADLINE_S, DIGEST, bare, branch, identity, report, signed, tamper


def found(one: Signed, path: str | None = None) -> RawDocument:
    return RawDocument(path or report_path(one.report.host), one.document, one.signature)


SCHEMA = TypeAdapter(Report)


def line(folder: Path, host: str = "web1") -> Mapping[str, str]:
    return {host: identity(folder, host).public_line}


def test_a_report_signed_by_its_host_is_verified(tmp_path: Path) -> None:
    status = judge(found(signed(tmp_path)), line(tmp_path), {})
    assert (status.verdict, status.report) == (ReportVerdict.VERIFIED, report())
    assert status.verified
    assert status.well


def test_a_report_signed_with_another_host_s_key_is_refused(tmp_path: Path) -> None:
    forged = identity(tmp_path, "web2").signed(report("web1"))
    refused(judge(found(forged), line(tmp_path, "web1"), {}), "by this key")


def test_another_host_s_report_at_a_host_s_path_is_refused(tmp_path: Path) -> None:
    copied = found(signed(tmp_path, "web2"), report_path("web1"))
    refused(judge(copied, line(tmp_path, "web1") | line(tmp_path, "web2"), {}), "another host, web2")


def test_a_report_about_another_host_is_refused_even_where_nobody_is_admitted(tmp_path: Path) -> None:
    refused(judge(found(signed(tmp_path, "web2"), report_path("web1")), {}, {}), "another host, web2")


def test_a_report_with_one_byte_altered_is_refused(tmp_path: Path) -> None:
    one = signed(tmp_path)
    altered = one.document.replace(b'"unowned": 0', b'"unowned": 1')
    refused(judge(RawDocument(report_path("web1"), altered, one.signature), line(tmp_path), {}), "does not match")


def test_a_report_without_a_signature_is_refused(tmp_path: Path) -> None:
    refused(judge(RawDocument(report_path("web1"), signed(tmp_path).document, None), line(tmp_path), {}), "not signed")


def test_a_report_older_than_one_seen_before_is_refused(tmp_path: Path) -> None:
    old, new = signed(tmp_path, sequence=1), signed(tmp_path, sequence=2)
    seen = now_seen(judge_all([found(new)], line(tmp_path)), {})
    refused(judge(found(old), line(tmp_path), seen), "an old report")
    assert judge(found(new), line(tmp_path), seen).verified


def test_what_was_seen_is_remembered_of_verified_reports_only_and_never_lowered(tmp_path: Path) -> None:
    statuses = judge_all([found(signed(tmp_path, "web1", 5)), found(signed(tmp_path, "web2", 9))], line(tmp_path))
    assert now_seen(statuses, {"web1": 7, "web3": 1}) == {"web1": 7, "web3": 1}
    assert now_seen(statuses, {}) == {"web1": 5}


def test_a_host_that_is_not_admitted_is_shown_with_its_claim(tmp_path: Path) -> None:
    status = judge(found(signed(tmp_path)), {}, {})
    assert (status.verdict, status.verified) == (ReportVerdict.UNADMITTED, False)
    assert status.report == report()
    assert "identities/web1.pub" in status.why


def test_a_host_that_is_admitted_and_never_reported_is_listed(tmp_path: Path) -> None:
    (status,) = judge_all([], line(tmp_path))
    assert (status.host, status.verdict) == ("web1", ReportVerdict.MISSING)


HOSTILE = {
    "nothing": b"",
    "not JSON": b"<html>",
    "not UTF-8": b'{"host": "\xff"}',
    "deep": b"[" * 100_000,
    "half a character": b'{"host": "\\ud800"}',
    "a list": b"[]",
    "another version": encode(report()).replace(b'"version": 1', b'"version": 2'),
    "a truth for a version": encode(report()).replace(b'"version": 1', b'"version": true'),
    "a fraction for a version": encode(report()).replace(b'"version": 1', b'"version": 1.0'),
    "an unknown key": encode(report()).replace(b'"version": 1', b'"version": 1, "x": 1'),
    "a number in words": encode(report()).replace(b'"unowned": 0', b'"unowned": "0"'),
    "an endless number": b'{"sequence": ' + b"9" * 200_000 + b"}",
}


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_not_a_report_is_shown_as_unreadable(tmp_path: Path, document: bytes) -> None:
    status = judge(RawDocument(report_path("web1"), document, b""), line(tmp_path), {})
    assert (status.host, status.report, status.verdict) == ("web1", None, ReportVerdict.UNREADABLE)
    assert status.why.startswith("not a report: ")


def test_many_reports_are_judged_as_few_are() -> None:
    few = [RawDocument(report_path(told.host), encode(told), None) for told in map(hostile.report, range(40))]
    few += [RawDocument(report_path("web1"), document, None) for document in HOSTILE.values()]
    times = MANY // len(few) + 1
    assert sorted(map(repr, judge_all(few * times, {}))) == sorted([*map(repr, judge_all(few, {}))] * times)


@pytest.mark.parametrize(
    "path", ["hosts/web1.json", "hosts/00/web1.json", "hosts/aa/../../etc/passwd.json", "hosts/55/.json", "hosts/x/y"]
)
def test_a_path_that_is_no_host_s_is_shown_as_unreadable(tmp_path: Path, path: str) -> None:
    status = judge(found(signed(tmp_path), path), line(tmp_path), {})
    assert (status.host, status.report, status.verdict) == (path, None, ReportVerdict.UNREADABLE)


def test_a_valid_report_is_judged_and_shown_whatever_it_says() -> None:
    for told in map(hostile.report, range(300)):
        status = judge(RawDocument(report_path(told.host), encode(told), None), {}, {})
        assert (status.verdict, status.report) == (ReportVerdict.UNADMITTED, told)
        assert all(cell.isprintable() for cell in row(status, samples.NOW))
        assert readme([status], inventory="production", as_of=samples.NOW).decode().count("\n| ") == 2


ODD: tuple[object, ...] = (None, True, -1, 0, 1, 2**40, 2**70, 1.0, 1e999, "", "a", "a\n", "0" * 40, "x" * 5000)
ODD += ([], [1], {}, {"x": 1}, ["a"] * 300, [DIGEST], [DIGEST] * 51)


@given(seed=st.integers(0, 300), data=st.data())
def test_a_report_is_read_where_its_schema_is_held_and_nowhere_else(seed: int, data: st.DataObject) -> None:
    """pydantic is the oracle: it makes the schema that is published."""
    told = json.loads(encode(hostile.report(seed)))
    place = told
    while True:
        name = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not (isinstance(place[name], (dict, list)) and place[name] and data.draw(st.booleans())):
            break
        place = place[name]
    if data.draw(st.booleans()):
        place[name] = data.draw(st.sampled_from(ODD))
    else:
        del place[name]
    document = json.dumps(told).encode()
    try:
        wanted = SCHEMA.validate_json(document, strict=True)
    except ValidationError:
        with pytest.raises(ValueError, match=r"."):
            parse(document)
    else:
        assert repr(parse(document)) == repr(wanted)  # True equals 1, and so does 1.0


@given(path=st.text(max_size=60), document=st.binary(max_size=300), signature=st.none() | st.binary(max_size=300))
def test_no_noise_makes_a_reader_fail(path: str, document: bytes, signature: bytes | None) -> None:
    for place in (path, f"hosts/{path}", report_path("web1")):
        assert judge(RawDocument(place, document, signature), {"web1": "ssh-ed25519 AAAA"}, {}).report is None


@given(data=st.data())
def test_no_change_to_a_signed_report_keeps_it_verified(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "altered"
    one = signed(folder)
    position = data.draw(st.integers(0, len(one.document) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != one.document[position]))
    altered = one.document[:position] + bytes([byte]) + one.document[position + 1 :]
    assert not judge(RawDocument(report_path("web1"), altered, one.signature), line(folder), {}).verified


def test_a_hostile_branch_is_read_to_its_end(tmp_path: Path) -> None:
    remote, good = bare(tmp_path / "r.git"), signed(tmp_path)
    huge = report_path("huge")
    tamper(
        remote,
        {
            report_path("web1"): good.document,
            signature_path("web1"): good.signature,
            huge: b" " * 300_000,
            report_path("giant"): b" " * 2_000_000,
            report_path("unsigned"): encode(report("unsigned")),
            report_path("hugesig"): encode(report("hugesig")),
            signature_path("hugesig"): b"x" * 100_000,
            "hosts/00/alone.json.sig": b"x",
            "hosts/README": b"hello",
            "hosts/aa/|<b>`x`.json": b"{}",
            "elsewhere.json": b"{}",
        },
    )
    samples.git("config", "uploadpack.allowFilter", "true", cwd=remote)
    add_odd_entries(remote)
    identities = {host: identity(tmp_path, host).public_line for host in ("web1", "unsigned", "hugesig")}
    statuses = judge_all(branch(tmp_path, remote.as_uri()).read(DEADLINE_S), identities)
    verdicts = {status.host: status.verdict for status in statuses}
    assert verdicts == {
        "web1": ReportVerdict.VERIFIED,
        "huge": ReportVerdict.UNREADABLE,
        "giant": ReportVerdict.UNREADABLE,
        "unsigned": ReportVerdict.REFUSED,
        "hugesig": ReportVerdict.REFUSED,
        "hosts/00/alone.json.sig": ReportVerdict.UNREADABLE,
        "hosts/README": ReportVerdict.UNREADABLE,
        "hosts/aa/|<b>`x`.json": ReportVerdict.UNREADABLE,
        "hosts/link.json": ReportVerdict.UNREADABLE,
        "hosts/module": ReportVerdict.UNREADABLE,
        "hosts/new\\nline.json": ReportVerdict.UNREADABLE,
        "hosts/\\xff.json": ReportVerdict.UNREADABLE,
    }


def add_odd_entries(remote: Path) -> None:
    """A link, a submodule, a name with a line end, a name that is no text: fast-import and mktree take them."""
    stream = (
        b"commit refs/heads/status\ncommitter x <x@x> 1 +0000\ndata 1\nx\nfrom refs/heads/status^0\n"
        b"M 120000 inline hosts/link.json\ndata 11\n/etc/passwd\n"
        b"M 160000 " + b"1" * 40 + b" hosts/module\n"
        b'M 100644 inline "hosts/new\\nline.json"\ndata 2\n{}\n'
        b'M 100644 inline "hosts/\\377.json"\ndata 2\n{}\n'
    )
    samples.git("fast-import", "--quiet", "--date-format=raw", cwd=remote, input=stream)


def test_a_report_is_valid_against_the_published_schema(tmp_path: Path) -> None:
    import jsonschema

    schema = SCHEMA.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(signed(tmp_path).document), schema)


def refused(status: HostStatus, why: str) -> None:
    assert (status.verdict, status.report, status.verified) == (ReportVerdict.REFUSED, None, False)
    assert why in status.why
