kaas-balancer.service:
  kaas_service.dead

{% for path in [
  '/etc/systemd/system/kaas-balancer.service',
  '/etc/kaas-balancer',
  '/etc/kubernetes/haproxy.conf',
  '/usr/local/libexec/kaas-balancer',
] %}
{{ path }}:
  file.absent:
    - require:
      - kaas_service: kaas-balancer.service
{% endfor %}
