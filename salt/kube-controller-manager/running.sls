{% set pki = '/etc/kubernetes/pki' %}
include:
  - pki.configured
  - kube-controller-manager.installed
  - kube-controller-manager.configured

kube-controller-manager.service:
  kaas_service.running:
    - inputs:
      - /usr/local/bin/kube-controller-manager
      - /etc/systemd/system/kube-controller-manager.service
      - /etc/kubernetes/controller-manager.conf
      - {{ pki }}/ca.crt
      - {{ pki }}/sa.key
    # Its serving certificate is made at start and lives in memory.
    - health: {url: 'https://127.0.0.1:10257/healthz', verify: False}
    - require:
      - sls: pki.configured
    - watch:
      - sls: kube-controller-manager.installed
      - sls: kube-controller-manager.configured
