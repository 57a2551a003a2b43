# Its programs come in its own images, and its pods put the CNI plug-in into /opt/cni/bin.
include:
  - cni-plugins.installed
