"""A host's /etc/passwd, /etc/group and /etc/shadow."""

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
ann:x:1201:1201:Ann:/home/ann:/bin/bash
eve:x:1202:1202::/home/eve:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""

GROUP = """\
root:x:0:
daemon:x:1:
audio:x:29:ann
ann:x:1201:
eve:x:1202:
dev:x:1200:ann,eve
nogroup:x:65534:
"""

SHADOW = """\
root:*:20779:0:99999:7:::
daemon:*:20779:0:99999:7:::
ann:$6$salt$hash:20779:0:99999:7:::
eve:!$6$salt$other:20779:0:99999:7::1:
nobody:*:20779:0:99999:7:::
"""
