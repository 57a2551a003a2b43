{% for component, bin_dir in [('flannel', '/usr/local/bin'), ('cni-plugins', '/opt/cni/bin')] %}
{% set artifact = pillar.kaas.artifacts[component] %}
{{ component }}-installed:
  kaas_artifact.installed:
    - name: {{ component }}
    - version: {{ artifact.version | json }}
    - files: {{ artifact.files | json }}
    - bin_dir: {{ bin_dir }}
{% endfor %}
