keepalived.service:
  kaas_service.dead

{% for path in ['/etc/keepalived/keepalived.conf', '/etc/systemd/system/keepalived.service.d'] %}
{{ path }}:
  file.absent
{% endfor %}
