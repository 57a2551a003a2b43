# yaml-language-server: $schema=../data/cluster.schema.json
# etcd on machines of its own, with disks that nobody else uses. Survives the loss of one etcd machine and of one master.
cluster:
  name: dedicated-etcd
  kubernetes: "1.36"
  api: {address: 10.20.0.100}
  nodes:
    e1: {address: 10.20.0.41, roles: [etcd]}
    e2: {address: 10.20.0.42, roles: [etcd]}
    e3: {address: 10.20.0.43, roles: [etcd]}
    # Masters that hold no data need no majority: two are enough.
    m1: {address: 10.20.0.11, roles: [master]}
    m2: {address: 10.20.0.12, roles: [master]}
    w1: {address: 10.20.0.21, roles: [worker]}
    w2: {address: 10.20.0.22, roles: [worker]}
    w3: {address: 10.20.0.23, roles: [worker]}
  network: {nodes: 10.20.0.0/24}
