# yaml-language-server: $schema=../data/cluster.schema.json
# Three masters with stacked etcd behind one API address, two workers.
cluster:
  name: demo
  kubernetes: "1.36"
  ca: ca
  api:
    address: 172.28.0.100
    port: 8443
  nodes:
    m1: {address: 172.28.0.11, roles: [etcd, master]}
    m2: {address: 172.28.0.12, roles: [etcd, master]}
    m3: {address: 172.28.0.13, roles: [etcd, master]}
    w1: {address: 172.28.0.21, roles: [worker]}
    w2: {address: 172.28.0.22, roles: [worker]}
  network:
    nodes: 172.28.0.0/24
    pods: 10.244.0.0/16
    services: 10.96.0.0/16
    plugin: flannel
    flannel: {backend: vxlan}
    proxy: nftables
  balancer:
    plugin: metallb
    metallb: {pools: [{name: default, addresses: [172.28.0.200-172.28.0.219]}]}
  artifacts:
    source: repository
    url: http://172.28.0.2:8080
  registries:
    registry.k8s.io: http://172.28.0.2:5000
    docker.io: http://172.28.0.2:5000
    registry.kaas.local: http://172.28.0.2:5000
    quay.io: http://172.28.0.2:5000
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
  master: 172.28.0.2
  memory: 2048
  cpus: 2
