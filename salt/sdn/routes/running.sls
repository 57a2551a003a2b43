include:
  - cni-plugins.installed
  - sdn.routes.installed
  - sdn.routes.configured

kaas-routes.service:
  kaas_service.running:
    - inputs:
      - /etc/systemd/system/kaas-routes.service
      - /etc/kaas-routes/rules.nft
    - watch:
      - sls: sdn.routes.configured

# Also takes the place of the routes that another network left.
routes-running:
  kaas_network.routes:
    - routes: {{ pillar.kaas.node.routes | json }}
    - protocol: '75'
    - networks: {{ pillar.kaas.cluster.networks.pods | json }}
    - table: ip kaas-routes
    - ruleset: /etc/kaas-routes/rules.nft
    - require:
      - kaas_service: kaas-routes.service
