"""`hostwright diff`: what two commits want differently, told offline, from clones with files and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import run
from tests.gitserver import ConfigRepo

HOSTS = "inventories/prod/hosts.yaml"
SITE = "inventories/prod/site.yaml"
MANY = "all:\n  children:\n    web: {hosts: {'web[001:100]': {}}}\n    db: {hosts: {db1: {}}}\n"

Diff = Callable[..., tuple[int, str]]


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConfigRepo:
    """101 hosts that get nothing."""
    repo = ConfigRepo(tmp_path / "work")
    repo.commit("First", {HOSTS: MANY, SITE: "- hosts: all\n  deploys: []\n"})
    monkeypatch.chdir(repo.path)
    return repo


@pytest.fixture
def diff(capsys: pytest.CaptureFixture[str]) -> Diff:
    """The exit code of `hostwright diff`, and all that it says."""

    def diffed(*arguments: str) -> tuple[int, str]:
        code = run(["diff", *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return diffed


def site(*deploys: str, hosts: str = "all") -> str:
    return f"- hosts: {hosts}\n  deploys:\n" + "".join(f"    - {deploy}\n" for deploy in deploys)


def test_one_change_of_many_hosts_is_one_line(repo: ConfigRepo, diff: Diff) -> None:
    repo.commit("More", {SITE: site("packages: [htop]", hosts="web")})
    assert diff("HEAD~1..HEAD") == (
        10,
        "prod: 100 of 101 hosts change\nweb (100 hosts):\n  + deploy packages\n  + package:htop  [packages]\n",
    )


def test_hosts_with_other_values_are_counted_and_one_is_shown(repo: ConfigRepo, diff: Diff) -> None:
    motd = "files: {{/etc/motd: {{content: 'This is {{{{ inventory_hostname }}}}{0}'}}}}"
    repo.commit("Motd", {SITE: site(motd.format(""), hosts="web")})
    repo.commit("Louder", {SITE: site(motd.format("!"), hosts="web")})
    code, said = diff("HEAD~1..HEAD")
    assert code == 10
    assert said.splitlines() == [
        "prod: 100 of 101 hosts change",
        "web (100 hosts):",
        "  ~ file:/etc/motd  [files]",
        "      99 of 100 hosts have other values; these are of web001",
        "      text: This is web001 → This is web001!",
    ]


CHANGES = {
    "packages": ("packages: [jq]", "packages: {present: [jq=1.6]}", "package:jq", "version: any → 1.6"),
    "held": ("packages: [jq]", "packages: {present: [jq], held: [jq]}", "package:jq", "held: true"),
    "files": ("files: {/a: {content: x}}", "files: {/a: {content: x, mode: '0600'}}", "file:/a", "mode: 0644 → 0600"),
    "services": (
        "services: [cron]",
        "services: {cron: {running: false}}",
        "unit:cron.service",
        "running: true → false",
    ),
    "accounts": ("users: {ann: {}}", "users: {ann: {shell: /bin/sh}}", "user:ann", "shell: /bin/sh"),
    "groups": ("users: {groups: {ops: {}}}", "users: {groups: {ops: {gid: 7}}}", "group:ops", "gid: 7"),
    "sysctl": ("sysctl: {kernel.sysrq: 0}", "sysctl: {kernel.sysrq: 1}", "sysctl:kernel.sysrq", "value: 0 → 1"),
    "cron": (
        "cron: {x: {command: a, schedule: '@daily'}}",
        "cron: {x: {command: b, schedule: '@daily'}}",
        "cron:x",
        "+@daily root b",
    ),
    "timezone": ("timezone: UTC", "timezone: Europe/Berlin", "timezone:host", "zone: UTC → Europe/Berlin"),
    "motd": ("motd: Hi", "motd: Ho", "file:/etc/motd", "+Ho"),
    "ssh": (
        "ssh: {settings: {MaxAuthTries: 3}}",
        "ssh: {settings: {MaxAuthTries: 2}}",
        "file:/etc/ssh/sshd_config.d/00-hostwright.conf",
        "+MaxAuthTries 2",
    ),
    "command": ("command: {x: {run: [a]}}", "command: {x: {run: [b]}}", "command:x", "argv: -a, +b"),
    "containers": (
        "containers: {a: {image: 'x.example.org/y:1'}}",
        "containers: {a: {image: 'x.example.org/y:2'}}",
        "quadlet:a.container",
        "+Image=x.example.org/y:2",
    ),
    "dotfiles": (
        "dotfiles: {user: root, sets: [a]}",
        "dotfiles: {user: root, sets: [a, b]}",
        "file:~root/.x",
        "source: dotfiles/a/.x → dotfiles/b/.x",
    ),
    "mode": (
        "packages: [jq]",
        "{deploy: packages, with: {present: [jq]}, mode: observe}",
        "deploy packages",
        "observe",
    ),
    "health": (
        "motd: Hi",
        "{deploy: motd, with: {text: Hi}, health: [{tcp: '127.0.0.1:80'}]}",
        "deploy motd",
        "health: ",
    ),
    "recommends": ("packages: [jq]", "packages: {present: [jq], recommends: true}", "deploy packages", "recommends: "),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_of_a_thing_is_said_by_property(name: str, repo: ConfigRepo, diff: Diff) -> None:
    before, after, what, told = CHANGES[name]
    sets = {"dotfiles/a/.x": "a\n", "dotfiles/b/.x": "b\n"}
    needs = "packages: [sudo, podman, cron, tzdata, openssh-server]"
    before, after = (
        (each,) if each.startswith("packages") or "packages" in each else (needs, each) for each in (before, after)
    )
    repo.commit("Before", {SITE: site(*before), **sets})
    repo.commit("After", {SITE: site(*after)})
    code, said = diff("HEAD~1..HEAD", "db1")
    assert code == 10
    assert f"~ {what}" in said
    assert told in said
    assert said.count("  ~ ") == 1


def test_a_deploy_file_is_told_by_its_files_and_its_data(repo: ConfigRepo, diff: Diff) -> None:
    app = "{name: app, deploy: deploys/app.py, with: {port: %s, on: [a]}}"
    repo.commit("App", {SITE: site(app % 1, hosts="db"), "deploys/app.py": "import pyinfra\n"})
    repo.commit("Other", {SITE: site(app % 2, hosts="db"), "deploys/app.py": "import pyinfra\n\n", "deploys/x.py": ""})
    code, said = diff("HEAD~1..HEAD")
    assert code == 10
    assert said.splitlines()[1:] == [
        "db1:",
        "  ~ deploy app",
        "      data.port: 1 → 2",
        "      deploys/app.py: 4b53df8c70ff → 30159508e5b1",
        "      deploys/x.py: e69de29bb2d1",
    ]


def test_hosts_that_come_and_go_are_named(repo: ConfigRepo, diff: Diff) -> None:
    repo.commit("Moved", {HOSTS: MANY.replace("db1", "db2")})
    assert diff("HEAD~1..HEAD", "db1:db2") == (
        10,
        "prod: 2 of 2 hosts change\ndb2:\n  + joins the inventory\ndb1:\n  - leaves the inventory\n",
    )


def test_a_host_that_joins_is_told_with_all_that_it_gets(repo: ConfigRepo, diff: Diff) -> None:
    repo.commit("Packages", {SITE: site("packages: [curl, jq]")})
    repo.commit("Moved", {HOSTS: MANY.replace("db1", "db2")})
    code, said = diff("HEAD~1..HEAD", "db2")
    assert (code, said.splitlines()[:2]) == (10, ["prod: 1 of 1 host changes", "db2:"])
    assert {"  + joins the inventory", "  + package:curl  [packages]", "  + package:jq  [packages]"} <= {
        *said.splitlines()
    }


def test_what_fleet_yaml_says_of_a_host_counts(repo: ConfigRepo, diff: Diff) -> None:
    repo.commit("Slower", {"inventories/prod/fleet.yaml": "schedule: {drift: 5m}\n"})
    code, said = diff("HEAD~1..HEAD")
    assert (code, said.splitlines()[1:]) == (10, ["all (101 hosts):", "  ~ fleet.yaml", "      drift_s: 60 → 300"])


def test_a_commit_alone_is_compared_with_the_files_as_they_lie_here(repo: ConfigRepo, diff: Diff) -> None:
    assert diff() == (0, "prod: nothing changes for 101 hosts\n")
    (repo.path / SITE).write_text(site("packages: [htop]"))
    (repo.path / "note").write_text("not added\n")
    code, said = diff("HEAD", "db1")
    assert code == 10
    assert "+ package:htop  [packages]" in said
    assert "not added to Git and not judged, no host gets it: note" in said


def test_three_dots_leave_out_what_the_other_branch_did_meanwhile(repo: ConfigRepo, diff: Diff) -> None:
    repo.git("checkout", "--quiet", "-b", "mine")
    repo.commit("Mine", {SITE: site("packages: [htop]")})
    repo.git("checkout", "--quiet", "main")
    repo.commit("Theirs", {"inventories/prod/fleet.yaml": "schedule: {drift: 5m}\n"})
    assert "fleet.yaml" in diff("main..mine")[1]
    assert "fleet.yaml" not in diff("main...mine")[1]


def test_a_bare_clone_will_do(repo: ConfigRepo, tmp_path: Path, diff: Diff) -> None:
    repo.commit("More", {SITE: site("packages: [htop]")})
    bare = repo.bare(tmp_path / "bare.git")
    assert diff("--repo", f"{bare}", "HEAD~1..main")[0] == 10
    assert diff("--repo", f"{bare}", "main") == (
        2,
        f"hostwright: {bare} is a bare repository, with no files to compare\n  → say main..BRANCH\n",
    )


def test_where_the_earlier_commit_cannot_be_read_nothing_is_guessed(repo: ConfigRepo, diff: Diff) -> None:
    repo.commit("Broken", {SITE: site("packagez: [htop]")})
    repo.commit("Mended", {SITE: site("packages: [htop]")})
    code, said = diff("HEAD~1..HEAD", "db1")
    assert code == 10
    assert said.startswith("prod: 0 of 1 host changes, not known for 1\n? db1: inventories/prod/site.yaml:3:7")


def test_complaints_about_the_later_commit_are_told_as_check_tells_them(repo: ConfigRepo, diff: Diff) -> None:
    repo.commit("Broken", {SITE: site("packagez: [htop]")})
    code, said = diff("HEAD~1..HEAD", "db1")
    assert code == 6
    assert "hostwright: inventories/prod/site.yaml:3:7: [0].deploys[0]: there is no deploy" in said


@pytest.mark.parametrize("commits", ["nope", "HEAD..nope", "--", "-x", "..", "HEAD:inventories"])
def test_what_is_no_commit_is_a_usage_error_or_head(commits: str, repo: ConfigRepo, diff: Diff) -> None:
    code, _ = diff(commits)
    assert code == (0 if commits in ("..", "--") else 2)


@pytest.mark.parametrize(("pattern", "hint"), [("wbe", 'did you mean "web"?'), ("db:&nope", "add the group to the")])
@pytest.mark.parametrize("command", [("diff", "HEAD"), ("inventory", "--pattern"), ("plan",)], ids=str)
def test_a_name_that_no_host_and_no_group_has_is_a_usage_error(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], pattern: str, hint: str
) -> None:
    assert run([*command, pattern]) == 2
    name = pattern.rpartition("&")[2]
    assert f'"{pattern}": no group or host is called "{name}"\n  → {hint}' in capsys.readouterr().err


@pytest.mark.parametrize("command", [("diff", "HEAD"), ("plan",)], ids=str)
def test_a_pattern_that_matches_nothing_is_a_usage_error_that_names_it(
    repo: ConfigRepo, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    assert run([*command, "web:&db"]) == 2
    assert 'matches "web:&db"\n  → write one like web:&production:!canary' in capsys.readouterr().err


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    run(["--json", "diff", *arguments])
    return json.loads(capsys.readouterr().out)


def test_for_programs_there_is_one_document(repo: ConfigRepo, capsys: pytest.CaptureFixture[str]) -> None:
    old = repo.head
    new = repo.commit("More", {SITE: site("sysctl: {kernel.sysrq: 0}", hosts="db")})
    found = document(capsys, "HEAD~1..HEAD")
    assert (found["command"], found["exit"], found["data"]["from"], found["data"]["to"]) == ("diff", 10, old, new)
    prod = found["data"]["inventories"]["prod"]
    assert (prod["hosts"], prod["changed"], prod["untold"]) == (101, ["db1"], {})
    assert prod["changes"][1] == {
        "deploy": "sysctl",
        "resource": "sysctl:kernel.sysrq",
        "action": "added",
        "hosts": ["db1"],
        "unlike": 0,
        "properties": [
            {"name": "value", "before": None, "after": "0"},
            {"name": "optional", "before": None, "after": False},
        ],
    }


def test_nothing_in_a_repository_gets_out_of_the_comment(repo: ConfigRepo, diff: Diff) -> None:
    text = "a\\n```\\n</details> @everyone"
    repo.commit("First", {SITE: site("motd: a", hosts="db")})
    repo.commit("More", {SITE: site(f'motd: "{text}"', hosts="db")})
    code, said = diff("--markdown", "HEAD~1..HEAD")
    assert code == 10
    fence = "````"
    assert said.count(fence) == 2
    inside = said.partition(f"{fence}diff\n")[2].partition(f"\n{fence}\n")[0]
    assert "@everyone" in inside
    assert "@" not in said.replace(inside, "")


def test_a_comment_is_never_larger_than_a_forge_takes(repo: ConfigRepo, diff: Diff) -> None:
    deploys = [f"{{name: f{n}, deploy: files, with: {{/srv/{n}: {{content: '{'x ' * 90}'}}}}}}" for n in range(300)]
    few = "all: {children: {web: {hosts: {web1: {}}}, db: {hosts: {db1: {}}}}}\n"
    repo.commit("First", {HOSTS: few, SITE: site(*(each.replace("x ", "y ") for each in deploys), hosts="db")})
    plays = "".join(site(each, hosts="db") if n % 2 else site(each, hosts="web") for n, each in enumerate(deploys))
    repo.commit("More", {SITE: plays})
    _, said = diff("--markdown", "HEAD~1..HEAD")
    assert len(said) < 65_000
    assert "There is more than fits here" in said
    assert said.count("<details>") == said.count("</details>")


@pytest.mark.parametrize(
    "earlier",
    [{HOSTS: "all: {hosts: [}\n"}, {HOSTS: None}, {HOSTS: "all:\n  hostz: {}\n"}, {SITE: "- hosts: nobody\n"}],
    ids=["no YAML", "gone", "no hosts", "site"],
)
def test_what_cannot_be_told_of_an_earlier_commit_is_neither_nothing_nor_all_new(
    repo: ConfigRepo, diff: Diff, earlier: dict[str, str | None]
) -> None:
    first = {HOSTS: (repo.path / HOSTS).read_text(), SITE: (repo.path / SITE).read_text()}
    repo.commit("Broken", earlier)
    repo.commit("Mended", first)
    code, said = diff("HEAD~1..HEAD")
    assert (code, said.splitlines()[0]) == (10, "prod: 0 of 101 hosts change, not known for 101")


def test_a_repository_without_a_commit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, diff: Diff) -> None:
    empty = ConfigRepo(tmp_path / "empty")
    empty.write({HOSTS: MANY})
    monkeypatch.chdir(empty.path)
    code, said = diff()
    assert (code, "no commit yet" in said) == (2, True)


def test_two_forms_at_once_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["diff", "--markdown", "--json"]) == 2
    assert "--markdown and --json are forms of the same" in capsys.readouterr().err
