include:
  - pki.configured
  - etcd.running
