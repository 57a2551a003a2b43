kube-controller-manager.service:
  kaas_service.dead

{% for path in [
  '/etc/systemd/system/kube-controller-manager.service',
  '/etc/kubernetes/controller-manager.conf',
  '/etc/kubernetes/pki/csr-signer.crt',
  '/etc/kubernetes/pki/csr-signer.key',
] %}
{{ path }}:
  file.absent
{% endfor %}

kube-controller-manager-absent:
  kaas_artifact.absent:
    - name: kube-controller-manager
