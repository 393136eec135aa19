"""A forge that says something was pushed does not wait for the clock."""

from __future__ import annotations

from tests.lab.host import Host
from tests.stories.world import MOTD, World, until

FLEET = "schedule: {fetch: 1h, drift: 1h, settle: 0s}\n"
WEBHOOK = "webhook: {listen: '127.0.0.1:9443', secret_file: /etc/hostwright/webhook_secret}\n"
SECRET = "5ae11f6a5ae11f6a5ae11f6a"
UNIT = "hostwright-webhook"
KNOCK = f"""\
import hashlib, hmac, urllib.request
signature = hmac.new(b"{SECRET}", b"pushed", hashlib.sha256).hexdigest()
asked = urllib.request.Request(
    "http://127.0.0.1:9443/", b"pushed", {{"X-Hub-Signature-256": "sha256=" + signature}}, method="POST"
)
print(urllib.request.urlopen(asked, timeout=60).status)
"""


def knock(host: Host) -> str:
    return host.run(["/opt/hostwright/current/bin/python", "-I", "-c", KNOCK], check=False).output.strip()


def listens(host: Host) -> bool:
    return ":9443" in host.run("ss -ltn").output


def test_a_host_listens_where_fleet_yaml_says_as_long_as_it_says_so(world: World, host: Host) -> None:
    world.commit("Listen", {"inventories/lab/fleet.yaml": FLEET + WEBHOOK})
    host.run("hostwright apply", check=False)
    (problem,) = world.report("web1")["problems"]
    assert (problem["kind"], "openssl rand" in problem["hint"]) == ("webhook-down", True)
    assert not listens(host)

    host.write("/etc/hostwright/webhook_secret", SECRET, mode=0o600)
    assert host.run("hostwright apply").code == 0
    until(lambda: listens(host), "it listens")
    host.run("systemctl start hostwright && hostwright trigger --wait")
    world.commit("Be other", {"inventories/lab/site.yaml": MOTD.replace("from", "knocked at")})
    assert knock(host) == "202"
    until(lambda: "knocked" in host.read("/etc/motd"), "the commit is applied long before its time")

    world.commit("Do not listen", {"inventories/lab/fleet.yaml": FLEET})
    assert host.run("hostwright apply").code == 0
    until(lambda: host.run(f"systemctl is-active {UNIT}", check=False).output == "inactive\n", "it has ended")
    assert not listens(host)
