kube-proxy.service:
  kaas_service.dead

{% for path in [
  '/etc/systemd/system/kube-proxy.service',
  '/etc/kubernetes/kube-proxy.yaml',
  '/etc/kubernetes/kube-proxy.conf',
] %}
{{ path }}:
  file.absent
{% endfor %}

kube-proxy-absent:
  kaas_artifact.absent:
    - name: kube-proxy
