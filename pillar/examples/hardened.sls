# yaml-language-server: $schema=../data/cluster.schema.json
# Every role on machines of its own and tighter limits than the defaults, which are described in docs/hardening.md.
cluster:
  name: hardened
  kubernetes: "1.36"
  api: {address: 10.20.0.100, port: 6443}
  nodes:
    lb1: {address: 10.20.0.31, roles: [loadbalancer]}
    lb2: {address: 10.20.0.32, roles: [loadbalancer]}
    e1: {address: 10.20.0.41, roles: [etcd]}
    e2: {address: 10.20.0.42, roles: [etcd]}
    e3: {address: 10.20.0.43, roles: [etcd]}
    m1: {address: 10.20.0.11, roles: [master]}
    m2: {address: 10.20.0.12, roles: [master]}
    w1: {address: 10.20.0.21, roles: [worker]}
    w2: {address: 10.20.0.22, roles: [worker]}
    w3: {address: 10.20.0.23, roles: [worker]}
  network: {nodes: 10.20.0.0/24}
  # A stolen certificate is worth little for long; a highstate at least every five days renews in time.
  certificates: {days: 14, renew_before_days: 7}
  admission:
    pod_security: {enforce: restricted, audit: restricted, warn: restricted, exempt_namespaces: [kube-system]}
    event_rate_limit:
      - {type: Server, qps: 200, burst: 400}
      - {type: Namespace, qps: 20, burst: 50, cacheSize: 1000}
      - {type: User, qps: 20, burst: 50, cacheSize: 1000}
  kubelet:
    maxPods: 60
    podPidsLimit: 1024
