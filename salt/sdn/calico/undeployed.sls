# The Installation goes first, while its operator still runs to clean up after it; then what the operator itself had defined.
calico-undeployed:
  kaas_object.absent:
    - name: calico
    - groups: [crd.projectcalico.org, operator.tigera.io]
    - timeout: 300

calico-chart-absent:
  kaas_artifact.absent:
    - name: calico
    - require:
        - kaas_object: calico-undeployed
