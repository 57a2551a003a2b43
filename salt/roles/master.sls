{% set kaas = pillar.kaas %}
include:
  - node.prepared
  - pki.configured
{% if kaas.cluster.api.vip %}
  - haproxy.running
  - keepalived.running
{% endif %}
  - kube-apiserver.running
  - kube-controller-manager.running
  - kube-scheduler.running
  - kubectl.configured
{% if kaas.deployer %}
  - rbac.deployed
  - sdn.{{ kaas.cluster.network.plugin }}.deployed
{% endif %}
  - containerd.running
  - kubelet.running
  - kube-proxy.running
  - sdn.{{ kaas.cluster.network.plugin }}.running
{% if kaas.deployer %}
  - nodes.deployed
  - coredns.deployed
{% for addon in kaas.addons %}
  - {{ addon }}.deployed
{% endfor %}
  # Everything is under way: now wait for it.
{% for addon in ['coredns'] + kaas.addons %}
  - {{ addon }}.available
{% endfor %}
{% endif %}
