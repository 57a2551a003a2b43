# yaml-language-server: $schema=../data/cluster.schema.json
# kube-proxy with iptables, for kernels or tools that do not get along with nftables; own networks for pods and services.
cluster:
  name: network-iptables
  kubernetes: "1.36"
  acknowledge: [control-plane-is-redundant]  # one master is wanted here
  domain: k8s.example.com
  nodes:
    m1: {address: 10.20.0.11, roles: [etcd, master]}
    w1: {address: 10.20.0.21, roles: [worker]}
    w2: {address: 10.20.0.22, roles: [worker]}
  network:
    nodes: 10.20.0.0/24
    pods: 192.168.0.0/17
    services: 192.168.128.0/20
    dns: 192.168.128.53
    plugin: flannel
    flannel: {backend: vxlan}
    proxy: iptables
