# yaml-language-server: $schema=../data/cluster.schema.json
# Each role on machines of its own: two load balancers hold the API address, one etcd, two masters, one worker. IPv4 and IPv6.
cluster:
  name: split
  kubernetes: "1.36"
  acknowledge: [control-plane-is-redundant]
  ca: ca
  api:
    address: 172.30.0.100
  nodes:
    lb1: {address: 172.30.0.31, address6: "fd00:30::31", roles: [loadbalancer]}
    lb2: {address: 172.30.0.32, address6: "fd00:30::32", roles: [loadbalancer]}
    e1: {address: 172.30.0.41, roles: [etcd]}
    m1: {address: 172.30.0.11, address6: "fd00:30::11", roles: [master]}
    m2: {address: 172.30.0.12, address6: "fd00:30::12", roles: [master]}
    w1: {address: 172.30.0.21, address6: "fd00:30::21", roles: [worker]}
  network:
    nodes: [172.30.0.0/24, "fd00:30::/64"]
    pods: [10.244.0.0/16, "fd00:10:244::/56"]
    services: [10.96.0.0/16, "fd00:10:96::/112"]
    plugin: flannel
    flannel: {backend: vxlan}
    proxy: nftables
  balancer: {plugin: haproxy}
  artifacts:
    source: repository
    url: http://172.30.0.2:8080
  registries:
    registry.k8s.io: http://172.30.0.2:5000
    docker.io: http://172.30.0.2:5000
    registry.kaas.local: http://172.30.0.2:5000
    quay.io: http://172.30.0.2:5000
  addons: [metrics-server, demo]
  # What containers instead of machines need: no own kernel settings, cgroup v1 allowed, no eviction by the host's disk usage.
  kubelet:
    failCgroupV1: false
    failSwapOn: false
    protectKernelDefaults: false
    imageGCHighThresholdPercent: 100
    evictionHard:
      memory.available: 100Mi
      nodefs.available: "0%"
      nodefs.inodesFree: "0%"
      imagefs.available: "0%"
    nodeStatusUpdateFrequency: 5s
  containerd:
    restrict_oom_score_adj: true
  kube_proxy:
    conntrack:
      maxPerCore: 0
      tcpEstablishedTimeout: 0s
      tcpCloseWaitTimeout: 0s
      tcpBeLiberal: true

# read by the Vagrantfile and lab/lab alone
lab:
  master: 172.30.0.2
  memory: 2048
  cpus: 2
