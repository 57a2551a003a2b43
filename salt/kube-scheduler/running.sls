include:
  - pki.configured
  - kube-scheduler.installed
  - kube-scheduler.configured

kube-scheduler.service:
  kaas_service.running:
    - inputs:
      - /usr/local/bin/kube-scheduler
      - /etc/systemd/system/kube-scheduler.service
      - /etc/kubernetes/scheduler.conf
      - /etc/kubernetes/pki/ca.crt
    # Its serving certificate is made at start and lives in memory.
    - health: {url: 'https://127.0.0.1:10259/healthz', verify: False}
    - require:
      - sls: pki.configured
    - watch:
      - sls: kube-scheduler.installed
      - sls: kube-scheduler.configured
