# runc comes first: containerd starts it for every container.
{% for component in ['runc', 'containerd', 'crictl'] %}
{% set artifact = pillar.kaas.artifacts[component] %}
{{ component }}-installed:
  kaas_artifact.installed:
    - name: {{ component }}
    - version: {{ artifact.version | json }}
    - files: {{ artifact.files | json }}
{% endfor %}
