{% set artifact = pillar.kaas.artifacts['kube-controller-manager'] %}
kube-controller-manager-installed:
  kaas_artifact.installed:
    - name: kube-controller-manager
    - version: {{ artifact.version | json }}
    - files: {{ artifact.files | json }}
