# yaml-language-server: $schema=../data/cluster.schema.json
# Pods, services and nodes have IPv4 and IPv6 addresses. IPv4 comes first: etcd, the API and whoever knows one address use it.
cluster:
  name: network-dual-stack
  kubernetes: "1.36"
  acknowledge: [control-plane-is-redundant]  # one master is wanted here
  nodes:
    # The machines have both addresses already.
    m1: {address: 10.20.0.11, address6: "fd00:20::11", roles: [etcd, master]}
    w1: {address: 10.20.0.21, address6: "fd00:20::21", roles: [worker]}
    w2: {address: 10.20.0.22, address6: "fd00:20::22", roles: [worker]}
  network:
    nodes: [10.20.0.0/24, "fd00:20::/64"]
    pods: [10.244.0.0/16, "fd00:10:244::/56"]  # a /24 and a /64 for each node
    services: [10.96.0.0/16, "fd00:10:96::/112"]
