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
{% if 'helm' not in kaas.artifacts %}
  - helm.absent
{% endif %}
{% if kaas.deployer %}
  - rbac.deployed
{% for sls in kaas.plugins.network %}
  - {{ sls }}
{% endfor %}
{% endif %}
  - cni-plugins.installed
  - containerd.running
  - kubelet.running
  - kube-proxy.{{ 'absent' if kaas.cluster.network.proxy == 'none' else 'running' }}
{% for sls in kaas.plugins.undone + kaas.plugins.running %}
  - {{ sls }}
{% endfor %}
{% if kaas.deployer %}
  - nodes.deployed
  - coredns.deployed
{% for sls in kaas.plugins.deployed %}
  - {{ sls }}
{% endfor %}
{% for addon in kaas.addons %}
  - {{ addon }}.deployed
{% endfor %}
  - bindings.deployed
  # Everything is under way: now wait for it.
  - coredns.available
{% for sls in kaas.plugins.available %}
  - {{ sls }}
{% endfor %}
{% for addon in kaas.addons %}
  - {{ addon }}.available
{% endfor %}
{% endif %}
