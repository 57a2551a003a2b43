# What networks with the bridge cni0 share, taken away where another network follows or the node leaves its cluster. Pods that are still
# there have no network then: they go before.
/etc/cni/net.d/10-kaas.conflist:
  file.absent

# Addresses that are given out; the folder is on a tmpfs.
/run/cni/networks/cbr0:
  file.absent

kernel without a bridge of pods:
  kaas_network.absent:
    - links: [cni0]
    - chains: [CNI-]
    - pods: True
