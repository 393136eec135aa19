from __future__ import annotations

import pytest

from agent.domain.near import near

HOSTS = ("web1", "web2", "web12", "db1", "canary", "mail.example.org", "web-prod-01", "web-prod-02")
KEYS = ("content", "source", "mode", "owner", "group", "template", "absent", "validate", "sha256", "line")


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("wbe1", HOSTS, ["web1"]),
        ("Web1", HOSTS, ["web1"]),
        ("mail.exmaple.org", HOSTS, ["mail.example.org"]),
        ("web-prdo-01", HOSTS, ["web-prod-01"]),
        ("web3", HOSTS, []),
        ("web", HOSTS, []),
        ("db2", HOSTS, []),
        ("web-prod-03", HOSTS, []),
        ("web-stage-01", HOSTS, []),
        ("contnt", KEYS, ["content"]),
        ("lines", KEYS, ["line"]),
        ("src", KEYS, ["source"]),
        ("sha265", KEYS, ["sha256"]),
        ("state", KEYS, []),
        ("dest", KEYS, []),
        ("sha512", KEYS, []),
        ("nope.txt", ("ok.txt",), []),
        ("web.yaml", ("db.yaml", "wbe.yaml"), ["wbe.yaml"]),
        ("prod-web", ("prod-db", "prod-wbe"), ["prod-wbe"]),
        ("web1.example.org", ("db1.example.org",), []),
        ("wbe1.exmaple.org", ("web1.example.org",), ["web1.example.org"]),
        ("deploys/nope.py", ("deploys/ok.py",), []),
        ("servers/database", ("servers/app",), []),
        ("sevrers/app", ("servers/app",), ["servers/app"]),
        ("webprod.yaml", ("web-prod.yaml",), ["web-prod.yaml"]),
        ("app.conf.d", ("app.conf",), ["app.conf"]),
        ("web", (), []),
    ],
)
def test_only_a_name_that_may_be_misspelt_is_offered(name: str, known: tuple[str, ...], meant: list[str]) -> None:
    assert near(name, known) == meant
