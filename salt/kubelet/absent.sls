kubelet.service:
  kaas_service.dead

{% for path in [
  '/etc/systemd/system/kubelet.service',
  '/etc/kubernetes/kubelet.yaml',
  '/etc/kubernetes/kubelet.conf',
] %}
{{ path }}:
  file.absent
{% endfor %}

kubelet-absent:
  kaas_artifact.absent:
    - name: kubelet

kubelet-kernel-absent:
  kaas_network.absent:
    - chains: [KUBE-KUBELET-CANARY, KUBE-IPTABLES-HINT, KUBE-FIREWALL, KUBE-MARK-DROP]
    - require:
      - kaas_service: kubelet.service
