haproxy.service:
  kaas_service.dead

{% for path in ['/etc/haproxy/haproxy.cfg', '/etc/systemd/system/haproxy.service.d'] %}
{{ path }}:
  file.absent
{% endfor %}
