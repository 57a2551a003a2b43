include:
  - pki.configured
  - haproxy.running
  - keepalived.running
