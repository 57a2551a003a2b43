# yaml-language-server: $schema=../data/cluster.schema.json
# Machines that are there already and have names of their own, in three zones, without a way to the Internet: programs come from a
# repository, images from a mirror inside.
cluster:
  name: provider-bare
  kubernetes: "1.36"
  ca: pki.dc1.example.com
  provider: {name: bare}
  api:
    address: 10.20.0.100
    virtual_router_id: 61  # another cluster on this network has 51
  nodes:
    control-a: {id: srv-0101.dc1.example.com, address: 10.20.0.11, roles: [etcd, master], labels: {topology.kubernetes.io/zone: a}}
    control-b: {id: srv-0201.dc1.example.com, address: 10.20.0.12, roles: [etcd, master], labels: {topology.kubernetes.io/zone: b}}
    control-c: {id: srv-0301.dc1.example.com, address: 10.20.0.13, roles: [etcd, master], labels: {topology.kubernetes.io/zone: c}}
    general-a: {id: srv-0102.dc1.example.com, address: 10.20.0.21, roles: [worker], labels: {topology.kubernetes.io/zone: a, disk: ssd}}
    general-b: {id: srv-0202.dc1.example.com, address: 10.20.0.22, roles: [worker], labels: {topology.kubernetes.io/zone: b, disk: ssd}}
    # Only pods that tolerate the taint run here.
    gpu-c:
      id: srv-0302.dc1.example.com
      address: 10.20.0.23
      roles: [worker]
      labels: {topology.kubernetes.io/zone: c, example.com/accelerator: a100}
      taints: [{key: example.com/accelerator, value: a100, effect: NoSchedule}]
  network:
    nodes: 10.20.0.0/24
    pods: 10.128.0.0/16
    services: 10.129.0.0/16
  artifacts: {source: repository, url: "https://artifacts.dc1.example.com/kaas"}
  registries:
    registry.k8s.io: https://mirror.dc1.example.com
    docker.io: https://mirror.dc1.example.com
    ghcr.io: https://mirror.dc1.example.com
