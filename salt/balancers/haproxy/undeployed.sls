haproxy-undeployed:
  kaas_object.absent:
    - name: haproxy

# Services keep the address that was written into them: nobody answers there any more.
haproxy-released:
  kaas_balancer.released:
    - name: haproxy
    - annotation: balancer.kaas.local/address
    - require:
      - kaas_object: haproxy-undeployed
