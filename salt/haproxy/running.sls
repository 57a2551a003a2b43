include:
  - haproxy.installed
  - haproxy.configured

haproxy.service:
  kaas_service.running:
    - inputs: [/etc/haproxy/haproxy.cfg]
    - watch:
      - sls: haproxy.installed
      - sls: haproxy.configured
