# Its agents are pods, which the deployer brings (deployed.sls); the machine is made ready for them.
include:
  - sdn.cilium.installed
  - sdn.cilium.configured
