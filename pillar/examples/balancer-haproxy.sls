# yaml-language-server: $schema=../data/cluster.schema.json
# Two machines in front of the cluster lead to Services of type LoadBalancer, by an address apart from the API's.
cluster:
  name: balancer-haproxy
  kubernetes: "1.36"
  api: {address: 10.29.0.100}
  nodes:
    lb1: {address: 10.29.0.31, roles: [loadbalancer]}
    lb2: {address: 10.29.0.32, roles: [loadbalancer]}
    m1: {address: 10.29.0.11, roles: [etcd, master]}
    m2: {address: 10.29.0.12, roles: [etcd, master]}
    m3: {address: 10.29.0.13, roles: [etcd, master]}
    w1: {address: 10.29.0.21, roles: [worker]}
    w2: {address: 10.29.0.22, roles: [worker]}
  network: {nodes: 10.29.0.0/24}
  balancer:
    plugin: haproxy
    haproxy: {address: 10.29.0.101, virtual_router_id: 61}
