"""Attacks by whoever can push to the status branch, one test each: `hostwright status` of an administrator shows what
each is, and believes none. Eve can push; web1 and web2 are admitted, web3 is in the inventory and not admitted yet.
"""

from __future__ import annotations

import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import run
from agent.domain.report import LATEST
from agent.domain.status import Signed, report_path, signature_path
from agent.domain.text import escaped
from tests.adversary.victim import INVENTORY
from tests.fleet import hostile
from tests.fleet.samples import NOW, bare, identity, report, signed, tamper
from tests.gitserver import ConfigRepo

HOSTS = ("web1", "web2")


@dataclass
class Administrator:
    """Has a clone of the config repo, and has looked at the status branch when both hosts were well."""

    config: ConfigRepo
    branch: Path
    keys: Path

    def push(self, one: Signed, host: str = "") -> None:
        """By whoever may: a report and its signature, at the place of ``host``."""
        name = host or one.report.host
        tamper(self.branch, {report_path(name): one.document, signature_path(name): one.signature})

    def sees(self, host: str = "web1") -> dict[str, Any]:
        return next(each for each in json.loads(self.status("--json"))["data"] if each["host"] == host)

    def status(self, *options: str) -> str:
        with redirect_stdout(StringIO()) as told, redirect_stderr(StringIO()) as complained:
            code = run(["--repo", f"{self.config.path}", "status", *options, "--remote", f"{self.branch}"])
        assert code == 0, complained.getvalue()
        return told.getvalue()

    def table(self, *options: str) -> list[str]:
        """The rows, without their heading."""
        return self.status(*options).split("\n")[1:-1]


@pytest.fixture
def admin(tmp_path: Path) -> Administrator:
    admin = Administrator(ConfigRepo(tmp_path / "config"), bare(tmp_path / "status.git"), tmp_path / "keys")
    files: dict[str, str | bytes | None] = {
        f"{INVENTORY}/identities/{host}.pub": f"{identity(admin.keys, host).public_line}\n" for host in HOSTS
    }
    files[f"{INVENTORY}/hosts.yaml"] = "all: {hosts: {web1: {}, web2: {}, web3: {}}}\n"
    admin.config.commit("Admit", files | {f"{INVENTORY}/site.yaml": "[]\n"})
    for host in HOSTS:
        admin.push(signed(admin.keys, host, sequence=10))
    assert [admin.sees(host)["verdict"] for host in HOSTS] == ["verified", "verified"]
    return admin


def refused(admin: Administrator, why: str, host: str = "web1") -> None:
    seen = admin.sees(host)
    assert (seen["verdict"], seen["report"]) == ("refused", None)
    assert why in seen["why"]


def test_a_replayed_report(admin: Administrator) -> None:
    old = signed(admin.keys, "web1", sequence=10)
    admin.push(signed(admin.keys, "web1", sequence=11))
    assert admin.sees()["verdict"] == "verified"
    admin.push(old)
    refused(admin, "an old report")


def test_a_replayed_report_on_a_branch_that_begins_anew(admin: Administrator) -> None:
    admin.push(signed(admin.keys, "web1", sequence=11))
    admin.sees()
    admin.config.git("-C", f"{admin.branch}", "update-ref", "-d", "refs/heads/status")
    admin.push(signed(admin.keys, "web1", sequence=10))
    refused(admin, "an old report")


def test_a_report_forged_with_a_key_of_ones_own(admin: Administrator, tmp_path: Path) -> None:
    admin.push(identity(tmp_path / "eve", "web1").signed(report("web1", 12)))
    refused(admin, "by this key")


def test_a_report_signed_by_another_host(admin: Administrator) -> None:
    admin.push(identity(admin.keys, "web2").signed(report("web1", 12)))
    refused(admin, "by this key")


def test_another_host_s_report_in_the_place_of_one(admin: Administrator) -> None:
    admin.push(signed(admin.keys, "web2", sequence=12), "web1")
    refused(admin, "another host, web2")


