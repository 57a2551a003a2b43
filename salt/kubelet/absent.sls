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
