"""A host that is not admitted asks for it beside its report, and asks no more once it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.domain.one_time_code import OneTimeCode
from agent.domain.request import REQUEST_LIMIT, request_path, requested_host
from agent.domain.status import report_path
from agent.errors import ReportError
from agent.host.admission import Admission, further_keys
from agent.host.identity import AGE_NAME, Identity, PublicIdentity, public_lines
from tests.fleet import samples
from tests.fleet.samples import DEADLINE_S
from tests.steps.asking import Fleet, Machine, rotate
from tests.steps.build import account, health, plan, planned

FIRST = request_path("web1")


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    samples.bare(tmp_path / "status.git")
    (tmp_path / "repo/inventories/prod").mkdir(parents=True)
    return Fleet(tmp_path)


@pytest.fixture
def web1(fleet: Fleet) -> Machine:
    return fleet.machine("one")


def test_a_host_that_is_not_admitted_asks_beside_its_report(fleet: Fleet, web1: Machine) -> None:
    web1.report()
    assert samples.paths(fleet.remote) == [report_path("web1"), f"{report_path('web1')}.sig", FIRST, f"{FIRST}.sig"]
    [found] = fleet.requests
    assert found.request is not None
    assert (found.host, found.request.lines, found.why, found.known) == ("web1", web1.lines, "", None)
    assert FIRST.split("/")[2:] == ["web1.json"]


def test_a_host_asks_once(fleet: Fleet, web1: Machine) -> None:
    web1.report()
    before = samples.show(fleet.remote, FIRST)
    web1.report()
    changed = samples.git("diff", "--name-only", "status~1", "status", cwd=fleet.remote).decode().split()
    assert changed == [report_path("web1"), f"{report_path('web1')}.sig"]
    assert samples.show(fleet.remote, FIRST) == before


def test_a_request_that_somebody_removed_is_there_again_with_the_next_report(fleet: Fleet, web1: Machine) -> None:
    web1.report()
    samples.tamper(fleet.remote, {FIRST: None, f"{FIRST}.sig": None})
    web1.report()
    assert [found.path for found in fleet.requests] == [FIRST]


@pytest.mark.parametrize("content", [None, b"garbage\n"])
@pytest.mark.parametrize("path", [FIRST, f"{FIRST}.sig"])
def test_a_request_of_which_somebody_changed_one_file_is_whole_with_the_next_report(
    fleet: Fleet, web1: Machine, path: str, content: bytes | None
) -> None:
    web1.report()
    samples.tamper(fleet.remote, {path: content})
    web1.report()
    assert web1.key in [found.request.ssh for found in fleet.requests if found.request]


def test_a_request_and_the_code_are_gone_once_the_host_is_admitted(fleet: Fleet, web1: Machine) -> None:
    web1.paths.code.write_text(OneTimeCode.new().text)
    web1.report()
    fleet.admit(web1.lines)
    web1.report(news=False)
    assert samples.paths(fleet.remote) == [report_path("web1"), f"{report_path('web1')}.sig"]
    assert not web1.paths.code.exists()
    assert not web1.paths.request.exists()


def test_an_admitted_host_asks_for_nothing(fleet: Fleet, web1: Machine) -> None:
    Identity.ensure(web1.paths.identity, "web1")
    fleet.admit(web1.lines)
    web1.report()
    assert fleet.requests == []


def test_a_host_that_is_admitted_without_a_key_for_secrets_asks_and_is_vouched_for(fleet: Fleet, web1: Machine) -> None:
    fleet.admit(f"{web1.key}\n".encode())
    web1.report()
    [found] = fleet.requests
    assert found.vouched
    assert report_path("web1") in samples.paths(fleet.remote)


def test_a_code_proves_whose_request_it_is(fleet: Fleet, web1: Machine) -> None:
    code = OneTimeCode.new()
    web1.paths.code.write_text(code.text)
    web1.report()
    [found] = fleet.requests
    assert found.proved_by(code)
    assert not found.proved_by(OneTimeCode.new())
    assert code.text not in samples.git("log", "-p", "status", cwd=fleet.remote).decode()


def test_a_code_that_comes_later_is_put_into_the_request(fleet: Fleet, web1: Machine) -> None:
    web1.report()
    code = OneTimeCode.new()
    web1.paths.code.write_text(code.text)
    web1.report()
    [found] = fleet.requests
    assert found.proved_by(code)


def test_two_machines_that_ask_for_one_name_are_both_to_be_seen(fleet: Fleet, web1: Machine) -> None:
    other = fleet.machine("two")
    for machine in (web1, other, web1, other):
        machine.report()
    assert {found.request.ssh for found in fleet.requests if found.request} == {web1.key, other.key}
    assert {found.host for found in fleet.requests} == {"web1"}
    fleet.admit(web1.lines)
    web1.report()
    assert [found.request.ssh for found in fleet.requests if found.request] == [other.key]


def test_a_machine_never_writes_over_the_report_of_the_host_that_is_admitted_by_its_name(
    fleet: Fleet, web1: Machine
) -> None:
    Identity.ensure(web1.paths.identity, "web1")
    fleet.admit(web1.lines)
    web1.report()
    before = samples.show(fleet.remote, report_path("web1"))
    other = fleet.machine("two")
    assert other.report() == ["name-taken"]
    assert samples.show(fleet.remote, report_path("web1")) == before
    [found] = fleet.requests
    assert found.request is not None
    assert (found.request.ssh, found.known, found.vouched) == (other.key, fleet.known["web1"], False)
    assert other.report(news=False) == ["name-taken"]
    assert len(samples.history(fleet.remote)) == 2


def test_the_admitted_key_vouches_for_the_next_one(fleet: Fleet, web1: Machine) -> None:
    Identity.ensure(web1.paths.identity, "web1")
    fleet.admit(web1.lines)
    web1.report()
    rotate(web1)
    [found] = fleet.requests
    assert found.request is not None
    assert found.vouched
    assert found.request.ssh != web1.key
    web1.report()
    signature = samples.show(fleet.remote, f"{report_path('web1')}.sig")
    assert signature == Identity.load(web1.paths.identity, "web1").sign(samples.show(fleet.remote, report_path("web1")))


def test_the_next_keys_are_taken_up_once_they_are_admitted_and_the_former_one_still_reads(
    fleet: Fleet, web1: Machine
) -> None:
    Identity.ensure(web1.paths.identity, "web1")
    fleet.admit(web1.lines)
    web1.report()
    former = (web1.paths.identity / AGE_NAME).read_text().strip()
    rotate(web1)
    [found] = fleet.requests
    assert found.request is not None
    fleet.admit(found.request.lines)
    web1.report(news=False)
    assert web1.lines == found.request.lines
    assert fleet.requests == []
    assert not web1.paths.next_identity.exists()
    assert list(further_keys(web1.paths)) == [former]
    document = samples.show(fleet.remote, report_path("web1"))
    assert samples.show(fleet.remote, f"{report_path('web1')}.sig") == Identity.load(web1.paths.identity, "web1").sign(
        document
    )


@pytest.mark.parametrize("moves", [0, 1])
def test_keys_that_were_taken_up_by_half_are_taken_up_whole(
    fleet: Fleet, web1: Machine, moves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Identity.ensure(web1.paths.identity, "web1")
    fleet.admit(web1.lines)
    rotate(web1)
    [found] = fleet.requests
    assert found.request is not None
    fleet.admit(found.request.lines)
    moved: list[Path] = []

    def rename(path: Path, target: Path, real: Callable[[Path, Path], Path] = Path.rename) -> Path:
        if len(moved) == moves:
            raise KeyboardInterrupt
        moved.append(path)
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        with pytest.raises(KeyboardInterrupt):
            web1.report(news=False)
    web1.report(news=False)
    assert web1.lines == found.request.lines
    assert fleet.requests == []


@pytest.mark.parametrize("cut", ["prepare", "keep"])
def test_keys_that_were_asked_for_by_half_are_taken_up_once_they_are_admitted(
    fleet: Fleet, web1: Machine, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Identity.ensure(web1.paths.identity, "web1")
    fleet.admit(web1.lines)
    web1.report()
    with monkeypatch.context() as patch:
        patch.setattr(Admission, cut, cut_off)
        with pytest.raises(KeyboardInterrupt):
            rotate(web1)
    line, age = public_lines(web1.paths.next_identity, "web1")
    fleet.admit(f"{line}\n{age}\n".encode())
    assert web1.report(news=False) == []
    assert web1.lines.split() == f"{line}\n{age}\n".encode().split()
    assert fleet.requests == []
    assert not web1.paths.next_identity.exists()


def cut_off(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_request_that_was_pushed_and_not_noted_is_replaced_and_not_doubled(
    fleet: Fleet, web1: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    web1.report()
    web1.paths.code.write_text(OneTimeCode.new().text)
    for cut in ("prepare", "keep"):
        with monkeypatch.context() as patch:
            patch.setattr(Admission, cut, cut_off)
            with pytest.raises(KeyboardInterrupt):
                web1.report()
    web1.report()
    assert [found.path for found in fleet.requests] == [FIRST]
    assert not web1.paths.former_request.exists()


def test_a_push_that_failed_leaves_no_second_request(fleet: Fleet, web1: Machine) -> None:
    web1.report()
    web1.paths.code.write_text(OneTimeCode.new().text)
    away = fleet.remote.rename(fleet.folder / "away.git")
    with pytest.raises(ReportError):
        web1.report()
    away.rename(fleet.remote)
    web1.report()
    [found] = fleet.requests
    assert found.request is not None
    assert (found.path, bool(found.request.seal)) == (FIRST, True)


def test_keys_that_wait_to_be_admitted_are_asked_for_again(fleet: Fleet, web1: Machine) -> None:
    Identity.ensure(web1.paths.identity, "web1")
    fleet.admit(web1.lines)
    assert rotate(web1)
    [found] = fleet.requests
    assert not rotate(web1)
    assert fleet.requests == [found]
    assert found.request is not None
    fleet.admit(found.request.lines)
    assert web1.report() == []
    assert web1.lines == found.request.lines


def test_keys_that_were_admitted_meanwhile_are_taken_up_before_others_are_made(fleet: Fleet, web1: Machine) -> None:
    Identity.ensure(web1.paths.identity, "web1")
    fleet.admit(web1.lines)
    rotate(web1)
    [found] = fleet.requests
    assert found.request is not None
    fleet.admit(found.request.lines)
    assert rotate(web1)
    assert web1.lines == found.request.lines


def test_keys_that_nobody_asked_for_yet_stay_where_others_are_admitted(fleet: Fleet, web1: Machine) -> None:
    web1.report()
    own = web1.lines
    Identity.ensure(web1.paths.next_identity, "web1")  # cut off behind this
    fleet.admit(own)
    web1.report()
    assert web1.lines == own
    [found] = fleet.requests
    assert found.vouched


def test_a_host_shows_its_fingerprint_until_it_is_admitted(fleet: Fleet, web1: Machine) -> None:
    web1.report()
    fingerprint = PublicIdentity(web1.key).fingerprint
    assert fingerprint in web1.paths.motd.read_text()
    web1.paths.motd.unlink()  # as a reboot does
    web1.report(news=False)
    assert web1.paths.motd.exists()
    fleet.admit(web1.lines)
    web1.report()
    assert not web1.paths.motd.exists()


def test_what_a_host_withdraws_is_its_report_and_its_request(fleet: Fleet, web1: Machine) -> None:
    other = fleet.machine("two")
    other.report()
    web1.report()
    web1.reporter.withdraw()
    assert samples.paths(fleet.remote) == [FIRST, f"{FIRST}.sig"]
    assert [found.request.ssh for found in fleet.requests if found.request] == [other.key]


def test_a_request_that_is_not_whole_is_not_believed(fleet: Fleet, web1: Machine) -> None:
    web1.report()
    whole = json.loads(samples.show(fleet.remote, FIRST))
    stranger = PublicIdentity(Identity.ensure(fleet.folder / "stranger", "web1").public_line)
    for changed, why in (
        ({}, ""),
        ({"ssh": stranger.key, "fingerprint": stranger.fingerprint}, "not signed by the key that it asks for"),
        ({"fingerprint": stranger.fingerprint}, "its fingerprint is not that of its key"),
        ({"host": "web2"}, "it is for another host, web2"),
        ({"age": "age1qqqq"}, "age"),
        ({"at": 2**60}, "at: "),
        ({"agent_version": "1\n\x1b[2J" * 40}, "agent_version: "),
        ({"voucher": ["deep"]}, "voucher: "),
    ):
        forge(fleet, web1, FIRST, whole | changed)
        [found] = fleet.requests
        assert why in found.why
        assert (found.request is None, found.why.isprintable()) == (bool(changed), True)


def forge(fleet: Fleet, machine: Machine, path: str, document: object) -> None:
    """Put ``document`` on the branch, signed by the machine's key."""
    content = json.dumps(document).encode()
    signature = Identity.load(machine.paths.identity, "web1").sign(content, "hostwright-request")
    samples.tamper(fleet.remote, {path: content, f"{path}.sig": signature})


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 5000, b"{}", b"x" * (REQUEST_LIMIT + 1), b'{"host": 1}'])
def test_what_is_no_request_is_told_as_such(fleet: Fleet, content: bytes) -> None:
    samples.tamper(fleet.remote, {FIRST: content})
    [found] = fleet.requests
    assert (found.host, found.request) == ("web1", None)
    assert found.why


