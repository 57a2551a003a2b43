include:
  - node.prepared
  - pki.configured
  - cni-plugins.installed
  - containerd.running
  - kubelet.running
  - kube-proxy.{{ 'absent' if pillar.kaas.cluster.network.proxy == 'none' else 'running' }}
{% for sls in pillar.kaas.plugins.undone + pillar.kaas.plugins.running %}
  - {{ sls }}
{% endfor %}
