include:
  - balancers.metallb.deployed

metallb-available:
  kaas_object.ready:
    - wait:
        - {kind: Deployment, namespace: metallb-system, name: controller}
        - {kind: DaemonSet, namespace: metallb-system, name: speaker}
    - timeout: 180
    - require:
        - kaas_object: metallb-deployed
