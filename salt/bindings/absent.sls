bindings-absent:
  kaas_object.absent:
    - name: bindings
