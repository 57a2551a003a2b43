demo-undeployed:
  kaas_object.absent:
    - name: demo
