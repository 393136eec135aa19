"""fleet.yaml: defaults, durations, and keys that are not in force yet."""

from __future__ import annotations

import pytest

from agent.domain.window import Window
from agent.errors import InventoryError
from agent.inventory.fleet import NONE_BY_DEFAULT, NOT_IN_FORCE, Fleet, read_fleet
from agent.steps.resolve import fleet_settings, host_terms
from tests.inventory.samples import NAME, Repo


def test_without_a_file_everything_is_default(repo: Repo) -> None:
    fleet = read_fleet(repo.tree, NAME)
    assert fleet == Fleet()
    assert (fleet.schedule.fetch, fleet.schedule.plan, fleet.trust.mode, fleet.status.remote) == (
        60,
        1800,
        "signed",
        "same",
    )


DEFAULTS = """
schedule: {fetch: 60s, drift: 60s, plan: 30m, settle: 60s, deploy_timeout: 30m, watch: false}
trust: {mode: signed, accept: [commits]}           # or {tags: "v*"}
status: {remote: same, shards: 1, pushes_per_minute: 6, diff: own, render: hosts}
windows: []        # none = always
waves: []
suspend: []
prune: {max: 10, max_percent: 20}
reboot: never
agent: none                                        # or {version: "1.*"}
webhook: null
metrics: null
notify: []
"""


def test_the_defaults_may_be_written_down(repo: Repo) -> None:
    repo.write("fleet.yaml", DEFAULTS)
    assert read_fleet(repo.tree, NAME) == Fleet()


@pytest.mark.parametrize("key", [*Fleet.model_fields])
def test_a_key_with_nothing_behind_it_counts_as_not_written(repo: Repo, key: str) -> None:
    repo.write("fleet.yaml", f"{key}:\n  # commented out\n")
    assert read_fleet(repo.tree, NAME) == Fleet()


@pytest.mark.parametrize("key", NONE_BY_DEFAULT)
def test_none_stands_for_the_default_where_that_is_nothing(repo: Repo, key: str) -> None:
    repo.write("fleet.yaml", f"{key}: none")
    assert read_fleet(repo.tree, NAME) == Fleet()


def test_how_much_may_go_at_once_is_remembered_by_the_host(repo: Repo) -> None:
    repo.write("fleet.yaml", "prune: {max: 3, max_percent: 50}")
    settings = fleet_settings(repo.load(), "web1")
    assert (settings.prune_max, settings.prune_percent) == (3, 50)


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60), ("30m", 1800), ("4h", 14400), ("2d", 172800)])
def test_durations_are_kept_in_seconds(repo: Repo, text: str, seconds: int) -> None:
    repo.write("fleet.yaml", f"schedule: {{plan: {text}}}")
    assert read_fleet(repo.tree, NAME).schedule.plan == seconds


def test_fleet_yaml_suspends_the_hosts_that_it_names(repo: Repo) -> None:
    repo.write("fleet.yaml", "suspend: [{hosts: web1, reason: disk}]")
    terms = {host: host_terms(repo.load(), host) for host in ("web1", "db1")}
    assert [each.reason for each in terms["web1"].suspensions] == ["disk"]
    assert terms["db1"].suspensions == ()


def test_a_suspension_ends_at_a_moment(repo: Repo) -> None:
    repo.write("fleet.yaml", "suspend: [{hosts: web, reason: disk, until: 2026-12-01T06:00Z}, {hosts: db1, reason: x}]")
    first, second = read_fleet(repo.tree, NAME).suspend
    assert (first.hosts, first.reason, first.until, second.until) == ("web", "disk", 1796104800, None)


def test_a_moment_with_seconds_is_read_as_well(repo: Repo) -> None:
    repo.write("fleet.yaml", "suspend: [{hosts: web, reason: disk, until: 2026-12-01T08:00:00+02:00}]")
    assert read_fleet(repo.tree, NAME).suspend[0].until == 1796104800


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("schedule: {fetch: 60}", "fleet.yaml:1:12: schedule.fetch: 60 is not a duration; write 60s, 30m, 4h or 2d"),
        ("schedule: {fetch: 0s}", "schedule.fetch: at least 1 is expected"),
        ("schedule: {fetch: 9999d}", "is longer than a year"),
        ("schedule: {ftch: 1s}", 'schedule: unknown key "ftch"; did you mean "fetch"?'),
        ("schedul: {}", 'unknown key "schedul"; did you mean "schedule"?'),
        ("trust: {mode: sigend}", "trust.mode: signed or unsigned is expected, not 'sigend'"),
        ("trust: {accept: [{tgs: v1}]}", 'trust.accept[0]: unknown key "tgs"; did you mean "tags"?'),
        ("status: {remote: 'u:hunter2@h:p'}", "status.remote: '***@h:p' is no Git URL"),
        ("status: {remote: 'https://u:12/hunter2@h/p'}", "percent-encode"),
        ("reboot: always", "reboot: never is expected, not 'always'"),
        ("suspend: [{hosts: web}]", 'suspend[0]: the key "reason" is missing; add it'),
        (
            "suspend: [{hosts: wbe, reason: x}]",
            '1:12: suspend[0].hosts: no group or host is called "wbe"; did you mean "web"?',
        ),
        ("suspend: [{hosts: '{{ x }}', reason: x}]", "suspend[0].hosts: a host pattern is no template"),
        ("suspend: [{hosts: '~(', reason: x}]", "is not a regular expression"),
        (
            "suspend: [{hosts: web, reason: x, until: 2026-12-01}]",
            "is not a moment; write 2026-12-01T06:00Z, with a time zone",
        ),
        ("suspend: [{hosts: web, reason: x, until: '9999-12-31T23:59:59-23:59'}]", "is not a moment"),
        ("[]", "a mapping is expected"),
        ("schedule: {fetch: 1m, fetch: 2m}", "the key 'fetch' stands here twice, first in line 1"),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_place(repo: Repo, text: str, complaint: str) -> None:
    repo.write("fleet.yaml", text)
    assert complaint in "\n".join(repo.complaints())
    assert "hunter2" not in "\n".join(repo.complaints())


