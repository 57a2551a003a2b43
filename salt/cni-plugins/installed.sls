# The reference plug-ins: what every pod network is put together from.
{% set artifact = pillar.kaas.artifacts['cni-plugins'] %}
cni-plugins-installed:
  kaas_artifact.installed:
    - name: cni-plugins
    - version: {{ artifact.version | json }}
    - files: {{ artifact.files | json }}
    - bin_dir: /opt/cni/bin
