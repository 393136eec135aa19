"""Secrets that a provider holds: a real OpenBao; AWS by moto, signatures as botocore makes them; Azure and Google by
servers that answer as their documentation says."""

from __future__ import annotations

import base64
import datetime
import json
import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.domain.provider import ProviderKind
from agent.engine.secrecy import Lacking
from agent.inventory.load import read
from agent.secrets.provided import Providers
from agent.secrets.providers import aws
from agent.secrets.providers.api import ProviderError
from agent.secrets.providers.aws import Aws, Keys
from agent.secrets.providers.azure import Azure
from agent.secrets.providers.google import Google
from agent.system import http, mask
from tests.gitserver import free_port
from tests.secrets.answering import answering
from tests.secrets.conftest import Desk

ROOT = "a-root-token"
VALUE = "correct horse battery"


class Bao:
    """A real OpenBao; ``run`` is its own command line, as root."""

    def __init__(self, home: Path) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self._home = home
        argv = ["bao", "server", "-dev", f"-dev-root-token-id={ROOT}", f"-dev-listen-address=127.0.0.1:{port}"]
        with (home / "log").open("wb") as log:
            self.process = subprocess.Popen(argv, env=self._environment(), stdout=log, stderr=log)
        end = time.monotonic() + 60
        while True:
            # It listens a while before it answers for what it is
            with suppress(OSError), urllib.request.urlopen(f"{self.address}/v1/sys/health", timeout=60):
                break
            assert time.monotonic() < end, (home / "log").read_text()
            time.sleep(0.1)

    def run(self, *words: str) -> str:
        done = subprocess.run(["bao", *words], env=self._environment(), capture_output=True, timeout=30, check=True)
        return done.stdout.decode().strip()

    def _environment(self) -> dict[str, str]:
        told = {"HOME": f"{self._home}", "BAO_ADDR": self.address, "BAO_TOKEN": ROOT}
        return {"PATH": os.environ["PATH"], **told}


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    bao = Bao(tmp_path_factory.mktemp("bao"))
    try:
        bao.run("kv", "put", "secret/web", f"password={VALUE}", "port=5432")
        bao.run("secrets", "enable", "-path=old", "-version=1", "kv")
        bao.run("kv", "put", "old/web", "password=of version one")
        yield bao
    finally:
        bao.process.kill()
        bao.process.wait(30)


def ask(desk: Desk, bao: Bao, template: str) -> str:
    """What ``template`` becomes in a file on web1."""
    desk.write("fleet.yaml", json.dumps({"providers": {"vault": {"address": bao.address}}}))
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [{"files": {"/q": _private(template)}}]}]))
    return desk.text("/q")


def _private(template: str) -> Mapping[str, str]:
    return {"content": template, "mode": "0600"}


def give(desk: Desk, name: str, content: str, mode: int = 0o600) -> None:
    path = desk.credentials / name
    path.write_text(content)
    path.chmod(mode)


@pytest.mark.parametrize(
    ("reference", "value"),
    [("secret/data/web#password", VALUE), ("secret/data/web#port", "5432"), ("old/web#password", "of version one")],
)
def test_a_value_of_the_vault_is_put_in_on_the_host(desk: Desk, bao: Bao, reference: str, value: str) -> None:
    give(desk, "vault-token", f"{ROOT}\n")
    assert ask(desk, bao, f"password={{{{ vault('{reference}') }}}}\n") == f"password={value}\n"
    assert mask.masked(f"{value} {ROOT}") == "[secret] [secret]"


