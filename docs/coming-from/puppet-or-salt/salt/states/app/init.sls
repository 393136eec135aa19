{% set app = pillar['app'] %}

app group:
  group.present:
    - name: app
    - system: true

/etc/app:
  file.directory:
    - mode: "0755"

/etc/app/app.conf:
  file.managed:
    - source: salt://app/app.conf.jinja
    - template: jinja
    - mode: "0640"
    - group: app
    - context: {app: {{ app | json }}}
    - require: [group: app group]

/etc/systemd/system/app.service:
  file.managed:
    - source: salt://app/app.service
    - mode: "0644"

app:
  service.running:
    - enable: true
    - watch: [file: /etc/app/app.conf]
    - require: [file: /etc/systemd/system/app.service]

/etc/app/current:
  file.symlink:
    - target: /etc/app/app.conf
