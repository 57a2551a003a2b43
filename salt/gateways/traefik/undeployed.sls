# With the definitions of the Gateway API go all routes that anybody made.
traefik-undeployed:
  kaas_object.absent:
    - name: traefik

gateway-api-absent:
  kaas_artifact.absent:
    - name: gateway-api
    - require:
        - kaas_object: traefik-undeployed
