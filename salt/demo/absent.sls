demo-absent:
  kaas_object.absent:
    - name: demo
