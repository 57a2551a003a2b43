etcd.service:
  kaas_service.dead

# Not /var/lib/etcd itself: it may be where a disk is mounted.
{% for path in ['/etc/systemd/system/etcd.service', '/etc/etcd', '/var/lib/etcd/member'] %}
{{ path }}:
  file.absent
{% endfor %}

etcd-absent:
  kaas_artifact.absent:
    - name: etcd
