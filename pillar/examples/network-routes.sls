# yaml-language-server: $schema=../data/cluster.schema.json
# Routes without a daemon: pods' packets travel as they are, and each node's pod network follows from its address (10.20.0.21: 10.244.21.0/24).
cluster:
  name: network-routes
  kubernetes: "1.36"
  acknowledge: [control-plane-is-redundant]  # one master is wanted here
  nodes:
    m1: {address: 10.20.0.11, roles: [etcd, master]}
    w1: {address: 10.20.0.21, roles: [worker]}
    # It was here before, with another network: Kubernetes never lets go of a node's pod network.
    w2: {address: 10.20.0.22, roles: [worker], pods: 10.244.2.0/24}
  network:
    nodes: 10.20.0.0/24
    plugin: routes
    mtu: 1500
