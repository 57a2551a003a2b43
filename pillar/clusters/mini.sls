# yaml-language-server: $schema=../data/cluster.schema.json
# One node with every role.
cluster:
  name: mini
  kubernetes: "1.36"
  ca: ca
  nodes:
    n1: {address: 172.29.0.11, roles: [etcd, master, worker]}
  network:
    nodes: 172.29.0.0/24
    pods: 10.244.0.0/16
    services: 10.96.0.0/16
    plugin: flannel
    flannel: {backend: vxlan}
    proxy: nftables
  artifacts:
    source: repository
    url: http://172.29.0.2:8080
  registries:
    registry.k8s.io: http://172.29.0.2:5000
    docker.io: http://172.29.0.2:5000
    registry.kaas.local: http://172.29.0.2:5000
    quay.io: http://172.29.0.2:5000
  gateway: {plugin: traefik}
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
  master: 172.29.0.2
  memory: 3072
  cpus: 2
