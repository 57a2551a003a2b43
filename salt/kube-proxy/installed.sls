{% set artifact = pillar.kaas.artifacts['kube-proxy'] %}
kube-proxy-installed:
  kaas_artifact.installed:
    - name: kube-proxy
    - version: {{ artifact.version | json }}
    - files: {{ artifact.files | json }}
