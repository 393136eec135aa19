"""``secret()`` in variables, site.yaml, templates and dotfiles: what hosts write, and what is complained of."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agent.cli.commands.diff import comparison_lines, document, markdown
from agent.contrast import InventoryAt, compare
from agent.domain.plan import WantedChange
from agent.domain.sealed import shown
from agent.engine.client import Execute, FoundDeploy
from agent.engine.secrecy import Lacking
from agent.inventory.other_repositories import not_fetched
from agent.secrets.unseal import Unsealer
from agent.system import age, mask
from agent.system.folder import FolderTree
from tests.secrets.conftest import Desk

VALUE = "s3cr3t-väl'ue"


@pytest.fixture(scope="module")
def with_secrets(furnished: Desk, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = furnished.copy(tmp_path_factory.mktemp("secrets"))
    desk.store.write("web/admin", f"{VALUE}\n".encode())
    desk.store.write("web/binary", b"\xff\x00\n")
    desk.store.write("web/json", b'{"user": "ann", "ports": [1, 2]}')
    desk.store.write("db/admin", b"of the databases")
    desk.store.write("web1/own", b"of web1 alone")
    desk.write("group_vars/web.yaml", "pw: \"{{ secret('web/admin') }}\"\nurl: 'pg://u:{{ pw }}@h/'\n")
    return desk


@pytest.fixture
def desk(with_secrets: Desk, tmp_path: Path) -> Desk:
    return with_secrets.copy(tmp_path)


def content(desk: Desk, template: str, mode: str = '"0600"') -> None:
    site = [{"hosts": "web", "deploys": [{"files": {"/srv/x": {"content": template, "mode": mode.strip('"')}}}]}]
    desk.write("site.yaml", json.dumps(site))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ secret('web/admin') }}", VALUE),
        ("{{ pw }}\n", f"{VALUE}\n"),
        ("a={{ url }}\n", f"a=pg://u:{VALUE}@h/\n"),
        ("{{ 'x' ~ pw ~ 1 }}", f"x{VALUE}1"),
        ("{{ pw + '!' }}{{ '?' + pw }}", f"{VALUE}!?{VALUE}"),
        ("{{ pw | upper | b64encode }}", "UzNDUjNULVbDhEwnVUU="),
        ("{{ url | upper }}", f"pg://u:{VALUE}@h/".upper()),
        ("{{ [pw, 'b'] | join(',') }}", f"{VALUE},b"),
        ("{{ {'p': pw, 'n': [1, pw]} | to_json }}", json.dumps({"p": VALUE, "n": [1, VALUE]})),
        ("{{ (secret('web/json') | from_json).user }}", "ann"),
        ("{{ (secret('web/json') | from_json)['ports'][1] }}", "2"),
        ("{{ pw | default('none') }}{{ 'yes' if pw is defined }}", f"{VALUE}yes"),
        ("{% set p = pw %}{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(p) }}", f"<{VALUE}>"),
        ("{% filter upper %}{{ pw }}{% endfilter %}", VALUE.upper()),
        ("{{ dict(a=pw).a }}", VALUE),
        ("{{ pw | hash('sha256') | length }}", "64"),
        ("{{ secret('web1/own') }}", "of web1 alone"),
        ("{{ none_such | default(pw) }}", VALUE),
        ("{{ [pw] | map('upper') | join }}", VALUE.upper()),
        ("{{ {'a': pw}.values() | join }}", VALUE),
        ("{{ {'pw': pw} | string | b64encode }}", base64.b64encode(f"{{'pw': {VALUE!r}}}".encode()).decode()),
        ("{{ [pw] | string | hash('sha1') }}", hashlib.sha1(f"[{VALUE!r}]".encode()).hexdigest()),
        ("{{ ('a' ~ [pw]) | b64encode }}", base64.b64encode(f"a[{VALUE!r}]".encode()).decode()),
        ("{{ {'a': pw} | dictsort | string | upper }}", f"[('a', {VALUE!r})]".upper()),
        ("a{{ [1] | zip([pw]) | list }}", f"a[(1, {VALUE!r})]"),
        ("a{{ secret('web/json') | from_json | dictsort }}", "a[('ports', [1, 2]), ('user', 'ann')]"),
        ("{{ [pw] | quote }}", shlex.quote(f"[{VALUE!r}]")),
        ("{{ [pw] | regex_replace('s', 'S') }}", f"[{VALUE!r}]".replace("s", "S")),
        ("{{ '%s' | format([pw]) }}", f"[{VALUE!r}]"),
        ("a{{ [pw] }}", f"a[{VALUE!r}]"),
    ],
)
def test_a_secret_goes_into_texts_and_through_filters(desk: Desk, template: str, expected: str) -> None:
    content(desk, template)
    assert f"{desk.text('/srv/x')}" == expected


def test_one_newline_at_the_end_is_cut_and_no_more(desk: Desk) -> None:
    desk.store.write("web/lines", b"a\nb\n\n")
    content(desk, "{{ secret('web/lines') }}")
    assert desk.text("/srv/x") == "a\nb\n"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ secret('web/admn') }}", 'web/admn.age (host web1); did you mean "web/admin"?'),
        ("{{ secret('db/admi') }}", 'db/admi.age (host web1); did you mean "web/admin"?'),
        ("{{ secret('admin') }}", "names no folder (host web1); write secret('db/admin')"),
        ("{{ secret('db/admin') }}", "secret('db/admin') is for db, and web1 is not of it"),
        ("{{ secret('../x') }}", "there is no inventories/lab/secrets/../x.age"),
        ("{{ secret() }}", "secret() takes the name of a file"),
        ("{{ 'yes' if pw == 'x' else 'no' }}", "a comparison or a condition needs the value of a secret"),
        ("{% if pw %}x{% endif %}", "a comparison or a condition needs the value of a secret"),
        ("{% for c in pw %}x{% endfor %}", "a loop over it needs the value of a secret"),
        ("{{ pw is match('x') }}", "a test of it needs the value of a secret"),
        ("{{ pw in ['x'] }}", "needs the value of a secret"),
        ("{{ pw.upper() }}", "needs the value of a secret"),
        ("{{ 'x'.join([pw]) }}{{ 'a'.replace('a', pw) }}", "needs the value of a secret"),
        ("{{ '%s' % pw }}", "needs the value of a secret"),
        ("{{ pw[1:] }}", "needs the value of a secret"),
        ("\uf8d0eyJpcyI6ImZpbGUifQ==\uf8d1", "U+F8D0 stands for a secret inside of hostwright"),
    ],
)
def test_what_would_need_its_value_is_complained_of_with_its_place(desk: Desk, template: str, problem: str) -> None:
    content(desk, template)
    complaint = desk.complaint()
    assert problem in complaint
    assert complaint.startswith("inventories/lab/site.yaml:1:")


@pytest.mark.parametrize(
    "deploy",
    [
        {"files": {"/srv/x": {"content": "x{{ hostvars['web1'].own | upper }}", "mode": "0600"}}},
        {"name": "x", "deploy": "deploys/x.py", "with": {"q": "{{ hostvars.web1.own }}"}},
    ],
)
def test_the_secret_of_another_host_is_complained_of_however_it_came(desk: Desk, deploy: dict[str, object]) -> None:
    desk.write("host_vars/web1.yaml", "own: \"{{ secret('web1/own') }}\"\n")
    desk.write("/deploys/x.py", "")
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [deploy]}]))
    assert desk.values("web1")
    assert "secret('web1/own') is for web1, and web2 is not of it (host web2)" in desk.complaint("web2")


def test_a_diff_shows_how_templates_ask_for_secrets(desk: Desk, tmp_path: Path) -> None:
    def at(template: str, name: str) -> InventoryAt:
        content(desk, template)
        return InventoryAt(FolderTree(shutil.copytree(desk.repo, tmp_path / name)), "lab", not_fetched)

    before, after = at("a={{ pw }}\n", "before"), at("b={{ pw | upper }}\n", "after")
    desk.store.rekey((), desk.own_keys(), everything=True)
    found = compare("lab", before, after, "all"), compare("lab", before, at("a={{ pw }}\n", "rekeyed"), "all")
    changed, rekeyed = ("\n".join((*comparison_lines(each), json.dumps(document(each)))) for each in found)
    assert "-a={{ secret('web/admin') }}" in changed
    assert "+b={{ secret('web/admin') }}" in changed
    assert "digest of text: " in rekeyed
    assert "uf8d0" not in ascii((changed, rekeyed, markdown("", found)))


@pytest.mark.parametrize(
    "quoted", [repr("\uf8d0eyJjYWxsIjoieCJ9\uf8d1"), "\uf8d0eyJjYWxsIjoieCJ9\uf8d1", "\uf8d0eyJjYW…"]
)
def test_a_complaint_shows_no_token_quoted_or_cut(quoted: str) -> None:
    assert shown(quoted).strip("'…").rstrip("…") in {"{{ x }}", "{{ … }}"}


FORGED = base64.b64encode("\uf8d0eyJpcyI6ImZpbGUifQ==\uf8d1".encode()).decode()


@pytest.mark.parametrize(
    "template",
    [
        f"{{{{ '{FORGED}' | b64decode }}}}",
        f"x{{{{ '{FORGED}' | b64decode }}}}{{{{ pw }}}}",
        f"{{{{ ('{FORGED}' | b64decode) + pw }}}}",
        f"{{{{ ('{FORGED}' | b64decode) ~ pw }}}}",
        f"{{{{ '{FORGED}' | b64decode | upper }}}}",
        f"{{{{ ['{FORGED}' | b64decode] | join }}}}",
        f"{{{{ ['{FORGED}' | b64decode] }}}}",
        "{{ '\\uf8d1' }}",
    ],
)
def test_a_template_cannot_forge_what_stands_for_a_secret(desk: Desk, template: str) -> None:
    desk.write("/x.j2", template)
    site = [{"hosts": "web", "deploys": [{"files": {"/srv/x": {"template": "x.j2", "mode": "0600"}}}]}]
    desk.write("site.yaml", json.dumps(site))
    assert "U+F8D0 and U+F8D1 stand for secrets inside of hostwright" in desk.complaint()


def test_what_is_no_token_is_shown_as_damaged_however_deep_it_goes() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 60_000).decode()
    assert shown(f"\uf8d0{deep}\uf8d1") == "{{ a damaged token }}"


@pytest.mark.parametrize(
    ("deploy", "problem"),
    [
        (
            "files: {/srv/x: {content: '{{ pw }}'}}",
            "/srv/x holds a secret, and everybody could read it (host web1); add `mode:",
        ),
        ("files: {/srv/x: {content: '{{ pw }}', mode: '0604'}}", "everybody could read it"),
        ("files: {/srv/x: {line: 'p={{ pw }}', name: p}}", "without `match` it is known by what it says"),
        *(
            (
                f"files: {{/srv/x: {{line: 'p={{{{ pw }}}}', match: '{match}'}}}}",
                "`match` of a line of /srv/x does not find it by what stands before the secret (host web1); match that",
            )
            for match in ("^q=", "^p={{ pw }}", "^p=.+", "^p=[^a-z]*[A-Z]", "=$")
        ),
        *(
            (
                f"files: {{/srv/x: {{lines: {{p: {{{line}, absent: true}}}}}}}}",
                "a line of /srv/x that is to be absent is named by a secret (host web1); leave `line` out, and `match`",
            )
            for line in ("line: 'p={{ pw }}'", "match: '^p={{ pw }}'", "line: 'p={{ pw }}', match: ^p=")
        ),
        ("files: {/srv/x: {content: x, validate: [x, '{{ pw }}', '%s']}}", "a secret can only be content"),
        ("files: {/srv/x: {link: '/srv/{{ pw }}'}}", "a secret can only be content"),
        ("motd: {text: '{{ pw }}'}", "a secret cannot stand in motd here"),
        ("cron: {x: {command: 'x {{ pw }}', schedule: '@daily'}}", "a secret cannot stand in cron"),
        ("cron: {x: {command: x, schedule: '@daily', env: {PW: '{{ pw }}'}}}", "and let the job read that"),
        ("command: {x: {run: [x, '{{ pw }}']}}", "a secret cannot stand in command"),
        ("command: {x: {run: [x], env: {PW: '{{ pw }}'}}}", "and let the program read that"),
        *(
            (f"services: {{app: {{{what}}}}}", "name that file in the unit by `EnvironmentFile=` or `LoadCredential=`")
            for what in (
                '"content": "[Service]\\nEnvironment=PW={{ pw }}\\n"',
                '"drop_ins": {"pw.conf": "[Service]\\nEnvironment=PW={{ pw }}\\n"}',
                "unit: app.service.j2",
            )
        ),
        *(
            (f"containers: {{app: {{{what}}}}}", "name that file in `env_files`, in a quadlet by `EnvironmentFile=`")
            for what in (
                "image: x/y, env: {PW: '{{ pw }}'}",
                "image: x/y, command: [run, '--password={{ pw }}']",
                '"content": "[Container]\\nImage=x/y\\nEnvironment=PW={{ pw }}\\n"',
            )
        ),
        (
            "name: f\n      deploy: files\n      with: {/srv/x: {content: x}}\n"
            "      health: [{http: 'http://u:{{ pw }}@h/'}]",
            "a secret cannot stand in a check",
        ),
        ("dotfiles: {user: root, sets: [open], modes: {.env: '0644'}}", 'say "0600" for it in `modes`'),
    ],
)
def test_a_secret_in_a_place_that_others_can_read_is_complained_of(desk: Desk, deploy: str, problem: str) -> None:
    desk.write("/dotfiles/open/.env.j2", "PW={{ pw }}\n")
    desk.write("/app.service.j2", "[Service]\nExecStart=/bin/true\nEnvironment=PW={{ pw }}\n")
    desk.write("site.yaml", f"- hosts: web\n  deploys:\n    - {deploy}\n")
    assert problem in desk.complaint()


def test_no_value_is_needed_where_the_state_is_made_and_none_is_in_it(desk: Desk) -> None:
    content(desk, "{{ url | b64encode }}{{ pw }}")
    state = desk.state()
    assert VALUE not in repr(state)
    assert [deploy.secrets for deploy in state.deploys] == [("secret('web/admin')",)]


def test_the_digest_is_that_of_ciphertext_and_template(desk: Desk) -> None:
    content(desk, "{{ pw }}")
    first = desk.state()
    assert desk.state("web2").digest == first.digest
    desk.store.rekey((), desk.own_keys(), everything=True)
    changed = desk.state()
    assert changed.digest != first.digest
    content(desk, "{{ pw | upper }}")
    assert desk.state().digest != changed.digest


def test_a_host_that_is_not_admitted_or_no_reader_lacks_it(desk: Desk) -> None:
    content(desk, "{{ pw }}")
    (deploy,) = desk.state().deploys
    with pytest.raises(Lacking, match="not admitted") as caught:
        desk.unsealer("web9", admitted=False)(deploy.arguments, desk.repo)
    assert not caught.value.admitted
    old, new = age.generate(), age.generate()  # the new one was merged, and is taken up at the end of this cycle
    rotated = Unsealer(lambda: old, age.recipient_of(new).__eq__, desk.keys, desk.credentials, lambda: [new])
    for unsealer in (desk.unsealer("db1"), rotated):
        with pytest.raises(Lacking, match="was not made for this host"):
            unsealer(deploy.arguments, desk.repo)


def test_a_file_that_is_not_the_commit_s_is_no_secret(desk: Desk) -> None:
    content(desk, "{{ pw }}")
    (deploy,) = desk.state().deploys
    desk.store.rekey((), desk.own_keys(), everything=True)
    with pytest.raises(Lacking, match="is not what the commit holds"):
        desk.unsealer()(deploy.arguments, desk.repo)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ secret('web/binary') }}", "is no text; call it with binary=true"),
        ("{{ pw | from_json }}", "the filter from_json does not take the value of a secret"),
        ("{{ (secret('web/json') | from_json).nobody }}", "there is no 'nobody' in the value of a secret"),
    ],
)
def test_what_only_the_value_shows_makes_the_deploy_wait_and_names_no_value(
    desk: Desk, template: str, problem: str
) -> None:
    content(desk, template)
    with pytest.raises(Lacking) as caught:
        desk.values()
    assert problem in caught.value.reason
    assert VALUE not in caught.value.reason


def applied(desk: Desk, work: Path) -> tuple[list[WantedChange], str]:
    """The state of web1 made so by a real engine: its changes, and all that was said."""
    engine, state, changes = desk.engine(work), desk.state(), list[WantedChange]()

    def decide(found: FoundDeploy) -> Execute:
        changes.extend(found.changes)
        return Execute(frozenset(change.resource for change in found.changes))

    outcomes = engine.apply(state, desk.repo, frozenset(), decide=decide)
    return changes, repr((changes, outcomes))


def test_files_hold_the_values_byte_for_byte_and_no_change_shows_them(desk: Desk, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "old").write_text("the old value\n")
    desk.write("/app.j2", "password={{ pw }}\n")
    files = {
        f"{there}/old": {"template": "app.j2", "mode": "0600"},
        f"{there}/binary": {"content": "{{ secret('web/binary', binary=true) }}", "mode": "0640"},
    }
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [{"files": files}]}]))
    changes, said = applied(desk, tmp_path / "work")
    assert (there / "old").read_text() == f"password={VALUE}\n"
    assert (there / "binary").read_bytes() == b"\xff\x00\n"
    assert stat.S_IMODE((there / "old").stat().st_mode) == 0o600
    assert {change.resource.rpartition("/")[2]: (change.diff, change.private) for change in changes} == {
        "old": (None, True),
        "binary": (None, True),
    }
    assert VALUE not in said
    assert "the old value" not in said
    assert not desk.engine(tmp_path / "work").plan(desk.state(), desk.repo, frozenset())[0].changes


def test_a_deploy_file_gets_the_value_and_what_it_says_is_masked(desk: Desk, tmp_path: Path) -> None:
    code = f"""
        import sys
        from pyinfra import host
        from pyinfra.operations import server
        server.shell(name="say " + host.data.pw, commands=["printf %s \\"$PW\\" > {tmp_path}/got; echo " + host.data.q],
                     _env={{"PW": host.data.pw}})
        server.shell(commands=["echo " + host.data.q + " >&2; false"])
    """
    desk.write("/deploys/x.py", textwrap.dedent(code))
    deploy = {"name": "x", "deploy": "deploys/x.py", "with": {"q": "{{ pw | quote }}"}}
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [deploy]}]))
    _, said = applied(desk, tmp_path / "work")
    assert (tmp_path / "got").read_text() == VALUE
    assert mask.MASK in said
    assert VALUE not in said
    assert VALUE.replace("'", "") not in said


def test_dotfiles_hold_what_an_age_file_of_the_set_holds(desk: Desk) -> None:
    host = age.recipient_of(desk.unsealer()._key())
    desk.write("/dotfiles/a/.netrc.age", age.encrypt(b"machine h\n\xff", [host]))
    desk.write("/dotfiles/a/.env.j2", "PW={{ pw }}\n")
    desk.write("/dotfiles/c/encrypted_dot_token.age", age.encrypt(b"token", [host]))
    sets = [{"user": "root", "sets": ["a"]}, {"user": "root", "sets": ["c"], "layout": "chezmoi"}]
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [{"dotfiles": each} for each in sets]}]))
    items = {item["path"]: item for item in desk.values()["dotfiles"]["items"]}
    found = {path: (item["text"].encode(errors="surrogateescape"), oct(item["mode"])) for path, item in items.items()}
    assert found == {
        ".netrc": (b"machine h\n\xff", "0o600"),
        ".env": (f"PW={VALUE}\n".encode(), "0o600"),
        ".token": (b"token", "0o600"),
    }


def test_the_other_deploys_go_on_where_one_lacks_a_secret(desk: Desk, tmp_path: Path) -> None:
    site = [
        {"name": "open", "deploy": "files", "with": {f"{tmp_path}/open": {"content": "x"}}},
        {"name": "closed", "deploy": "files", "with": {f"{tmp_path}/closed": {"content": "{{ pw }}", "mode": "0600"}}},
    ]
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": site}]))
    engine = desk.engine(tmp_path / "work", "db1")
    found = {each.deploy: each for each in engine.plan(desk.state(), desk.repo, frozenset())}
    assert [found["open"].lacks, len(found["open"].changes)] == [None, 1]
    assert "was not made for this host" in f"{found['closed'].lacks}"
    assert not found["closed"].changes


@pytest.mark.parametrize(
    ("value", "said", "masked"),
    [
        ("042", "pin 042, '042', 1042, 042b and x=042\n", "pin [secret], '[secret]', 1042, 042b and x=[secret]\n"),
        ("x!", "to x! or x!y, ax! and x?", "to [secret] or x!y, ax! and x?"),
        ("7", "7 changes", "7 changes"),
        ("  ", "a  b", "a  b"),
        ("a-b-", "a-b-c", "[secret]c"),
    ],
)
def test_a_short_value_is_masked_where_it_is_a_word(value: str, said: str, masked: str) -> None:
    mask.remember(value)
    assert mask.masked(said) == masked


def test_overlapping_words_are_masked_from_the_left_and_the_longest_first() -> None:
    mask.remember_all(("b!", "ab", "a-b", "b c"))
    assert mask.masked("a-b! x-b! ab c a-b") == "[secret]! x-[secret] [secret] c [secret]"


def test_many_short_values_are_remembered_without_a_pattern_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(re, "compile", None)
    mask.remember_all(f"{number}" for number in range(100, 200))
    assert mask.masked("99 100 150-1 200") == "99 [secret] [secret]-1 200"


@pytest.mark.parametrize(
    ("key", "is_name"),
    [
        ("password", True),
        ("web1", True),
        ("DB_HOST_2", True),
        ("k8s", True),
        ("ip-10-0-0-17.eu-west-1.example.org", True),
        ("10.0.0.17", True),
        ("8443", True),
        ("ann@example.org", False),
        ("271828", False),
        ("123-456-789", False),
        ("4f1c2a9e-7b3d-4e5f-8a6b-0c1d2e3f4a5b", False),
        ("ghp5tR9xQ2mK7vL4", False),
        ("A3F09C11D2E4", False),
    ],
)
def test_keys_of_a_parsed_secret_are_masked_unless_they_are_names(desk: Desk, key: str, is_name: bool) -> None:
    desk.store.write("web/people", json.dumps({key: {"password": "value-of-it"}}).encode())
    site = [{"hosts": "web", "deploys": [{"name": "x", "deploy": "deploys/x.py", "with": {}}]}]
    site[0]["deploys"][0]["with"] = {"people": "{{ secret('web/people') | from_json }}"}
    desk.write("/deploys/x.py", "")
    desk.write("site.yaml", json.dumps(site))
    assert desk.values()["x"]["people"] == {key: {"password": "value-of-it"}}
    assert mask.masked(f"password of {key}: value-of-it") == f"password of {key if is_name else mask.MASK}: [secret]"


def test_what_is_taken_out_of_a_parsed_secret_is_masked(desk: Desk) -> None:
    desk.store.write("web/app", b'{"pw": "of the app", "pin": 271828, "all": {"key": ["first key"]}}')
    content(desk, "{{ (secret('web/app') | from_json).pw }}")
    assert desk.text("/srv/x") == "of the app"
    said = "password=of the app, pin=271828, key=first key"
    assert mask.masked(said) == "password=[secret], pin=[secret], key=[secret]"


def test_a_process_that_has_read_a_secret_leaves_no_core(desk: Desk, tmp_path: Path) -> None:
    code = """
