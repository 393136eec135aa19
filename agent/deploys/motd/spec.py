"""motd: the message that people see when they log in.

- motd                                      # says who manages this host, and where to change it
- motd: {text: "{{ inventory_hostname }}: ask ops@example.org before you reboot"}
- motd: {template: files/motd.j2}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from agent.deploys.items import FILE_MODE, Item, concrete_items
from agent.deploys.spec import Concrete, Sources, Spec, text_of
from agent.domain.fault import Mistake

PATH = "/etc/motd"

DEFAULT = """\
{host} is managed by Hostwright. What is changed here by hand is put back.
To change this host, edit inventories/{inventory}/ in its config repo.
"""


class MotdSpec(Spec):
    kind: ClassVar[str] = "motd"
    short: ClassVar[Mapping[str, Any] | None] = {"type": "string"}

    text: str | None = None
    """The message. Default: that Hostwright manages this host, and which folder of the config repo to edit."""
    template: str | None = Field(default=None, min_length=1)
    """Instead of `text`, a Jinja2 template of the config repo (path from its root), over the host's variables."""

    @classmethod
    def from_short(cls, value: Any) -> Any:
        return {"text": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.text is not None and self.template is not None:
            raise Mistake("both `text` and `template` say what it says", "give either `text` or `template`")
        return self

    def merged(self, later: Self) -> Self:
        return later if later.model_fields_set else self

    def concrete(self, sources: Sources) -> Concrete:
        text = self._said(sources)
        whole = text if text.endswith("\n") or not text else f"{text}\n"
        item = Item(path=PATH, kind="file", text=whole, mode=FILE_MODE)
        items, resources = concrete_items([item])
        return Concrete({"items": items}, resources)

    def _said(self, sources: Sources) -> str:
        if self.text is not None:
            return self.text
        if self.template is None:
            host = sources.render("{{ inventory_hostname }}", "motd")
            return DEFAULT.format(host=host, inventory=sources.inventory)
        return text_of(self.template, ("template",), sources, template=True)
