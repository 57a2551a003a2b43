include:
  - pki.configured
  - haproxy.running
  - keepalived.running
{% for sls in pillar.kaas.plugins.undone + pillar.kaas.plugins.running %}
  - {{ sls }}
{% endfor %}
