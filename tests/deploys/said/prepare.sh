#!/bin/bash
# shellcheck disable=SC2086,SC2164,SC2046,SC2129,SC2012,SC2016
# What has to be on a host before its tools can refuse what __main__.py asks of them.
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
cd /etc/init.d && printf '#!/bin/sh\n### BEGIN INIT INFO\n# Provides: old\n### END INIT INFO\n' > old && chmod 755 old
cd /etc/systemd/system
printf '[Service]\nExecStart=/bin/sh -c "echo port 80 is taken >&2; exit 1"\n[Install]\nWantedBy=multi-user.target\n' > down.service
printf '[Service]\nType=oneshot\nExecStart=/bin/sh -c "echo port 80 is taken >&2; exit 1"\n' > broken.service
printf '[Service]\nType=oneshot\nExecStart=relative\n' > bad.service
printf '[Unit]\nRequires=nosuch.service\n[Service]\nExecStart=/bin/true\n' > dep.service
printf '[Service]\nExecStart=/bin/sleep 9\n[Install]\nWantedBy=multi-user.target\nAlias=other.service\n' > named.service
systemctl daemon-reload; systemctl -q enable named
mkdir -p /srv/repo && cd /srv/repo
deb() { # name version field script body
  rm -rf b; mkdir -p b/DEBIAN; printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: T <t@example.org>\n' $1 $2 > b/DEBIAN/control
  test -n "$3" && echo "$3" >> b/DEBIAN/control; echo "Description: x" >> b/DEBIAN/control
  test -n "$4" && printf '#!/bin/sh\n%s\n' "$5" > b/DEBIAN/$4 && chmod 755 b/DEBIAN/$4
  test -n "$6" && mkdir -p b/usr/share/clash && echo $1 > b/usr/share/clash/file
  dpkg-deb --root-owner-group --build b $1_$2_all.deb >/dev/null; }
deb hw-post 1 "" postinst 'test "$1" = configure || exit 0; echo "hw-post: the database at db.example.org does not answer" >&2; exit 1'
deb hw-pre 1 "" preinst 'echo "this needs a kernel of 7.0 or newer"; exit 1'
deb hw-stays 1 "" prerm 'echo "error: 3 volumes are still in use" >&2; exit 1'
deb hw-silent 1 "" postinst 'exit 3'
deb hw-one 1 "Provides: hw-many"; deb hw-two 1 "Provides: hw-many"
deb hw-needs 1 "Depends: hw-nowhere (>= 2)"
deb hw-pinned 1; deb hw-first 1 "" "" "" x; deb hw-second 1 "" "" "" x
packages() { dpkg-scanpackages . 2>/dev/null > Packages || for f in *.deb; do dpkg-deb -f $f; echo "Filename: ./$f"; echo "Size: $(stat -c %s $f)"; echo "SHA256: $(sha256sum $f | cut -d' ' -f1)"; echo; done > Packages; }
release() { printf 'Origin: Lab\nLabel: %s\nSuite: stable\nDate: Sun, 29 Nov 2026 12:00:00 UTC\nSHA256:\n %s %s Packages\n' "$1" $(sha256sum Packages | cut -d' ' -f1) $(stat -c %s Packages) > Release; }
packages; release Before
mkdir -p /tmp/lists; mv /etc/apt/sources.list /etc/apt/sources.list.d /tmp/lists/ 2>/dev/null; mkdir -p /etc/apt/sources.list.d
echo 'deb [trusted=yes] file:/srv/repo ./' > /etc/apt/sources.list
apt-get update >/dev/null
printf 'Package: hw-pinned\nPin: release *\nPin-Priority: -1\n' > /etc/apt/preferences.d/lab
apt-get install -y -q hw-stays hw-first >/dev/null 2>&1
useradd -m ann; useradd -m busy; groupadd crew
systemd-run --quiet --uid=busy sleep infinity
passwd -l root >/dev/null
