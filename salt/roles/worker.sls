include:
  - node.prepared
  - pki.configured
  - containerd.running
  - kubelet.running
  - kube-proxy.running
  - sdn.{{ pillar.kaas.cluster.network.plugin }}.running
