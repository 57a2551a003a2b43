helm-absent:
  kaas_artifact.absent:
    - name: helm