def test_a_host_logs_in_by_its_approle(desk: Desk, bao: Bao) -> None:
    (desk.credentials / "web.hcl").write_text('path "secret/data/*" { capabilities = ["read"] }\n')
    bao.run("policy", "write", "web", f"{desk.credentials / 'web.hcl'}")
    with suppress(subprocess.CalledProcessError):  # enabled by an earlier test
        bao.run("auth", "enable", "approle")
    bao.run("write", "auth/approle/role/web", "token_policies=web")
    give(desk, "vault-role-id", bao.run("read", "-field=role_id", "auth/approle/role/web/role-id"))
    give(desk, "vault-secret-id", bao.run("write", "-f", "-field=secret_id", "auth/approle/role/web/secret-id"))
    assert ask(desk, bao, "{{ vault('secret/data/web#password') }}") == VALUE
    with pytest.raises(Lacking, match="does not allow this host to read it"):
        ask(desk, bao, "{{ vault('old/web#password') }}")
    give(desk, "vault-secret-id", "00000000-0000-0000-0000-000000000000")
    with pytest.raises(Lacking, match="does not accept this host's vault-role-id and vault-secret-id"):
        ask(desk, bao, "{{ vault('secret/data/web#password') }}")


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("secret/data/gone#password", "has nothing there"),
        ("secret/data/web#gone", "there is no text 'gone' in secret/data/web"),
        ("secret/web#password", "has nothing there|answered without data"),
    ],
)
def test_a_value_that_is_not_in_the_vault_makes_the_deploy_wait(desk: Desk, bao: Bao, reference: str, why: str) -> None:
    give(desk, "vault-token", ROOT)
    with pytest.raises(Lacking, match=why):
        ask(desk, bao, f"{{{{ vault('{reference}') }}}}")


def test_without_credentials_a_host_says_which_files_it_looks_for(desk: Desk, bao: Bao) -> None:
    with pytest.raises(Lacking, match=r"put a token into .*/vault-token, or vault-role-id and vault-secret-id beside"):
        ask(desk, bao, "{{ vault('secret/data/web#password') }}")


def test_credentials_that_others_can_read_are_not_used(desk: Desk, bao: Bao) -> None:
    give(desk, "vault-token", ROOT, 0o644)
    with pytest.raises(Lacking, match=r"vault-token can be read by others \(mode 0644\)"):
        ask(desk, bao, "{{ vault('secret/data/web#password') }}")


def test_a_token_that_the_vault_does_not_know_is_told(desk: Desk, bao: Bao) -> None:
    give(desk, "vault-token", "wrong")
    with pytest.raises(Lacking, match="does not allow this host to read it"):
        ask(desk, bao, "{{ vault('secret/data/web#password') }}")


def test_a_server_that_does_not_answer_is_asked_once(desk: Desk) -> None:
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        give(desk, "vault-token", ROOT)

        def refuse() -> None:
            while not stopped.is_set():
                with suppress(OSError):
                    listener.accept()[0].close()
                    calls.append(1)

        stopped = threading.Event()
        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        providers = Providers(desk.credentials)
        for place in ("kv/a", "kv/b"):
            with pytest.raises(ProviderError, match="does not answer"):
                providers.value(ProviderKind.VAULT, place, "x", {"address": address, "approle": "approle"})
        stopped.set()
        thread.join(5)
    assert calls == [1]


def test_a_redirect_is_not_followed_for_credentials_go_with_it(desk: Desk) -> None:
    seen: list[str] = []
    with answering({"/v1/kv/web": (302, "/elsewhere"), "/elsewhere": (200, {"data": {"x": VALUE}})}, seen) as address:
        give(desk, "vault-token", ROOT)
        settings = {"address": address, "approle": "approle"}
        with pytest.raises(ProviderError, match="answered with status 302"):
            Providers(desk.credentials).value(ProviderKind.VAULT, "kv/web", "x", settings)
    assert seen == ["GET /v1/kv/web"]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("vault('kv/data/web')", "write vault('<path, as kv/data/web>#<key>')"),
        ("vault('kv/../web#x')", "write vault("),
        ("vault('kv/a?b#x')", "write vault("),
        ("vault(1)", "write vault("),
        ("azure_secret('https://x/y')", "write azure_secret('<key vault>/<secret>')"),
        ("google_secret('p/s')", "write google_secret('projects/<id>/secrets/<name>')"),
        ("aws_secret('a b')", "write aws_secret('<name or ARN>')"),
        ("aws_secret('web')", "write `providers: {aws: {region: eu-central-1}}` in fleet.yaml"),
        ("vault('kv/web#x')", "write `providers: {vault: {address: https://vault.example.org}}` in fleet.yaml"),
    ],
)
def test_a_reference_that_leads_nowhere_is_a_complaint(desk: Desk, template: str, said: str) -> None:
    content = _private(f"{{{{ {template} }}}}")
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [{"files": {"/q": content}}]}]))
    assert said in desk.complaint()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://vault.example.org", "it is without TLS; write https://vault.example.org"),
        ("https://u:p@vault.example.org", "it holds a user or a password, which lie on the host; write https://vault"),
        ("https://x:8200/v1", "something stands behind the host and port; write https://x:8200"),
    ],
)
@pytest.mark.parametrize("key", ["vault.address", "aws.endpoint"])
def test_a_server_that_could_leak_credentials_is_a_complaint(desk: Desk, key: str, address: str, said: str) -> None:
    provider, _, name = key.partition(".")
    more = {"region": "eu-central-1"} if provider == "aws" else {}
    desk.write("fleet.yaml", json.dumps({"providers": {provider: {name: address, **more}}}))
    assert f"is no server to be trusted: {said}" in desk.complaint()


