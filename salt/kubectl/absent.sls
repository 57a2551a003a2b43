{% for path in ['/etc/kubernetes/admin.conf', '/etc/kubernetes/super-admin.conf'] %}
{{ path }}:
  file.absent
{% endfor %}

kubectl-absent:
  kaas_artifact.absent:
    - name: kubectl
