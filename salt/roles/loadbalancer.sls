include:
  - pki.configured
{% if 'api_holders' in pillar.kaas %}
  - haproxy.running
  - keepalived.running
{% endif %}
