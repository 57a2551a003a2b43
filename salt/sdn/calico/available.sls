include:
  - sdn.calico.deployed

calico-available:
  kaas_object.ready:
    - wait:
        - {kind: Deployment, namespace: tigera-operator, name: tigera-operator}
        - {apiVersion: operator.tigera.io/v1, kind: TigeraStatus, name: calico, condition: Available}
    # Its images come from the Internet or a slow mirror.
    - timeout: 600
    - require:
        - kaas_object: calico-deployed
