# yaml-language-server: $schema=../data/cluster.schema.json
# One machine does everything. No failure is survived.
cluster:
  name: single-node
  kubernetes: "1.36"
  nodes:
    n1: {address: 10.20.0.11, roles: [etcd, master, worker]}
  network: {nodes: 10.20.0.0/24}
