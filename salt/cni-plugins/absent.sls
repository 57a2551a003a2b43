include:
  - cni-plugins.unbridged

cni-plugins-absent:
  kaas_artifact.absent:
    - name: cni-plugins
    - bin_dir: /opt/cni/bin
