# Every replica answers. Apart from deployed.sls, so that several add-ons start at the same time.
include:
  - coredns.deployed

coredns-available:
  kaas_object.ready:
    - wait:
        - {kind: Deployment, namespace: kube-system, name: coredns}
    - timeout: 180
    - require:
        - kaas_object: coredns-deployed