def test_a_request_lies_at_the_place_of_its_host() -> None:
    for host in ("web1", "a.json", "a.json.json"):
        assert requested_host(request_path(host)) == host
        assert requested_host(request_path(host, "ssh-ed25519 AAAA")) == host
    for path in ("requests/zz/web1.json", f"{FIRST}.sig", "requests/web1.json", "requests/00/[red].json"):
        assert requested_host(path) is None


def test_a_voucher_of_another_request_vouches_for_nothing(fleet: Fleet, web1: Machine) -> None:
    Identity.ensure(web1.paths.identity, "web1")
    fleet.admit(web1.lines)
    rotate(web1)
    voucher = json.loads(samples.show(fleet.remote, FIRST))["voucher"]
    other = fleet.machine("two")
    other.report()
    at = next(found.path for found in fleet.requests if found.request and found.request.ssh == other.key)
    forge(fleet, other, at, json.loads(samples.show(fleet.remote, at)) | {"voucher": voucher})
    found = next(found for found in fleet.requests if found.path == at)
    assert found.request is not None
    assert not found.vouched


def test_a_reader_takes_so_many_requests_and_says_how_many_more_there_are(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.fleet.requests.REQUESTS_MOST", 3)
    samples.tamper(fleet.remote, {request_path(f"web{number}"): b"{}" for number in range(5)})
    found = samples.branch(fleet.folder, fleet.remote.as_uri(), "desk").requests(DEADLINE_S)
    assert (len(found.found), found.left_out) == (3, 2)


def test_what_lies_at_no_hosts_place_crowds_no_request_out(
    fleet: Fleet, web1: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.fleet.requests.REQUESTS_MOST", 3)
    monkeypatch.setattr("agent.fleet.requests.REQUESTS_OF_ONE_MOST", 3)
    web1.report()
    folder = FIRST.rpartition("/")[0]
    crowd = [f"requests/00/{number}.json" for number in range(4)]
    crowd += [f"{folder}/web1+{number:016x}.json" for number in range(4)]
    samples.tamper(fleet.remote, dict.fromkeys(crowd, b"{}"))
    branch = samples.branch(fleet.folder, fleet.remote.as_uri(), "desk")
    assert [branch.requests(DEADLINE_S, host).found[0].path for host in ("web1", None)] == [FIRST, FIRST]


def test_a_request_counts_only_at_the_place_of_its_key(fleet: Fleet, web1: Machine) -> None:
    web1.report()
    files = {end: samples.show(fleet.remote, f"{FIRST}{end}") for end in ("", ".sig")}
    copy = f"{FIRST.removesuffix('.json')}+{0:016x}.json"
    samples.tamper(fleet.remote, {f"{copy}{end}": content for end, content in files.items()})
    assert {found.path: found.why for found in fleet.requests} == {
        FIRST: "",
        copy: "not the place of a request for its key",
    }
    web1.report()
    assert [found.path for found in fleet.requests] == [FIRST]


def test_a_host_whose_keys_cannot_be_used_for_secrets_reports_all_the_same(fleet: Fleet, web1: Machine) -> None:
    Identity.ensure(web1.paths.identity, "web1")
    (web1.paths.identity / AGE_NAME).chmod(0o644)
    web1.report()
    assert samples.paths(fleet.remote) == [report_path("web1"), f"{report_path('web1')}.sig"]


def test_a_host_that_nobody_is_to_admit_asks_for_nothing(fleet: Fleet, web1: Machine) -> None:
    told = replace(web1.reporter, admission=None)
    told.report(account(after=plan(planned()), health=health()))
    assert fleet.requests == []
