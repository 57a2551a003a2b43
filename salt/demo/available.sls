include:
  - demo.deployed

demo-available:
  kaas_object.ready:
    - wait:
        - {kind: Deployment, namespace: demo, name: backend}
        - {kind: Deployment, namespace: demo, name: frontend}
    - timeout: 180
    - require:
        - kaas_object: demo-deployed
