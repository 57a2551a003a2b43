# yaml-language-server: $schema=../data/cluster.schema.json
# Services of type LoadBalancer get addresses of the machines' own network; further ones, which routers learn by BGP, on demand.
cluster:
  name: balancer-metallb
  kubernetes: "1.36"
  api: {address: 10.28.0.100}
  nodes:
    m1: {address: 10.28.0.11, roles: [etcd, master]}
    m2: {address: 10.28.0.12, roles: [etcd, master]}
    m3: {address: 10.28.0.13, roles: [etcd, master]}
    w1: {address: 10.28.0.21, roles: [worker], labels: {edge: "true"}}
    w2: {address: 10.28.0.22, roles: [worker], labels: {edge: "true"}}
  network: {nodes: 10.28.0.0/24}
  artifacts: {source: repository, url: "http://10.28.0.2:8080"}  # nobody publishes MetalLB's definitions alone
  balancer:
    plugin: metallb
    metallb:
      pools:
        - {name: default, addresses: [10.28.0.200-10.28.0.219]}
        - {name: public, addresses: [203.0.113.0/28], mode: bgp, auto_assign: false}
      nodes: {edge: "true"}
      peers: [{address: 10.28.0.1, asn: 64512, my_asn: 64513, password_secret: router}]
