"""Before deploys/nginx.py leaves a host: the load balancers find it unwell and send nobody any more.

What nginx.py owns goes after this, by itself; see `on_remove` in docs/configuration.md.
"""

from pyinfra.operations import files, server

# The site answers /healthz with 503 while this file is there.
files.file(name="The health check fails", path="/run/nginx-leaving", touch=True, user="root", group="root", mode="644")

server.shell(name="The load balancers have noticed", commands="sleep 10")
