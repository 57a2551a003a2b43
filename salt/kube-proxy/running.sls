include:
  - pki.configured
  - kube-proxy.installed
  - kube-proxy.configured

kube-proxy.service:
  kaas_service.running:
    - inputs:
      - /usr/local/bin/kube-proxy
      - /etc/systemd/system/kube-proxy.service
      - /etc/kubernetes/kube-proxy.yaml
      - /etc/kubernetes/kube-proxy.conf
      - /etc/kubernetes/pki/ca.crt
    - gate: {url: '{{ pillar.kaas.cluster.api.url }}/readyz', ca: /etc/kubernetes/pki/ca.crt}
    - health: {url: 'http://127.0.0.1:10256/livez'}
    - timeout: 300
    - require:
      - sls: pki.configured
    - watch:
      - sls: kube-proxy.installed
      - sls: kube-proxy.configured
