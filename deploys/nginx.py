"""nginx with one plain site: a status page on a port of your choice.

A pyinfra deploy file like any other: `pyinfra @local deploys/nginx.py` runs it too. From an inventory:

    - deploy: deploys/nginx.py
      with: {port: 8080, title: "web01"}
"""

from io import StringIO

from pyinfra import host
from pyinfra.operations import apt, files, server, systemd
from pyinfra.operations.util import any_changed

# Values come from the play's `with` and the host's variables; these are for a run without an inventory.
port = int(host.data.get("port", 8080))
title = str(host.data.get("title", "It works"))

# Made by nginx_absent.py.
LEAVING = "/run/nginx-leaving"

SITE = f"""\
# Managed by deploys/nginx.py; a change made here is taken back.
server {{
    listen {port};
    listen [::]:{port};
    server_name _;
    server_tokens off;
    root /srv/www;

    location = /healthz {{
        access_log off;
        default_type text/plain;
        if (-f {LEAVING}) {{
            return 503;
        }}
        return 200 "ok\\n";
    }}
}}
"""

PAGE = f"""\
<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1></html>
"""

apt.packages(
    name="nginx is installed",
    packages=["nginx-light"],
    no_recommends=True,
    update=True,
    cache_time=24 * 3600,
)

files.directory(name="The folder of pages", path="/srv/www", user="root", group="root", mode="755")

files.put(
    name="The page",
    src=StringIO(PAGE),
    dest="/srv/www/index.html",
    user="root",
    group="root",
    mode="644",
)

default_site = files.link(
    name="The distribution's own site is off", path="/etc/nginx/sites-enabled/default", present=False
)

site = files.put(
    name="The site",
    src=StringIO(SITE),
    dest="/etc/nginx/conf.d/site.conf",
    user="root",
    group="root",
    mode="644",
)

files.file(name="The site is here to stay", path=LEAVING, present=False)

server.shell(name="nginx takes its new settings", commands="nginx -t", _if=any_changed(default_site, site))

systemd.service(name="nginx runs, now and after a boot", service="nginx", running=True, enabled=True)

systemd.service(
    name="nginx reads its new settings",
    service="nginx",
    reloaded=True,
    _if=any_changed(default_site, site),
)
