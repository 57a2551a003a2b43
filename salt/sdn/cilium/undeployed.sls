# The definitions were made by Cilium's operator, not by its chart.
cilium-undeployed:
  kaas_object.absent:
    - name: cilium
    - groups: [cilium.io]

cilium-chart-absent:
  kaas_artifact.absent:
    - name: cilium
    - require:
        - kaas_object: cilium-undeployed
