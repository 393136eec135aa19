"""Remotes as people write them: what git may be given, and what never."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.system.remote import Remote, Transport, answers, checked_branch, without_password

BOOTSTRAP = Path(__file__).parents[2] / "bootstrap.sh"


@pytest.mark.parametrize(
    ("text", "transport", "host", "port"),
    [
        ("git@git.example.org:team/config.git", Transport.SSH, "git.example.org", None),
        ("git.example.org:/srv/config.git", Transport.SSH, "git.example.org", None),
        ("[::1]:config.git", Transport.SSH, "::1", None),
        ("ssh://git@git.example.org:2222/config.git", Transport.SSH, "git.example.org", 2222),
        ("ssh://[2001:db8::1]/config.git", Transport.SSH, "2001:db8::1", None),
        ("https://git.example.org/config.git", Transport.HTTP, "git.example.org", None),
        ("http://127.0.0.1:8080/config.git", Transport.HTTP, "127.0.0.1", 8080),
    ],
)
def test_the_usual_forms_are_understood(text: str, transport: Transport, host: str, port: int | None) -> None:
    remote = Remote.parse(text)
    assert (remote.url, remote.transport, remote.host, remote.port) == (text, transport, host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-oProxyCommand=touch${IFS}x",
        "--upload-pack=x",
        "ext::sh -c x",
        "ext::sh",
        "fd::17",
        "transport::address",
        "git://git.example.org/x",
        "ftp://git.example.org/x",
        "ext://x/y",
        "ssh://-oProxyCommand=x/y",
        "ssh://user@-oProxyCommand=x/y",
        "ssh://-x@git.example.org/y",
        "ssh://git:word@git.example.org/y",
        "-x@git.example.org:y",
        "https:///x",
        "https://git.example.org:port/x",
        "file://server/x",
        "relative/path",
        "../up",
        "~/config.git",
        "host:",
        "/srv/a b",
        "https://git.example.org/a\nb",
        "git@git.example.org:x\x1b[2J",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Remote.parse(text)
    assert refused.value.kind == "bad-remote"
    assert "\x1b" not in f"{refused.value}"


def test_a_password_leaves_the_url_and_does_not_show() -> None:
    remote = Remote.parse("https://ann:p%40ss@git.example.org:8443/x.git")
    assert remote.url == "https://git.example.org:8443/x.git"
    assert remote.authorization == "Basic " + base64.b64encode(b"ann:p@ss").decode()
    assert "ss" not in f"{remote}{remote!r}".replace("https", "")


@pytest.mark.parametrize(
    "url",
    [
        "https://ann:hunter2@git.example.org:port/x",
        "https://ann:a/hunter2@git.example.org/x",
        "https://ann:a#hunter2@git.example.org/x",
        "https://ann:12#hunter2@git.example.org/x",
        "https://ann:12?hunter2@git.example.org/x",
        "https://ann:a hunter2@git.example.org/x",
        "https://ann:hunter2\u2100@git.example.org/x",
        "https:/ann: hunter2@git.example.org/x",
        "https://ann:a@hunter2/b@git.example.org/x",
        "https://ann:12/hunter2@git.example.org/x",
        "https://ann@b/hunter2@git.example.org/x",
        "https://ann:hunter2" + "x" * 500 + "@git.example.org:port/x",
    ],
)
def test_a_refused_url_is_named_without_its_password_and_it_is_said_how_to_write_it(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Remote.parse(url)
    assert "hunter2" not in f"{refused.value}"
    assert "***@git.example.org" in f"{refused.value}"
    assert "percent-encode" in f"{refused.value}"


LOGIN = "https://ann:{}@git.example.org/x"
TAKEN = [
    *("git@host:path.git", "host:p", "git@host:/abs/p@x.git", "host:p/a@b.git", "host:/srv/p@x.git", "a_b-c.:x"),
    *("git@[::1]:p", "[::1]:p", "[2001:db8::1]:p", "first.last@host:p", "git@host:ünder/p", "git@host:2222/p"),
    *("ssh://git@host:2222/p@q.git", "ssh://git@[2001:db8::1]:2222/p", "ssh://[::1]/p", "ssh://host:65535/p"),
    *("https://host/p@v1.git", "https://host/@user/p.git", "https://host/a@b/c", "https://host/p?ref=a@b"),
    *("https://host:8443/@user/p.git", "https://host:8443/p@v1.git", "https://host:8443/p?ref=a@b"),
    *("https://host:0443/p", "https://host/übung.git", "https://host", "http://[::1]:80/p", "https://t@h:1/p"),
    *("https://u:p@[2001:db8::1]:8443/p", "https://u@example.org:pw@host/p", "https://u:p@host/p%40v1.git"),
    *(LOGIN.format(word) for word in ("hunter2", "12", "a@b", "a:b", "a\\b", "<a>", "a=b,;'", "", "x" * 1900)),
]
REFUSED = [
    *("u:hunter2@h/p", "u:hunter2@h:p", "u:hunter2@h", "https:u:hunter2@h/p", "https:/u:hunter2@h/p"),
    *("host:p@x.git", r"domain\user@host:p", "user@corp@host:p", "a::b", "host:", "rel/path", "üser@host:p"),
    *("//u:hunter2@h/p", "/https://u:hunter2@h/p", "ext::https://u:hunter2@h/p", "git+https://u:hunter2@h/p"),
    *("HTTPS://u:hunter2@h/p", "git://h/p", "ftp://u:hunter2@h/p", "file://h/p", "file:///https://u:hunter2@h/p"),
    *("ssh://git:hunter2@h/p", "ssh://git:12@h/p", "ssh://git:12/hunter2@h/p", "ssh://user%40corp@host/p"),
    *("https://u:12/hunter2@h/p", "https://u:12?hunter2@h/p", "https://u:12#hunter2@h/p", "https://u#hunter2@h/p"),
    *("https://u:12/@h/hunter2@h/p", "https://u:hun/ter2@h/p", "https://u:p@host/p@v1.git", "https://u@h/w@h/p"),
    *("https://[::1]:hunter2@h/p", "https://[u:hunter2@h/p", "http:///u:hunter2@h/p", "https://u:p@h:99999/p"),
    *("https://host:/p", "ssh://host:/p", "https://host:65536/p", "https://host:x/p", "https://bücher.example/p"),
    *(LOGIN.format(word) for word in ('hun"ter2', "hun\u00a0ter2", "hun\u2028ter2", "hün", "a b", "x" * 2001)),
]


@pytest.mark.parametrize("text", TAKEN)
def test_of_a_remote_that_is_taken_every_password_is_masked(text: str) -> None:
    remote = Remote.parse(text)
    shown = without_password(text)
    assert shown == (remote.url.replace("://", "://***@") if remote.authorization else text)


@pytest.mark.parametrize("text", REFUSED)
def test_a_remote_whose_password_could_be_read_as_something_else_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Remote.parse(text)
    assert "ter2" not in f"{refused.value}"


@pytest.mark.parametrize("shell", ["dash", "bash --posix", "busybox sh"])
def test_bootstrap_takes_shows_and_refuses_the_same_remotes(shell: str) -> None:
    argv = shell.split()
    if shutil.which(argv[0]) is None:
        pytest.skip(f"no {argv[0]} on this machine")
    functions = BOOTSTRAP.read_text().removesuffix('main "$@"\n')
    each = 'while IFS= read -r given; do\n(remember --repo "$given"; shown_repo; echo) || :\ndone\n:'
    done = subprocess.run(
        [*argv, "-c", f"{functions}\nset +eu\nat='' options=''\n{each}"],
        input="".join(f"{text}\n" for text in (*TAKEN, *REFUSED)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == [without_password(text) for text in TAKEN]
    assert "ter2" not in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://bücher.example/p", "xn--"),
        ("https://host:/p", "leave out the colon"),
        ("https://u:p@host/p@v1.git", "in a path too"),
        (LOGIN.format("x" * 2001), "longer than 2000 characters"),
        ("HTTPS://host/p", "https://"),
    ],
)
def test_the_refusal_says_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Remote.parse(text)


@pytest.mark.parametrize("word", ['hun"ter2', "hun\u00a0ter2", "hun\u2028ter2"])
def test_a_quote_or_a_strange_blank_in_a_password_in_foreign_text_ends_no_mask(word: str) -> None:
    assert without_password(f"at {LOGIN.format(word)} now") == "at https://***@git.example.org/x now"
    assert without_password('{"a":"https://h:x","b":"c@d"}') == '{"a":"https://h:x","b":"c@d"}'


def test_passwords_in_foreign_text_are_masked() -> None:
    assert without_password("at https://ann:x@h/y and HTTP://z@h") == "at https://***@h/y and HTTP://***@h"
    assert without_password("ssh://z:x@h/y git+ssh://z:@h") == "ssh://z:***@h/y git+ssh://z:***@h"
    assert without_password("at https://ann:p@ss@w:rd@h/y, https://to@ken@h") == "at https://***@h/y, https://***@h"
    assert (
        without_password("'https://bot:p@q/w@h/y': no; https://t@h/y@z") == "'https://***@h/y': no; https://***@h/y@z"
    )
    assert without_password("ssh://git:p/w@h/y https://bot:p/w@h") == "ssh://git:***@h/y https://***@h"
    assert (
        without_password("ssh://ann:p@ss@h/y and https://h:80/y of ann@h")
        == "ssh://ann:***@h/y and https://h:80/y of ann@h"
    )


def test_the_user_of_an_ssh_url_is_no_secret() -> None:
    assert without_password("'ssh://git@h/y' and git@h:y") == "'ssh://git@h/y' and git@h:y"


@pytest.mark.parametrize(
    "url", ["https://h:80/y@z", "https://[::1]:80/y@z", "https://h/y@z", "git+ssh://git@h:22/y@v1//x.py"]
)
def test_a_port_is_no_password_and_an_at_sign_in_a_path_ends_none(url: str) -> None:
    assert without_password(url) == url


def test_a_proxy_that_cannot_be_read_answers_nothing_and_is_not_quoted() -> None:
    assert not answers(Remote.parse("https://git.example.org/x.git"), "http://ann:hunter2/a@proxy:3128", 1)


@pytest.mark.parametrize("name", ["main", "team/a-b_c.d", "übung", "v1.2", "a@b"])
def test_a_branch_that_git_takes_is_taken(name: str) -> None:
    assert checked_branch(name) == name
