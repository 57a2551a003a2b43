# The undo of deployed.sls; absent.sls is about what lies on a node.
flannel-undeployed:
  kaas_object.absent:
    - name: flannel
