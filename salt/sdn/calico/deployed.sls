# The project's own chart: the operator, its definitions, and the Installation that it works off.
{%- set kaas = pillar.kaas %}
{%- set chart = kaas.artifacts.calico %}
include:
  - rbac.deployed
  - helm.installed

calico-chart-installed:
  kaas_artifact.installed:
    - name: calico
    - version: {{ chart.version | json }}
    - files: {{ chart.files | json }}
    - bin_dir: null

calico-deployed:
  kaas_object.applied:
    - name: calico
    - require:
        - kaas_object: rbac-deployed
        - kaas_artifact: helm-installed
        - kaas_artifact: calico-chart-installed
    - timeout: 300
    - objects:
        # The operator uses the machines' network, before there is any other.
        - apiVersion: v1
          kind: Namespace
          metadata:
            name: tigera-operator
            labels: {pod-security.kubernetes.io/enforce: privileged}
    - chart:
        file: /opt/kaas/calico/{{ chart.version }}/tigera-operator.tgz
        name: calico
        namespace: tigera-operator
        kubernetes: {{ kaas.versions.kubernetes | json }}
        values: {{ kaas.charts.calico | json }}
