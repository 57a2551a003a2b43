etcd.service:
  kaas_service.dead

{% for path in ['/etc/systemd/system/etcd.service', '/etc/etcd', '/var/lib/etcd'] %}
{{ path }}:
  file.absent
{% endfor %}

etcd-absent:
  kaas_artifact.absent:
    - name: etcd
