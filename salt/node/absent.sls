# Everything that the roles put on a node, taken off again; the machine stays, and with it images and the data of pods.
include:
  - formula.synced
  - kubelet.absent
  - containerd.emptied
  # All plug-ins', whichever the node had.
  - sdn.*.absent
  - balancers.haproxy.absent
  - kube-proxy.absent
  - containerd.absent
  - cni-plugins.absent
  - kubectl.absent
  - helm.absent
  - kube-scheduler.absent
  - kube-controller-manager.absent
  - kube-apiserver.absent
  - keepalived.absent
  - haproxy.absent
  - etcd.absent
  - pki.absent

{% for path in ['/etc/modules-load.d/kaas.conf', '/etc/sysctl.d/90-kaas.conf'] %}
{{ path }}:
  file.absent
{% endfor %}

# What the deployer applies from files.
{% for name in ['calico', 'cilium', 'gateway-api'] %}
{{ name }}-files-absent:
  kaas_artifact.absent:
    - name: {{ name }}
{% endfor %}
