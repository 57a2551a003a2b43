metallb-undeployed:
  kaas_object.absent:
    - name: metallb

# Services keep the address that was written into them: nobody answers there any more.
metallb-released:
  kaas_balancer.released:
    - name: metallb
    - annotation: metallb.io/ip-allocated-from-pool
    - require:
        - kaas_object: metallb-undeployed

metallb-absent:
  kaas_artifact.absent:
    - name: metallb
    - require:
        - kaas_object: metallb-undeployed