def test_a_report_without_its_signature(admin: Administrator) -> None:
    tamper(admin.branch, {signature_path("web1"): None})
    refused(admin, "not signed")


def test_a_report_of_a_host_that_nobody_admitted(admin: Administrator) -> None:
    admin.push(signed(admin.keys, "web3", sequence=12))
    seen = admin.sees("web3")
    assert seen["verdict"] == "not-admitted"
    assert "anybody could have written this" in seen["why"]


def test_a_report_that_was_taken_away(admin: Administrator) -> None:
    tamper(admin.branch, {report_path("web1"): None, signature_path("web1"): None})
    assert (admin.sees()["verdict"], admin.sees("web2")["verdict"]) == ("missing", "verified")


@pytest.mark.parametrize("name", ["web1/../../x", "../web1", "web1\n| web9 | ok", "-rf"])
def test_a_report_that_names_a_path_for_its_host(admin: Administrator, name: str) -> None:
    document = signed(admin.keys, "web1", sequence=12).document.replace(b'"web1"', json.dumps(name).encode())
    tamper(admin.branch, {report_path("web1"): document})
    seen = admin.sees()
    assert (seen["verdict"], seen["report"]) == ("unreadable", None)


@pytest.mark.parametrize("seed", range(2))
def test_the_words_and_numbers_of_a_host_that_was_taken_over(admin: Administrator, seed: int) -> None:
    told = hostile.report(seed, host="web1", sequence=LATEST * 1000)
    admin.push(identity(admin.keys, "web1").signed(told))
    admin.push(signed(admin.keys, "web3", problems=(), agent_version="[/x]"))
    rows = admin.table()
    assert [row.split()[0] for row in rows] == ["web1", "web2", "web3"]
    assert all(row.isprintable() for row in rows)
    assert admin.sees()["verdict"] == "verified"


def test_names_of_files_that_are_markup_or_move_the_cursor(admin: Administrator) -> None:
    names = ("[]", "[/etc/x]", "[bold red]x", "\x1b[2J", "a\tb", "\u202ex")
    tamper(admin.branch, {f'"hosts/{name}"': b"{}" for name in names})
    rows = admin.table()
    assert len(rows) == 3 + len(names)
    assert all(row.isprintable() for row in rows)
    assert all(any(row.startswith(f"hosts/{escaped(name)} ") for row in rows) for name in names)


@pytest.mark.parametrize("number", [b"1099511627776", b"1e32", b"9" * 4000])
def test_a_number_beyond_all_bounds_is_one_host_s_trouble(admin: Administrator, number: bytes) -> None:
    document = signed(admin.keys, "web3").document.replace(b'"at": %d' % NOW, b'"at": ' + number)
    tamper(admin.branch, {report_path("web3"): document})
    assert [row.split()[0] for row in admin.table()] == ["web1", "web2", "web3"]
    assert (admin.sees("web3")["verdict"], admin.sees("web1")["verdict"]) == ("unreadable", "verified")
    assert "at" in admin.sees("web3")["why"]


def test_a_sequence_that_no_host_can_follow_is_refused_and_blocks_nobody(admin: Administrator) -> None:
    document = signed(admin.keys, "web1").document
    forged = document.replace(b'"sequence": %d' % (NOW * 1000), b'"sequence": %d' % 2**62)
    tamper(admin.branch, {report_path("web1"): forged})
    assert admin.sees()["verdict"] == "unreadable"
    admin.push(signed(admin.keys, "web1", sequence=11))
    assert admin.sees()["verdict"] == "verified"


def test_reports_of_hosts_that_are_not_in_the_inventory_are_counted_and_not_shown(admin: Administrator) -> None:
    admin.push(signed(admin.keys, "web9"))
    assert len(admin.table()) == 3
    assert len(admin.table("--all")) == 4
    assert len(admin.table("web9")) == 1
