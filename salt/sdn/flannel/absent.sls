flannel-cni.path:
  kaas_service.dead

flannel-cni.service:
  kaas_service.dead

flanneld.service:
  kaas_service.dead

{% for path in [
  '/etc/systemd/system/flannel-cni.path',
  '/etc/systemd/system/flannel-cni.service',
  '/etc/systemd/system/flanneld.service',
  '/etc/flannel',
  '/run/flannel',
  '/etc/cni/net.d/10-flannel.conflist',
  '/usr/local/libexec/kaas-flannel-cni',
  '/etc/kubernetes/flannel.conf',
] %}
{{ path }}:
  file.absent
{% endfor %}

flannel-absent:
  kaas_artifact.absent:
    - name: flannel

# Routes stay for the moment: the network that follows has its own put in their place.
flannel-kernel-absent:
  kaas_network.absent:
    - links: ['flannel*']
    - tables: [ip flannel-ipv4, ip6 flannel-ipv6]
    - chains: [FLANNEL-]
    - require:
      - kaas_service: flanneld.service
