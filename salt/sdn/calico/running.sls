# Its agents are pods, which the deployer brings (deployed.sls); the machine is made ready for them.
include:
  - sdn.calico.installed
  - sdn.calico.configured
