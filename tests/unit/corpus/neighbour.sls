# Another cluster, on the same network as good.sls: what both claim is refused.
cluster:
  name: neighbour
  kubernetes: "1.37"
  ca: ca
  api: {address: 10.1.0.200, virtual_router_id: 61}
  nodes:
    m1: {address: 10.1.0.211, roles: [etcd, master, worker]}
    m2: {address: 10.1.0.212, roles: [etcd, master, worker]}
    m3: {address: 10.1.0.213, roles: [etcd, master, worker], id: web2.example.com}
  network: {nodes: 10.1.0.0/24}
