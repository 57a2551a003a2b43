include:
  - node.prepared
  - containerd.installed
  - containerd.configured

# The registry host files are read at each pull.
containerd.service:
  kaas_service.running:
    - inputs:
      - /usr/local/bin/containerd
      - /etc/systemd/system/containerd.service
      - /etc/containerd/config.toml
    - require:
      - sls: node.prepared
    - watch:
      - sls: containerd.installed
      - file: /etc/containerd/config.toml
      - file: /etc/systemd/system/containerd.service
