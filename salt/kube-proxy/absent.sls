kube-proxy.service:
  kaas_service.dead

{% for path in [
  '/etc/systemd/system/kube-proxy.service',
  '/etc/kubernetes/kube-proxy.yaml',
  '/etc/kubernetes/kube-proxy.conf',
  '/etc/kubernetes/pki/kube-proxy.crt',
  '/etc/kubernetes/pki/kube-proxy.key',
] %}
{{ path }}:
  file.absent
{% endfor %}

kube-proxy-absent:
  kaas_artifact.absent:
    - name: kube-proxy

kube-proxy-kernel-absent:
  kaas_network.absent:
    - tables: [ip kube-proxy, ip6 kube-proxy]
    # The kubelet has some of its own.
    - chains: [KUBE-SERVICES, KUBE-SVC-, KUBE-SVL-, KUBE-SEP-, KUBE-EXT, KUBE-FW-, KUBE-NODE, KUBE-POST, KUBE-FORWARD, KUBE-MARK-MASQ, KUBE-PROXY-]
    - require:
      - kaas_service: kube-proxy.service
