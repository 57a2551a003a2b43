kube-scheduler.service:
  kaas_service.dead

{% for path in ['/etc/systemd/system/kube-scheduler.service', '/etc/kubernetes/scheduler.conf'] %}
{{ path }}:
  file.absent
{% endfor %}

kube-scheduler-absent:
  kaas_artifact.absent:
    - name: kube-scheduler
