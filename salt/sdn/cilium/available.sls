include:
  - sdn.cilium.deployed

cilium-available:
  kaas_object.ready:
    - wait:
        - {kind: DaemonSet, namespace: kube-system, name: cilium}
        - {kind: Deployment, namespace: kube-system, name: cilium-operator}
    # Its images come from the Internet or a slow mirror.
    - timeout: 600
    - require:
        - kaas_object: cilium-deployed
