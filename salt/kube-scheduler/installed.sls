{% set artifact = pillar.kaas.artifacts['kube-scheduler'] %}
kube-scheduler-installed:
  kaas_artifact.installed:
    - name: kube-scheduler
    - version: {{ artifact.version | json }}
    - files: {{ artifact.files | json }}
