include:
  - metrics-server.deployed

metrics-server-available:
  kaas_object.ready:
    - wait:
        - {kind: Deployment, namespace: kube-system, name: metrics-server}
        - {apiVersion: apiregistration.k8s.io/v1, kind: APIService, name: v1beta1.metrics.k8s.io, condition: Available}
    - timeout: 180
    - require:
        - kaas_object: metrics-server-deployed
