include:
  - node.accounts
  - pki.configured
  - etcd.running
