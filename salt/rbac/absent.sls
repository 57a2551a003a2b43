rbac-absent:
  kaas_object.absent:
    - name: rbac
