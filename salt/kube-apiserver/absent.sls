kube-apiserver.service:
  kaas_service.dead

{% for path in [
  '/etc/systemd/system/kube-apiserver.service',
  '/etc/kubernetes/authentication.yaml',
  '/etc/kubernetes/encryption.yaml',
  '/etc/kubernetes/audit-policy.yaml',
  '/etc/kubernetes/admission.yaml',
  '/etc/kubernetes/pki/sa.key',
  '/etc/kubernetes/pki/sa.pub',
  '/etc/kubernetes/pki/client-ca.crt',
  '/var/log/kubernetes',
] %}
{{ path }}:
  file.absent
{% endfor %}

kube-apiserver-absent:
  kaas_artifact.absent:
    - name: kube-apiserver