def test_reports_go_to_any_remote_that_a_host_may_follow(repo: Repo) -> None:
    for remote in ("same", "/srv/status.git", "git@[::1]:s", "https://host:8443/@user/s.git"):
        repo.write("fleet.yaml", f"status: {{remote: '{remote}'}}")
        assert read_fleet(repo.tree, NAME).status.remote == remote


NOT_DEFAULT = {
    "schedule.settle": "schedule: {settle: 5s}",
    "trust.accept": "trust: {accept: [{tags: 'v*'}]}",
    "status.shards": "status: {shards: 16}",
    "waves": "waves: [{name: canary, hosts: web, soak: 30m, min_ok: 50%, max_failed: 0, stale_after: 2h}]",
    "reboot": "reboot: {hosts: web, when: required}",
    "agent": "agent: {version: '2.*'}",
    "webhook": "webhook: {listen: '127.0.0.1:9443', secret_file: /etc/x}",
    "metrics": "metrics: {textfile: /var/x.prom}",
    "notify": "notify: [chat]",
}


@pytest.mark.parametrize("path", [".".join(map(str, path)) for path in NOT_IN_FORCE])
def test_nobody_believes_in_a_key_that_is_not_in_force(repo: Repo, path: str) -> None:
    repo.write("fleet.yaml", NOT_DEFAULT[path])
    (complaint,) = repo.complaints()
    assert complaint.endswith(f": {path}: not in force in this version; remove it")


def test_a_key_that_is_not_in_force_may_say_its_default(repo: Repo) -> None:
    repo.write("fleet.yaml", "reboot: never\nwebhook: null\nmetrics: null\n")
    assert read_fleet(repo.tree, NAME) == Fleet()


def test_the_fleet_is_read_alone(repo: Repo) -> None:
    repo.write("site.yaml", "nonsense")
    assert read_fleet(repo.tree, NAME) == Fleet()
    with pytest.raises(InventoryError):
        repo.load()


@pytest.mark.parametrize(
    "text", ["suspend: [{hosts: wbe}]", "windows: [{hosts: wbe}]", "reboot: {hosts: wbe, when: x}"]
)
def test_an_unknown_host_is_told_beside_what_else_is_wrong(repo: Repo, text: str) -> None:
    repo.write("fleet.yaml", f"{text}\nprune: {{max: x}}\n")
    told = "\n".join(repo.complaints())
    assert '.hosts: no group or host is called "wbe"; did you mean "web"?' in told
    assert "prune.max: a whole number is expected" in told


WINDOW = "{hosts: web, days: [sat, sun], from: '02:00', for: 4h, tz: Europe/Berlin, drift: hold}"


def test_the_windows_that_name_a_host_are_remembered_by_it(repo: Repo) -> None:
    repo.write("fleet.yaml", f"windows: [{WINDOW}]")
    assert fleet_settings(repo.load(), "web1").windows == (Window((5, 6), 120, 14400, "Europe/Berlin", True),)
    assert fleet_settings(repo.load(), "db1").windows == ()


@pytest.mark.parametrize(
    ("window", "complaint"),
    [
        (WINDOW.replace("Berlin", "Berlim"), "Europe/Berlin"),
        (WINDOW.replace("02:00", "24:00"), "windows[0].from"),
        (WINDOW.replace("4h", "8d"), "windows[0].for"),
        (WINDOW.replace("4h", "20m"), "windows[0].for: nothing would ever begin: a change needs 1860 s"),
        (WINDOW.replace("hosts: web", "hosts: wbe"), 'windows[0].hosts: no group or host is called "wbe"'),
        (WINDOW.replace("sat", "saturday"), "windows[0].days"),
    ],
)
def test_a_window_that_cannot_be_is_a_complaint_with_its_place(repo: Repo, window: str, complaint: str) -> None:
    repo.write("fleet.yaml", f"windows: [{window}]")
    with pytest.raises(InventoryError) as refused:
        repo.load()
    assert complaint in str(refused.value)
    assert "fleet.yaml:1:" in str(refused.value)
