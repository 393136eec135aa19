"""The administrator's files as typed values. Begin with ``environment``, which puts one inventory together.

``ansible``   Ansible's grammar, unchanged: hosts files, groups, variables, host patterns       → Inventory
``template``  Ansible's templates: Jinja2 in a sandbox, lazy variables, filters and tests       → Renderer, HostValues
``site``      site.yaml                                                                         → Play, Mention
``arguments`` what a play says of a deploy, as the types of the deploy's kind                   → Spec, Check
``merge_plays`` all plays of one host, rendered and merged                                      → HostDeploy
``fleet`` ``tools`` ``lock``  the three other files                                             → Fleet, Tool, Lock
``other_repositories``  the files of pinned repositories that are on this machine                → Tree
``lint``      mistakes that show only when files are compared, and files that nobody reads
``complaint`` ``validation`` ``source``  where a file lies, and how a person is told what is wrong in it
"""
