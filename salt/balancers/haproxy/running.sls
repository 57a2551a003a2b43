include:
  - haproxy.running
  - keepalived.running
  - balancers.haproxy.installed
  - balancers.haproxy.configured

# Its configuration is no input: that one is reloaded, not restarted.
kaas-balancer.service:
  kaas_service.running:
    - inputs: [/etc/systemd/system/kaas-balancer.service]
    - require:
      - kaas_balancer: balancer-configured
    - watch:
      - file: /etc/systemd/system/kaas-balancer.service
