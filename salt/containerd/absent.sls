containerd.service:
  kaas_service.dead

{% for path in ['/etc/systemd/system/containerd.service', '/etc/containerd', '/etc/crictl.yaml'] %}
{{ path }}:
  file.absent
{% endfor %}

containerd-absent:
  kaas_artifact.absent:
    - name: containerd

runc-absent:
  kaas_artifact.absent:
    - name: runc

crictl-absent:
  kaas_artifact.absent:
    - name: crictl
