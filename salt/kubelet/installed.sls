{% set artifact = pillar.kaas.artifacts['kubelet'] %}
kubelet-installed:
  kaas_artifact.installed:
    - name: kubelet
    - version: {{ artifact.version | json }}
    - files: {{ artifact.files | json }}
