"""Where in site.yaml a secret is complained of that others than root could read."""

from __future__ import annotations

import pytest

from tests.secrets.conftest import Desk


@pytest.fixture(autouse=True)
def secret(desk: Desk) -> None:
    desk.store.write("web/admin", b"a value\n")
    desk.write("group_vars/web.yaml", "pw: \"{{ secret('web/admin') }}\"\n")


@pytest.mark.parametrize(
    ("deploy", "path"),
    [
        ("command: {a: {run: [x]}, b: {run: [x, '{{ pw }}']}}", "command.b.run"),
        ("cron: {x: {command: 'x {{ pw }}', schedule: '@daily'}}", "cron.x.command"),
        ("services: {app: {drop_ins: {pw.conf: 'P={{ pw }}'}}}", "services.app.drop_ins.pw.conf"),
        ("services: {app@x.timer: {drop_ins: {pw.conf: 'P={{ pw }}'}}}", "services.app@x.timer.drop_ins.pw.conf"),
        ("users: {ann: {password_hash: '{{ pw }}'}, bob: {comment: '{{ pw }}'}}", "users.bob.comment"),
    ],
)
def test_a_secret_that_others_could_read_is_complained_of_at_its_own_place(desk: Desk, deploy: str, path: str) -> None:
    desk.write("site.yaml", f"- hosts: web\n  deploys:\n    - {deploy}\n")
    assert f": [0].deploys[0].{path}: a secret" in desk.complaint()


def test_a_secret_in_a_unit_is_complained_of_at_its_line(desk: Desk) -> None:
    desk.write(
        "site.yaml", "- hosts: web\n  deploys:\n    - services:\n        b: {}\n        a: {content: 'P={{ pw }}'}\n"
    )
    assert "site.yaml:5:13: [0].deploys[0].services.a.content: a secret" in desk.complaint()
    desk.write(
        "site.yaml", "- hosts: web\n  deploys:\n    - containers:\n        a: {image: x, env: {P: '{{ pw }}'}}\n"
    )
    assert "site.yaml:4:29: [0].deploys[0].containers.a.env.P: a secret" in desk.complaint()
