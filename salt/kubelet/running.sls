include:
  - pki.configured
  - containerd.running
  - kubelet.installed
  - kubelet.configured

kubelet.service:
  kaas_service.running:
    - inputs:
      - /usr/local/bin/kubelet
      - /etc/systemd/system/kubelet.service
      - /etc/kubernetes/kubelet.yaml
      - /etc/kubernetes/kubelet.conf
      - /etc/kubernetes/pki/ca.crt
      - /var/lib/kubelet/pki/kubelet.crt
    # An agent that starts before its API backs off for up to half a minute.
    - gate: {url: '{{ pillar.kaas.cluster.api.url }}/readyz', ca: /etc/kubernetes/pki/ca.crt}
    - health: {url: 'http://127.0.0.1:10248/healthz'}
    - timeout: 300
    - require:
      - sls: pki.configured
      - kaas_service: containerd.service
    - watch:
      - sls: kubelet.installed
      - sls: kubelet.configured