def test_a_mistake_about_one_provider_does_not_make_complaints_about_another(desk: Desk) -> None:
    wrong = {"vault": {"address": "https://vault.example.org", "approle": True}, "aws": {"region": "eu-central-1"}}
    desk.write("fleet.yaml", json.dumps({"providers": wrong}))
    content = _private("{{ aws_secret('web') }}{{ vault('kv/web#x') }}")
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [{"files": {"/q": content}}]}]))
    environment, complaints = read(desk.tree, "lab")
    assert len(list(environment.each(complaints))) == 3
    [complaint] = complaints.sorted
    assert (complaint.path, complaint.remedy) == (
        "providers.vault.approle",
        'leave it out, or write a path like "approle"',
    )


def test_where_a_secret_lies_is_part_of_the_digest(desk: Desk) -> None:
    found = set()
    for address, key in (("https://a", "x"), ("https://a", "y"), ("https://b", "x"), ("https://a", "x")):
        desk.write("fleet.yaml", json.dumps({"providers": {"vault": {"address": address}}}))
        content = _private(f"{{{{ vault('kv/web#{key}') }}}}")
        desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [{"files": {"/q": content}}]}]))
        found.add(desk.state().deploys[0].digest)
    assert len(found) == 3


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer  # half a second, which each worker would take

    server = ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


KEYS = "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG\n"


@pytest.mark.parametrize(
    ("made", "reference", "value"),
    [
        ({"SecretString": VALUE}, "web", VALUE),
        ({"SecretString": '{"password": "of an object"}'}, "web#password", "of an object"),
        ({"SecretBinary": b"\x00\xff"}, "web", "\x00\udcff"),
    ],
)
def test_a_value_of_aws_is_put_in_on_the_host(
    desk: Desk, moto: str, made: dict[str, Any], reference: str, value: str
) -> None:
    import boto3

    known = {"aws_access_key_id": "x", "aws_secret_access_key": "y", "region_name": "eu-central-1"}
    client = boto3.client("secretsmanager", endpoint_url=moto, **known)
    arn = client.create_secret(Name="web", **made)["ARN"]
    give(desk, "aws-credentials", KEYS)
    settings = {"region": "eu-central-1", "endpoint": moto}
    place, _, key = reference.partition("#")
    try:
        for each in (place, arn):
            assert Providers(desk.credentials).value(ProviderKind.AWS, each, key, settings) == value
    finally:
        client.delete_secret(SecretId="web", ForceDeleteWithoutRecovery=True)
    with pytest.raises(ProviderError, match="has nothing there"):
        Providers(desk.credentials).value(ProviderKind.AWS, place, key, settings)


@pytest.mark.parametrize("session", [None, "a/session+token=="])
def test_a_question_to_aws_is_signed_as_botocore_signs_it(monkeypatch: pytest.MonkeyPatch, session: str | None) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    url, body = "https://secretsmanager.eu-central-1.amazonaws.com", b'{"SecretId": "web/\xc3\xa4"}'
    now = datetime.datetime(2026, 12, 1, 6, 0, tzinfo=datetime.UTC)
    found = aws.signed(url, body, "eu-central-1", Keys("AKIDEXAMPLE", "a/secret+key", session), now)
    kept = ("content-type", "x-amz-target")
    request = AWSRequest("POST", f"{url}/", data=body, headers={name: found[name] for name in kept})
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: now.replace(tzinfo=None))
    SigV4Auth(Credentials("AKIDEXAMPLE", "a/secret+key", session), "secretsmanager", "eu-central-1").add_auth(request)
    assert found["authorization"] == request.headers["Authorization"]
    assert found.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")


