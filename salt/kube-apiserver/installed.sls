{% set artifact = pillar.kaas.artifacts['kube-apiserver'] %}
kube-apiserver-installed:
  kaas_artifact.installed:
    - name: kube-apiserver
    - version: {{ artifact.version | json }}
    - files: {{ artifact.files | json }}
