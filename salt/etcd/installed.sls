{% set artifact = pillar.kaas.artifacts['etcd'] %}
etcd-installed:
  kaas_artifact.installed:
    - name: etcd
    - version: {{ artifact.version | json }}
    - files: {{ artifact.files | json }}
