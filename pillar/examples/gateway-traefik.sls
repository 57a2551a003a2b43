# yaml-language-server: $schema=../data/cluster.schema.json
# Applications by host name, with TLS: Traefik answers on two ports of every node, or on an address of its own once there is a balancer.
cluster:
  name: gateway-traefik
  kubernetes: "1.36"
  acknowledge: [control-plane-is-redundant]  # one master is wanted here
  nodes:
    m1: {address: 10.20.0.11, roles: [etcd, master]}
    w1: {address: 10.20.0.21, roles: [worker]}
    w2: {address: 10.20.0.22, roles: [worker]}
  network:
    nodes: 10.20.0.0/24
  gateway:
    plugin: traefik
    traefik:
      # a Secret in the namespace `traefik`, for example from cert-manager
      certificate: wildcard
      node_ports: {http: 30081, https: 30443}
  artifacts:
    source: upstream
    # The Gateway API publishes no checksum: this is yours to say, after a look at the file.
    sha256: {gateway-api: {crds.yaml: "0000000000000000000000000000000000000000000000000000000000000000"}}
