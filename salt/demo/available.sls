# The front end finds the back end by name, so a cluster without DNS is not waited for a second time.
include:
  - coredns.available
  - demo.deployed

demo-available:
  kaas_object.ready:
    - wait:
        - {kind: Deployment, namespace: demo, name: backend}
        - {kind: Deployment, namespace: demo, name: frontend}
    - timeout: 180
    - require:
        - kaas_object: coredns-available
        - kaas_object: demo-deployed
