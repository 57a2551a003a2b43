# Keys and certificates of this node, from the cluster's CA minion.
certificates of the node:
  kaas_pki.certificates:
    - timeout: 120
