{% set kaas = pillar.kaas %}
include:
  - node.prepared
  - pki.configured
  - cni-plugins.installed
{% if 'demo' in kaas and kaas.demo.node == kaas.node.name %}
  - demo.configured
{% endif %}
  - containerd.running
  - kubelet.running
  - kube-proxy.{{ 'absent' if kaas.cluster.network.proxy == 'none' else 'running' }}
{% for sls in kaas.plugins.undone + kaas.plugins.running %}
  - {{ sls }}
{% endfor %}
