# Renders charts; it never talks to the cluster.
{% set artifact = pillar.kaas.artifacts.helm %}
helm-installed:
  kaas_artifact.installed:
    - name: helm
    - version: {{ artifact.version | json }}
    - files: {{ artifact.files | json }}
