metrics-server-absent:
  kaas_object.absent:
    - name: metrics-server
