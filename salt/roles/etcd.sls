include:
  - node.prepared
  - pki.configured
  - etcd.running
