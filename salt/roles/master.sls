{% set kaas = pillar.kaas %}
include:
  - node.prepared
  - node.accounts
  - pki.configured
{% if 'api_holders' in kaas %}
  - haproxy.running
  - keepalived.running
{% elif kaas.cluster.api.vip %}
  # Load balancers hold the API address; before the cluster had any, the masters did.
  - keepalived.absent
  - haproxy.absent
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
  - bindings.deployed
  # Everything is under way: now wait for it.
{% for addon in ['coredns'] + kaas.addons %}
  - {{ addon }}.available
{% endfor %}
{% endif %}
