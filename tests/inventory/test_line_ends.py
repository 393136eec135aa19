"""Line ends of templates are theirs: what goes in with ``\\r\\n`` comes out with it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.inventory.template.render import Renderer
from agent.system.document import Position
from tests.inventory.samples import Repo

PIECES = (
    *("a", "\n", "\n\n", " ", "%}", "#}", "{{ x }}", "{{- x -}}", "{# why\n #}", "{#- why -#}"),
    *("{% if t %}\nb\n{% endif %}", "{%- if t -%}\nb\n{%- endif -%}", "{% for i in l %}\n{{ i }}\n{% endfor %}"),
    *("{% raw %}\n{{ x }}\n{% endraw %}", "{% set y = x %}", "{{ x +\n 'c' }}"),
)
VALUES = {"x": "value", "t": True, "l": ["1", "2"]}


def rendered(text: str) -> str:
    return Renderer().text(text, VALUES, Position("files/app.conf.j2"))


@given(st.lists(st.sampled_from(PIECES)).map("".join))
@example("\n\n{% set y = x %}\n\n")
def test_a_template_with_returns_gives_what_it_gives_without_them_with_them(text: str) -> None:
    assert rendered(text.replace("\n", "\r\n")) == rendered(text).replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\n{{ x }}\nb\r\n", "a\r\nvalue\nb\r\n"),
        ("a\rb {{ x }}\r", "a\rb value\r"),
        ("a\n{{ x }}\r\n\r\n", "a\nvalue\r\n\r\n"),
    ],
)
def test_each_line_of_a_mixed_template_keeps_its_end(text: str, expected: str) -> None:
    assert rendered(text) == expected


def test_inline_content_keeps_its_returns_when_a_variable_comes_in(repo: Repo) -> None:
    repo.write("host_vars/web1.yaml", 'port: 8080\nx: "a\\r\\nport {{ port }}\\r\\n"\ny: "{{ x }}b\\\\\\r\\n"')
    values = repo.load().values("web1")
    assert (values["x"], values["y"]) == ("a\r\nport 8080\r\n", "a\r\nport 8080\r\nb\\\r\n")
