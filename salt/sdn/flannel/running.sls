include:
  - pki.configured
  - kubelet.running
  - cni-plugins.installed
  - sdn.flannel.installed
  - sdn.flannel.configured

flannel-cni.path:
  kaas_service.running:
    - watch:
      - sls: sdn.flannel.configured

flanneld.service:
  kaas_service.running:
    - inputs:
      - /usr/local/bin/flanneld
      - /etc/systemd/system/flanneld.service
      - /etc/flannel/net-conf.json
      # Written anew, a lease has its configuration made by this.
      - /usr/local/libexec/kaas-flannel-cni
      - /etc/kubernetes/flannel.conf
      - /etc/kubernetes/pki/ca.crt
      - /etc/kubernetes/pki/flannel.crt
    # Answers once the deployer has given flannel its rights.
    - gate:
        url: '{{ pillar.kaas.cluster.api.url }}/api/v1/nodes?limit=1'
        ca: /etc/kubernetes/pki/ca.crt
        cert: /etc/kubernetes/pki/flannel.crt
        key: /etc/kubernetes/pki/flannel.key
    - health: {url: 'http://127.0.0.1:8471/healthz'}
    - timeout: 300
    - require:
      - kaas_service: kubelet.service
    - watch:
      - sls: sdn.flannel.installed
      - sls: sdn.flannel.configured

# What the other back ends made, when the routes have left it: a node has a route to another as soon as both have changed.
flannel-running:
  kaas_network.absent:
    - links: {{ {'vxlan': ['flannel-wg*'], 'wireguard': ['flannel.1', 'flannel-v6.1']}.get(
        pillar.kaas.cluster.network.flannel.backend, ['flannel*']) | json }}
    - idle: 30
    - require:
      - kaas_service: flanneld.service

# Its name in former versions, read before the new one.
/etc/cni/net.d/10-flannel.conflist:
  file.absent:
    - require:
      - kaas_network: flannel-running
