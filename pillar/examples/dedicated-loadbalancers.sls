# yaml-language-server: $schema=../data/cluster.schema.json
# The API's address on two machines that do nothing else: the masters need not be reachable for users at all.
cluster:
  name: dedicated-loadbalancers
  kubernetes: "1.36"
  api:
    address: 10.20.0.100
    port: 6443  # the usual one is free, because no apiserver runs on these machines
  nodes:
    lb1: {address: 10.20.0.31, roles: [loadbalancer]}
    lb2: {address: 10.20.0.32, roles: [loadbalancer]}
    m1: {address: 10.20.0.11, roles: [etcd, master]}
    m2: {address: 10.20.0.12, roles: [etcd, master]}
    m3: {address: 10.20.0.13, roles: [etcd, master]}
    w1: {address: 10.20.0.21, roles: [worker]}
    w2: {address: 10.20.0.22, roles: [worker]}
    w3: {address: 10.20.0.23, roles: [worker]}
  network: {nodes: 10.20.0.0/24}
