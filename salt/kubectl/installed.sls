{% set artifact = pillar.kaas.artifacts['kubectl'] %}
kubectl-installed:
  kaas_artifact.installed:
    - name: kubectl
    - version: {{ artifact.version | json }}
    - files: {{ artifact.files | json }}
