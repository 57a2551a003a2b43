kaas-routes.service:
  kaas_service.dead

{% for path in ['/etc/systemd/system/kaas-routes.service', '/etc/kaas-routes'] %}
{{ path }}:
  file.absent
{% endfor %}

routes-absent:
  kaas_network.absent:
    - tables: [ip kaas-routes, ip6 kaas-routes]
    - protocols: ['75']
    - require:
      - kaas_service: kaas-routes.service
