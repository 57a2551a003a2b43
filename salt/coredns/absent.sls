coredns-absent:
  kaas_object.absent:
    - name: coredns