def test_an_instance_of_aws_asks_by_its_role(tmp_path: Path) -> None:
    role = {"AccessKeyId": "AKID", "SecretAccessKey": "secret key", "Token": "session token"}
    answers = {
        "/latest/api/token": (200, "a-token"),
        "/latest/meta-data/iam/security-credentials/": (200, "web-role"),
        "/latest/meta-data/iam/security-credentials/web-role": (200, role),
        "/": (200, {"SecretString": VALUE}),
    }
    seen: list[str] = []
    with answering(answers, seen) as address:
        assert Aws(tmp_path, address).value("web", {"region": "eu-central-1", "endpoint": address}) == VALUE
    assert seen[0] == "PUT /latest/api/token"
    assert mask.masked("secret key, session token") == "[secret], [secret]"


def test_a_machine_without_a_role_says_so(tmp_path: Path) -> None:
    with answering({"/latest/api/token": (200, "a-token")}, []) as address:
        machine = Aws(tmp_path, address)
        with pytest.raises(ProviderError, match=r"no role in AWS, and no .*/aws-credentials"):
            machine.value("web", {"region": "eu-central-1", "endpoint": address})


def test_a_machine_of_azure_asks_by_its_managed_identity() -> None:
    answers = {
        "/metadata/identity/oauth2/token": (200, {"access_token": "a bearer", "token_type": "Bearer"}),
        "/kv1/secrets/web": (200, {"value": VALUE, "id": "https://kv1.vault.azure.net/secrets/web/0"}),
    }
    with answering(answers, []) as address:
        assert Azure(address, f"{address}/{{vault}}").value("kv1/web", {}) == VALUE
        with pytest.raises(ProviderError, match="has nothing there"):
            Azure(address, f"{address}/{{vault}}").value("kv1/gone", {})


def test_a_machine_of_google_asks_by_its_service_account() -> None:
    version = "/v1/projects/p/secrets/web/versions"
    data = base64.b64encode(VALUE.encode()).decode()
    answers = {
        "/computeMetadata/v1/instance/service-accounts/default/token": (200, {"access_token": "a bearer"}),
        f"{version}/latest:access": (200, {"payload": {"data": data}}),
        f"{version}/3:access": (200, {"payload": {"data": "no base64"}}),
    }
    with answering(answers, []) as address:
        assert Google(address, address).value("projects/p/secrets/web", {}) == VALUE
        with pytest.raises(ProviderError, match="no base64"):
            Google(address, address).value("projects/p/secrets/web/versions/3", {})


def test_a_server_of_this_machine_is_asked_past_any_proxy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    with answering({"/v1/kv/web": (200, {"data": {"x": VALUE}})}, []) as address, answering({}, seen) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        give(desk, "vault-token", ROOT)
        settings = {"address": address, "approle": "approle"}
        assert Providers(desk.credentials).value(ProviderKind.VAULT, "kv/web", "x", settings) == VALUE
    assert seen == []


def test_a_server_that_does_not_answer_keeps_no_other_from_being_asked() -> None:
    answers = {
        "/metadata/identity/oauth2/token": (200, {"access_token": "a bearer"}),
        "/secrets/web": (200, {"value": VALUE}),
    }
    with answering(answers, []) as address:
        machine = Azure(address, f"http://{{vault}}:{address.rpartition(':')[2]}")
        with pytest.raises(ProviderError, match=r"no\.such\.invalid:.* does not answer"):
            machine.value("no.such.invalid/web", {})
        assert machine.value("localhost/web", {}) == VALUE


