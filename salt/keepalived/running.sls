include:
  - keepalived.installed
  - keepalived.configured
  - haproxy.running

keepalived.service:
  kaas_service.running:
    - inputs: [/etc/keepalived/keepalived.conf, /etc/systemd/system/keepalived.service.d/kaas.conf]
    - require:
      - kaas_service: haproxy.service
    - watch:
      - sls: keepalived.installed
      - sls: keepalived.configured
