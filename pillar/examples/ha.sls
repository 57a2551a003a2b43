# yaml-language-server: $schema=../data/cluster.schema.json
# Three masters with etcd on the same machines, behind one address that moves among them. Survives the loss of any one machine.
cluster:
  name: ha
  kubernetes: "1.36"
  api: {address: 10.20.0.100}
  nodes:
    m1: {address: 10.20.0.11, roles: [etcd, master]}
    m2: {address: 10.20.0.12, roles: [etcd, master]}
    m3: {address: 10.20.0.13, roles: [etcd, master]}
    w1: {address: 10.20.0.21, roles: [worker]}
    w2: {address: 10.20.0.22, roles: [worker]}
  network: {nodes: 10.20.0.0/24}
