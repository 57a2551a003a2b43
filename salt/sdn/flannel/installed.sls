{% set artifact = pillar.kaas.artifacts.flannel %}
flannel-installed:
  kaas_artifact.installed:
    - name: flannel
    - version: {{ artifact.version | json }}
    - files: {{ artifact.files | json }}
