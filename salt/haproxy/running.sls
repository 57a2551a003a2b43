include:
  - pki.configured
  - haproxy.installed
  - haproxy.configured

haproxy.service:
  kaas_service.running:
    - inputs:
      - /etc/haproxy/haproxy.cfg
      - /etc/systemd/system/haproxy.service.d/kaas.conf
      - /etc/kubernetes/pki/ca.crt
    - require:
      - sls: pki.configured
    - watch:
      - sls: haproxy.installed
      - sls: haproxy.configured
