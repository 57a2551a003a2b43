# Everything that the roles put on a node, taken off again; the machine stays.
include:
  - sdn.flannel.absent
  - kube-proxy.absent
  - kubelet.absent
  - containerd.absent
  - kubectl.absent
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
