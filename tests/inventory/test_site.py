"""site.yaml: which deploys a host gets, merged and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Self

import pytest
from pydantic import BaseModel, Field

from agent.deploys import spec
from agent.deploys.spec import Concrete, Sources, Spec
from agent.domain.desired import Looking, Mode, OnRemove
from agent.errors import InventoryError
from agent.inventory.environment import HostDeploy
from agent.steps.resolve import desired_state
from tests.inventory.samples import Repo, checked


class Limits(BaseModel):
    model_config = {"extra": "forbid"}
    soft: int = 0
    hard: int = 0


class NotesSpec(Spec):
    """A kind small enough to see what the inventory does with it."""

    kind: ClassVar[str] = "notes"

    lines: tuple[str, ...] = ()
    limits: Limits | None = None
    count: int = 0
    template: str | None = Field(default=None, description="a file of the repo")

    @classmethod
    def from_short(cls, value: Any) -> Any:
        return {"lines": value} if isinstance(value, list) else value

    def merged(self, later: Self) -> Self:
        return self.model_copy(update={"lines": (*self.lines, *later.lines), "count": later.count or self.count})

    def concrete(self, sources: Sources) -> Concrete:
        if self.template is None:
            return Concrete({"lines": list(self.lines)}, ())
        try:
            text = sources.tree.read(self.template).decode()
        except KeyError:
            raise InventoryError(f"there is no file {self.template}", hint="add it") from None
        return Concrete({"lines": [sources.render(text, self.template)]}, ())


@pytest.fixture(autouse=True)
def notes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(spec, "_SPECS", dict(spec._SPECS))
    spec.register(NotesSpec)
    return


def lines(deploy: HostDeploy) -> tuple[str, ...]:
    assert isinstance(deploy.spec, NotesSpec)
    return deploy.spec.lines


def names(repo: Repo, host: str) -> list[str]:
    return [deploy.name for deploy in repo.load().deploys(host)]


def test_a_host_gets_the_deploys_of_the_plays_that_match_it(repo: Repo) -> None:
    repo.write(
        "site.yaml", "- {hosts: all, deploys: [notes: [a]]}\n- {hosts: 'web:&production', deploys: [notes: [b]]}"
    )
    environment = repo.load()
    assert [lines(*environment.deploys(host)) for host in ("web1", "web2", "db1")] == [("a", "b"), ("a",), ("a",)]


def test_the_place_is_that_of_the_first_mention(repo: Repo) -> None:
    repo.write(
        "site.yaml",
        """
        - hosts: all
          deploys: [{notes: [a]}, {name: other, deploy: notes}]
        - hosts: web
          deploys: [{name: more, deploy: notes}, {notes: [b]}]
        """,
    )
    assert names(repo, "web1") == ["notes", "other", "more"]


def test_merge_replace_starts_afresh_in_the_same_place(repo: Repo) -> None:
    repo.write(
        "site.yaml",
        """
        - hosts: all
          deploys: [{deploy: notes, with: [a], mode: observe}, {name: other, deploy: notes}]
        - hosts: web
          deploys: [{deploy: notes, with: [b], merge: replace}]
        """,
    )
    first, _ = repo.load().deploys("web1")
    assert (lines(first), first.mode) == (("b",), Mode.ENFORCE)


def test_needs_moves_a_deploy_behind_what_it_needs_and_no_other(repo: Repo) -> None:
    repo.write(
        "site.yaml",
        """
        - hosts: all
          deploys:
            - {name: a, deploy: notes, needs: c}
            - {name: b, deploy: notes}
            - {name: c, deploy: notes}
            - {name: d, deploy: notes, needs: [a, b]}
        """,
    )
    assert names(repo, "db1") == ["b", "c", "a", "d"]


def test_merge_replace_makes_another_deploy_of_a_name_in_the_same_place(repo: Repo) -> None:
    repo.write("/deploys/a.py", "")
    repo.write(
        "site.yaml",
        """
        - {hosts: all, deploys: [{name: x, deploy: deploys/a.py, with: {p: 1}, needs: notes}, notes: [a]]}
        - {hosts: web, deploys: [{name: x, deploy: notes, with: [b], merge: replace}]}
        - {hosts: web1, deploys: [{name: notes, deploy: deploys/a.py, merge: replace}]}
        """,
    )
    assert [(deploy.name, deploy.kind) for deploy in repo.load().deploys("web2")] == [
        ("x", "notes"),
        ("notes", "notes"),
    ]
    first, second = repo.load().deploys("web1")
    assert (lines(first), first.needs) == (("b",), ())
    assert (second.name, second.source) == ("notes", "deploys/a.py")


def test_merged_deploys_unite_their_needs_and_the_later_mode_wins(repo: Repo) -> None:
    repo.write(
        "site.yaml",
        """
        - hosts: all
          deploys:
            - {name: a, deploy: notes, needs: c, mode: observe}
            - {name: b, deploy: notes}
            - {name: c, deploy: notes}
        - {hosts: web, deploys: [{name: a, deploy: notes, needs: b, mode: enforce}]}
        """,
    )
    merged = repo.load().deploys("web1")[-1]
    assert (merged.name, merged.needs, merged.mode) == ("a", ("c", "b"), Mode.ENFORCE)


def looking(repo: Repo, host: str) -> dict[str, Looking]:
    desired = desired_state(repo.load(), repo.tree, host=host, commit="c" * 40)
    return {deploy.name: deploy.looking for deploy in desired.deploys}


def test_a_plan_is_confined_unless_a_play_says_otherwise_and_the_later_play_wins(repo: Repo) -> None:
    repo.write(
        "site.yaml",
        """
        - hosts: all
          deploys:
            - {name: a, deploy: notes}
            - {name: b, deploy: notes, plan: privileged}
            - {name: c, deploy: notes, plan: privileged}
        - {hosts: web, deploys: [{name: b, deploy: notes}, {name: c, deploy: notes, plan: confined}]}
        """,
    )
    assert looking(repo, "web1") == {"a": Looking.CONFINED, "b": Looking.PRIVILEGED, "c": Looking.CONFINED}


def test_a_command_that_asks_a_program_first_is_planned_with_all_rights(repo: Repo) -> None:
    repo.write(
        "site.yaml",
        """
        - hosts: all
          deploys:
            - {name: asks, deploy: command, with: {a: {run: [/bin/true], unless: [/bin/false]}}}
            - {name: once, deploy: command, with: {b: {run: [/bin/true], creates: /srv/b}}}
        """,
    )
    assert looking(repo, "web1") == {"asks": Looking.PRIVILEGED, "once": Looking.CONFINED}


def wanted(repo: Repo, host: str) -> dict[str, OnRemove | None]:
    desired = desired_state(repo.load(), repo.tree, host=host, commit="c" * 40)
    return {deploy.name: deploy.on_remove for deploy in desired.deploys}


def test_what_is_to_be_run_when_a_deploy_leaves_finds_what_the_deploy_finds(repo: Repo) -> None:
    repo.write_all({"/deploys/app.py": "", "/deploys/app_absent.py": "", "host_vars/db1.yaml": "port: 1\nword: a\n"})
    repo.write(
        "site.yaml",
        """
        - hosts: db1
          deploys:
            - {name: app, deploy: deploys/app.py, with: {word: b}, on_remove: deploys/app_absent.py}
            - {deploy: notes, with: {lines: [a]}, on_remove: deploys/app_absent.py}
            - {name: plain, deploy: notes}
        """,
    )
    app, built_in, plain = wanted(repo, "db1").values()
    assert app is not None
    assert (app.source, app.data["port"], app.data["word"]) == ("deploys/app_absent.py", 1, "b")
    assert built_in is not None
    assert (built_in.commit, built_in.data["word"]) == ("c" * 40, "a")
    assert plain is None


def test_what_is_to_be_run_when_a_deploy_leaves_is_in_no_digest_and_the_later_play_counts(repo: Repo) -> None:
    repo.write_all({"/deploys/a.py": "", "/deploys/b.py": ""})
    play = "- {hosts: all, deploys: [{deploy: notes%s}]}\n"

    def digest() -> str:
        return desired_state(repo.load(), repo.tree, host="db1", commit="c" * 40).digest

    repo.write("site.yaml", play % "")
    without = digest()
    repo.write("site.yaml", play % ", on_remove: deploys/a.py" + play % ", on_remove: deploys/b.py" + play % "")
    (said,) = wanted(repo, "db1").values()
    assert said is not None
    assert (said.source, digest()) == ("deploys/b.py", without)


def test_what_is_to_be_run_when_a_deploy_leaves_must_be_python(repo: Repo) -> None:
    repo.write_all(
        {"/deploys/a.py": "x = (", "site.yaml": "- {hosts: all, deploys: [{deploy: notes, on_remove: deploys/a.py}]}"}
    )
    with pytest.raises(InventoryError, match=r"deploys/a\.py:1:\d+: not Python"):
        checked(repo.load())


@pytest.mark.parametrize(
    ("play", "complaint"),
    [
        (
            "{hosts: all, deploys: [{name: x, deploy: deploys/deep.py}]}",
            "deploys/deep.py is nested too deep to be read",
        ),
        (f"{{hosts: '~{'(' * 5000}', deploys: []}}", "is not a regular expression: it is nested too deep"),
        ("{hosts: all, deploys: [notes: ['{{ deep | from_json }}']]}", "this is nested too deep, or calls itself"),
        ("{hosts: all, deploys: [notes: ['{{ f() }}']]}", "this is nested too deep, or calls itself"),
    ],
    ids=["a deploy file", "a regular expression", "a text", "a macro"],
)
def test_what_is_nested_too_deep_is_complained_of_in_our_words(repo: Repo, play: str, complaint: str) -> None:
    repo.write("/deploys/deep.py", f"x = {'-' * 5000}1\n")
    repo.write("group_vars/all.yaml", f"deep: '{'[' * 99999}'\n")
    repo.write("site.yaml", "- " + play.replace("{{ f()", "{% macro f() %}{{ f() }}{% endmacro %}{{ f()") + "\n")
    said = "\n".join(repo.complaints())
    assert complaint in said
    assert "recursion" not in said


def test_deploys_of_plays_that_match_nobody_are_known_with_their_line(repo: Repo) -> None:
    repo.write(
        "site.yaml",
        "- {hosts: all, deploys: [notes: [a]]}\n- {hosts: 'web:!web', deploys: [{name: b, deploy: notes}]}\n",
    )
    assert repo.load().idle() == {
        "b": "inventories/demo/site.yaml:2:3 is for hosts: web,!web, which matches no host of the inventory"
    }


def test_a_circle_of_needs_is_named(repo: Repo) -> None:
    repo.write(
        "site.yaml", "- {hosts: db, deploys: [{name: a, deploy: notes, needs: b}, {name: b, deploy: notes, needs: a}]}"
    )
    repo.write("hosts.yaml", "db: {hosts: {db1: }}")
    assert "these deploys need each other: a, b (host db1)" in repo.complaints("db1")[0]


def test_a_need_that_the_host_does_not_have_is_named(repo: Repo) -> None:
    repo.write("site.yaml", "- {hosts: all, deploys: [{deploy: notes, needs: note}]}")
    assert repo.complaints("db1") == [
        'site.yaml:1:42: [0].deploys[0].needs: "notes" needs "note", which this host does not have (host db1);'
        ' did you mean "notes"?'
    ]


def test_a_deploy_file_finds_the_hosts_variables_and_its_own_values_over_them(repo: Repo) -> None:
    repo.write("/deploys/nginx.py", "")
    repo.write("group_vars/web.yaml", "port: 80\nurl: 'http://{{ inventory_hostname }}:{{ port }}'\n")
    repo.write(
        "site.yaml",
        "- {hosts: web, deploys: [{name: nginx, deploy: deploys/nginx.py, with: {port: '{{ port + 1 }}', 1: x}}]}",
    )
    repo.write("host_vars/web2.yaml", "hostvars: 1\ngroups: 2\n")  # the names are taken, as in Ansible
    (deploy,) = repo.load().deploys("web2")
    assert (deploy.kind, deploy.source, deploy.spec) == ("deploy", "deploys/nginx.py", None)
    given = {"owner": "ann", "port": 81, "url": "http://web2:80", "1": "x"}
    assert deploy.data == {"inventory_hostname": "web2", "group_names": ["web"], **given}


def test_a_later_deploy_file_replaces_the_earlier(repo: Repo) -> None:
    repo.write("/deploys/a.py", "")
    repo.write("/deploys/b.py", "")
    repo.write(
        "site.yaml",
        """
        - {hosts: all, deploys: [{name: x, deploy: deploys/a.py, with: {p: 1}, needs: notes}, notes]}
        - {hosts: web, deploys: [{name: x, deploy: deploys/b.py}]}
        """,
    )
    first, _ = repo.load().deploys("web1")
    assert (first.source, first.data["owner"], first.needs) == ("deploys/b.py", "ann", ())


def test_a_number_with_a_fraction_cannot_reach_a_deploy_file(repo: Repo) -> None:
    repo.write("/deploys/a.py", "")
    repo.write("group_vars/all.yaml", "ratio: 0.5\n")
    repo.write("site.yaml", "- {hosts: all, deploys: [{name: x, deploy: deploys/a.py}]}")
    assert repo.complaints("db1") == [
        "group_vars/all.yaml:1:8: ratio: 0.5 is a number with a fraction (host db1); put it in quotes"
    ]


def test_a_list_for_a_deploy_file_is_one_complaint(repo: Repo) -> None:
    repo.write("/deploys/a.py", "")
    repo.write("site.yaml", "- {hosts: all, deploys: [{name: x, deploy: deploys/a.py, with: [p]}]}")
    (complaint,) = repo.complaints()
    assert complaint.startswith("site.yaml:1:64: [0].deploys[0].with: a mapping is expected here")


def test_a_template_in_a_variable_is_complained_of_by_the_path_of_the_variable(repo: Repo) -> None:
    repo.write("group_vars/all.yaml", "app:\n  ports: [80, '{{ nix }}']\n")
    repo.write("site.yaml", "- {hosts: all, deploys: [notes: '{{ app.ports }}']}")
    place = "group_vars/all.yaml:2:15: app.ports[1]: 'nix' is undefined"
    assert [line.partition(" (host")[0] for line in repo.complaints()] == [place]


def test_all_files_and_templates_that_a_deploy_misses_are_told_at_once(repo: Repo) -> None:
    repo.write("/one.j2", "{{ nix }}\n")
    repo.write("/two.j2", "\n{{ nux }}\n")
    repo.write(
        "site.yaml",
        """\
        - hosts: db1
          deploys:
            - files: {/a: {template: one.j2}, /b: {template: two.j2}, /c: {source: s1}, /d: {source: s2}}
            - services: {app: {unit: u1}, web.service: {unit: u2}, old: {unit: one.j2}}
            - containers: {app: {quadlet: q1}, net.network: {quadlet: q2}}
            - command: {a: {cwd: /}, b: {cwd: /}}
            - cron: {a: {schedule: "@daily"}, b: {command: x}}
        """,
    )
    places = [
        "site.yaml:3:68: [0].deploys[0].files./c.source: there",
        "site.yaml:3:86: [0].deploys[0].files./d.source: there",
        "site.yaml:4:24: [0].deploys[1].services.app.unit: there",
        "site.yaml:4:49: [0].deploys[1].services.web.service.unit: there",
        "site.yaml:5:26: [0].deploys[2].containers.app.quadlet: there",
        "site.yaml:5:54: [0].deploys[2].containers.net.network.quadlet: there",
        "site.yaml:6:17: [0].deploys[3].command.a: it",
        "site.yaml:6:30: [0].deploys[3].command.b: it",
        "site.yaml:7:14: [0].deploys[4].cron.a: the",
        "site.yaml:7:39: [0].deploys[4].cron.b: the",
        "one.j2:1:1: 'nix'",
        "two.j2:2:1: 'nux'",
    ]
    told = repo.complaints()
    assert [line[: len(place)] for line, place in zip(told, places, strict=True)] == places


def test_variables_that_nothing_asks_for_are_not_rendered(repo: Repo) -> None:
    repo.write("group_vars/all.yaml", "broken: '{{ nowhere }}'\n")
    repo.write("site.yaml", "- {hosts: all, deploys: [notes: ['{{ owner }}']]}")
    assert lines(*repo.load().deploys("db1")) == ("ann",)


@pytest.mark.parametrize(
    ("play", "complaint"),
    [
        ("5", "1:3: [0]: a play has hosts and deploys"),
        ("{host: all, deploys: []}", 'unknown key "host"; did you mean "hosts"?'),
        ("{hosts: wbe, deploys: []}", '1:11: [0].hosts: no group or host is called "wbe"; did you mean "web"?'),
        ("{hosts: 'all:!stagin', deploys: []}", 'no group or host is called "stagin"'),
        ("{hosts: '~(', deploys: []}", "is not a regular expression"),
        ("{hosts: 5, deploys: []}", "a string or a list of strings is expected"),
        ("{hosts: all, deploys: {}}", "a list of deploys is expected"),
        ("{hosts: all, deploys: [5]}", "a deploy is expected"),
        ("{hosts: all, deploys: [note: []]}", '1:26: [0].deploys[0]: there is no deploy "note"; did you mean "notes"?'),
        (
            "{hosts: all, deploys: [{notes: [], mode: observe}]}",
            'mode cannot stand beside the short form of "notes";'
            " write deploy: notes, what it says under with, and beside them mode",
        ),
        ("{hosts: all, deploys: [{notes: [], files: {}}]}", '"files" stands in the same item as "notes"'),
        ("{hosts: all, deploys: [{deploy: notes, wiht: 1}]}", 'unknown key "wiht"; did you mean "with"?'),
        (
            "{hosts: all, deploys: [{deploy: notes, mode: obsrve}]}",
            '"obsrve" is not known here; write enforce',
        ),
        ("{hosts: all, deploys: [{deploy: notes, merge: no}]}", "a string is expected here"),
        (
            "{hosts: all, deploys: [{deploy: notes, on_remove: x}]}",
            '[0].deploys[0].on_remove: "x" is not a deploy file; write deploys/<file>.py',
        ),
        ("{hosts: all, deploys: [{deploy: notes, on_remove: deploys/gone.py}]}", "there is no file deploys/gone.py"),
        ("{hosts: all, deploys: [{deploy: notes, on_remove: [x]}]}", "on_remove: a string is expected here"),
        ("{hosts: '{{ x }}', deploys: []}", "1:11: [0].hosts: a host pattern is no template"),
        ("{hosts: [web, '!{{ x }}'], deploys: []}", "1:11: [0].hosts: a host pattern is no template"),
        ("{hosts: all, deploys: [{deploy: notes, name: a b}]}", '"a b" is not a name for a deploy'),
        ("{hosts: all, deploys: [{name: x, deploy: deploys/nix.py}]}", "there is no file deploys/nix.py"),
        ("{hosts: all, deploys: [{name: x, deploy: deploys/../x.py}]}", "is not a deploy file"),
        ("{hosts: all, deploys: [{name: x, deploy: /etc/x.py}]}", "is not a deploy file"),
        ("{hosts: all, deploys: [{name: x, deploy: deploys/link.py}]}", "deploys/link.py is a symbolic link"),
        ("{hosts: all, deploys: [{deploy: deploys/real.py}]}", "a deploy of the config repo needs a name"),
        ("{hosts: all, deploys: [], hosts: web}", "the key 'hosts' stands here twice"),
        ("{hosts: all, deploys: [notes: {lins: []}]}", '1:34: [0].deploys[0].notes: unknown key "lins"'),
        (
            "{hosts: all, deploys: [notes: {limits: {sft: 1}}]}",
            '[0].deploys[0].notes.limits: unknown key "sft"; did you mean "soft"?',
        ),
        (
            "{hosts: all, deploys: [notes: {limits: {soft: x}}]}",
            "notes.limits.soft: a whole number is expected, not 'x'",
        ),
        (
            "{hosts: all, deploys: [notes: {count: '{{ nix }}'}]}",
            "1:41: [0].deploys[0].notes.count: 'nix' is undefined",
        ),
        (
            "{hosts: all, deploys: [notes: {lines: [a, '{{ nix }}']}]}",
            "[0].deploys[0].notes.lines[1]: 'nix' is undefined",
        ),
        (
            "{hosts: all, deploys: [{name: x, deploy: deploys/real.py, with: {a: {80: '{{ nix }}'}}}]}",
            "[0].deploys[0].with.a.80: 'nix' is undefined",
        ),
        (
            "{hosts: all, deploys: [{deploy: notes, health: [{http: 'http://{{ nix }}/'}]}]}",
            "[0].deploys[0].health[0].http: 'nix' is undefined",
        ),
        (
            "{hosts: all, deploys: [{name: x, deploy: deploys/real.py, with: {a: [1, 0.5]}}]}",
            "1:75: [0].deploys[0].with.a[1]: 0.5 is a number with a fraction",
        ),
        (
            "{hosts: all, deploys: [notes: {template: nix}]}",
            "there is no file nix (hosts web1 and 3 more); add it",
        ),
        ("{hosts: all, deploys: [notes: {template: bad.j2}]}", "bad.j2:2:1: 'nope' is undefined"),
        ("{hosts: all, deploys: [{name: x, deploy: deploys/broken.py}]}", "deploys/broken.py:2:5: not Python"),
        (
            "{hosts: all, deploys: [{deploy: notes}, {name: notes, deploy: deploys/real.py}]}",
            "already the name of",
        ),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_place(repo: Repo, play: str, complaint: str) -> None:
    repo.write("/deploys/real.py", "x = 1\n")
    repo.write("/deploys/broken.py", "x = 1\ndef (:\n")
    (repo.root / "deploys/link.py").symlink_to("real.py")
    repo.write("/bad.j2", "{{ owner }}\n{{ nope }}\n")
    repo.write("site.yaml", f"- {play}\n")
    assert complaint in "\n".join(repo.complaints())


def test_an_empty_site_wants_nothing(repo: Repo) -> None:
    repo.write("site.yaml", "")
    assert repo.load().deploys("web1") == ()


def test_a_site_file_with_another_extension_is_noticed(repo: Repo) -> None:
    (repo.inventory_folder / "site.yaml").rename(repo.inventory_folder / "site.yml")
    assert 'site.yml: nobody reads this; did you mean "site.yaml"?' in repo.complaints()


def test_the_same_complaint_of_many_hosts_is_said_once(repo: Repo) -> None:
    repo.write("site.yaml", "- {hosts: all, deploys: [notes: {count: '{{ owner }}'}]}")
    (complaint,) = repo.complaints()
    assert "not 'ann' (hosts web1 and 3 more); " in complaint
