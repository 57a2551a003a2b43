# The project's own chart: agents, operator and their settings.
{%- set kaas = pillar.kaas %}
{%- set chart = kaas.artifacts.cilium %}
include:
  - rbac.deployed
  - helm.installed

cilium-chart-installed:
  kaas_artifact.installed:
    - name: cilium
    - version: {{ chart.version | json }}
    - files: {{ chart.files | json }}
    - bin_dir: null

cilium-deployed:
  kaas_object.applied:
    - name: cilium
    - require:
        - kaas_object: rbac-deployed
        - kaas_artifact: helm-installed
        - kaas_artifact: cilium-chart-installed
    - chart:
        file: /opt/kaas/cilium/{{ chart.version }}/cilium.tgz
        name: cilium
        namespace: kube-system
        kubernetes: {{ kaas.versions.kubernetes | json }}
        values: {{ kaas.charts.cilium | json }}