@pytest.mark.parametrize("token", ["hvs.first\nhvs.second", "hvs.\u20acuro", "hvs.a\x00b"])
def test_a_token_that_no_header_can_hold_is_told_without_its_value(desk: Desk, token: str) -> None:
    give(desk, "vault-token", token)
    settings = {"address": "http://127.0.0.1:1", "approle": "approle"}
    with pytest.raises(ProviderError, match=r"/vault-token is no token: it has to be one line of ASCII$") as caught:
        Providers(desk.credentials).value(ProviderKind.VAULT, "kv/web", "x", settings)
    assert "hvs" not in f"{caught.value}"


def test_keys_of_aws_that_no_header_can_hold_are_told_without_their_values(desk: Desk) -> None:
    give(desk, "aws-credentials", KEYS.replace("AKID", "\u20acKID"))
    with pytest.raises(ProviderError, match=r"/aws-credentials is no file of credentials"):
        Providers(desk.credentials).value(ProviderKind.AWS, "web", "", {"region": "eu-central-1"})


ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:web-AbCdEf"


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:secretsmanager:x@evil.example/:1:secret:a",
        ARN.replace("eu-central-1", "x@evil.example/"),
        ARN.replace("eu-central-1", "evil.example"),
        ARN.replace("secretsmanager", "s3"),
        ARN.replace(":aws:", ":gcp:"),
    ],
)
def test_an_arn_names_no_server_of_its_own(desk: Desk, arn: str) -> None:
    content = _private(f"{{{{ aws_secret('{arn}') }}}}")
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [{"files": {"/q": content}}]}]))
    assert "write aws_secret(" in desk.complaint()
    with pytest.raises(ProviderError, match="is no ARN of a secret"):  # from a document of an older version
        Providers(desk.credentials).value(ProviderKind.AWS, arn, "", {})


@pytest.mark.parametrize(
    ("place", "settings", "server"),
    [
        (ARN, {}, "https://secretsmanager.eu-central-1.amazonaws.com"),
        (ARN.replace("aws:", "aws-cn:", 1), {}, "https://secretsmanager.eu-central-1.amazonaws.com.cn"),
        ("web", {"region": "cn-north-1"}, "https://secretsmanager.cn-north-1.amazonaws.com.cn"),
        (ARN.replace("aws:", "aws-iso:", 1), {"endpoint": "https://x"}, "https://x"),
    ],
)
def test_a_secret_of_aws_is_asked_of_the_server_of_its_partition(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, place: str, settings: dict[str, str], server: str
) -> None:
    give(desk, "aws-credentials", KEYS)
    asked: list[str] = []

    def answer(url: str, *_: object, **__: object) -> http.Answer:
        asked.append(url)
        return http.Answer(200, json.dumps({"SecretString": VALUE}).encode())

    monkeypatch.setattr(http, "ask", answer)
    assert Providers(desk.credentials).value(ProviderKind.AWS, place, "", settings) == VALUE
    assert asked == [server]


def test_a_partition_whose_servers_are_not_known_needs_an_endpoint(desk: Desk) -> None:
    content = _private(f"{{{{ aws_secret('{ARN.replace('aws:', 'aws-iso:', 1)}') }}}}")
    desk.write("site.yaml", json.dumps([{"hosts": "web", "deploys": [{"files": {"/q": content}}]}]))
    assert "write `providers: {aws: {region: eu-central-1, endpoint: https://…}}` in fleet.yaml" in desk.complaint()


@pytest.mark.parametrize("number", ["1.10", "1e999", "NaN", "12345678901234567890123.5", "1" * 5000])
def test_a_number_is_taken_as_it_is_written(desk: Desk, number: str) -> None:
    with answering({"/v1/kv/web": (200, f'{{"data": {{"x": {number}}}}}')}, []) as address:
        give(desk, "vault-token", ROOT)
        settings = {"address": address, "approle": "approle"}
        assert Providers(desk.credentials).value(ProviderKind.VAULT, "kv/web", "x", settings) == number


def test_half_a_surrogate_pair_is_no_text(desk: Desk) -> None:
    with answering({"/v1/kv/web": (200, {"data": {"x": "\ud800abcdef"}})}, []) as address:
        give(desk, "vault-token", ROOT)
        settings = {"address": address, "approle": "approle"}
        with pytest.raises(ProviderError, match="what is in kv/web is no Unicode text"):
            Providers(desk.credentials).value(ProviderKind.VAULT, "kv/web", "x", settings)
