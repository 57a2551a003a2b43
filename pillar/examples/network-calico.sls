# yaml-language-server: $schema=../data/cluster.schema.json
# Calico: NetworkPolicies; packets travel as they are, by routes that the nodes tell each other.
cluster:
  name: network-calico
  kubernetes: "1.36"
  acknowledge: [control-plane-is-redundant]  # one master is wanted here
  nodes:
    m1: {address: 10.20.0.11, roles: [etcd, master]}
    w1: {address: 10.20.0.21, roles: [worker]}
    w2: {address: 10.20.0.22, roles: [worker]}
  network:
    nodes: 10.20.0.0/24
    plugin: calico
    calico: {backend: bgp}
    policies: required
