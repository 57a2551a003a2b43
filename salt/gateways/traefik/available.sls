include:
  - gateways.traefik.deployed

traefik-available:
  kaas_object.ready:
    - wait:
        - {kind: Deployment, namespace: traefik, name: traefik}
        - {apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, name: traefik, condition: Accepted}
    - timeout: 180
    - require:
        - kaas_object: traefik-deployed