import os, resource, sys
from pathlib import Path
from agent.domain.sealed import FILE, token
from agent.host.identity import decryption_key
from agent.secrets.unseal import Unsealer
keys, repo, path, blob = sys.argv[1:]
text = token({"is": FILE, "path": path, "blob": blob, "binary": False})
resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE)[1:] * 2)
print(Unsealer(lambda: decryption_key(Path(keys)), lambda _: True, Path("/"), Path("/"))(text, Path(repo)), flush=True)
os.abort()
"""
    file = desk.environment().secrets.file("web/admin")
    argv = [sys.executable, "-c", code, f"{desk.keys / 'web1'}", f"{desk.repo}", file.path, file.blob]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=tmp_path) as child:
        assert child.stdout is not None
        assert child.stdout.read().decode() == f"{VALUE}\n"
        _, status = os.waitpid(child.pid, 0)
        child.returncode = 0
    assert (os.WTERMSIG(status), os.WCOREDUMP(status)) == (signal.SIGABRT, False)
    assert list(tmp_path.glob("core*")) == []


def test_a_deploy_file_that_takes_a_secret_shows_no_diff_for_the_value_before_is_in_it(
    desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "there").write_text("the old value\n")
    code = f"""
        from io import StringIO
        from pyinfra import host
        from pyinfra.operations import files
        files.put(src=StringIO(host.data.q), dest="{tmp_path}/there", mode="600")
    """
    desk.write("/deploys/x.py", textwrap.dedent(code))
    deploy = {"name": "x", "deploy": "deploys/x.py", "with": {"q": "{{ pw }}"}}
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [deploy]}]))
    changes, said = applied(desk, tmp_path / "work")
    assert [(change.diff, change.private) for change in changes] == [(None, True)]
    assert "the old value" not in said
    assert (tmp_path / "there").read_text() == VALUE
