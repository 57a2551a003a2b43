# What Calico's pods left on the machine. Only where its CNI plug-in lies, which goes last: others use such names, too.
{% set plugin = '/opt/cni/bin/calico' %}
calico-kernel-absent:
  kaas_network.absent:
    - links: [cali*, vxlan.calico, vxlan-v6.calico, wireguard.cali]
    - tables: [ip calico, ip6 calico, arp calico]
    - chains: [cali-]
    # Felix' own number
    - protocols: ['80']
    - onlyif: {{ [{'fun': 'file.file_exists', 'path': plugin}] | json }}

{% for path in [
  '/etc/NetworkManager/conf.d/kaas-calico.conf',
  '/etc/cni/net.d/10-calico.conflist',
  '/etc/cni/net.d/calico-kubeconfig',
  '/opt/cni/bin/calico-ipam',
  '/run/calico',
  '/var/lib/calico',
  '/var/log/calico',
  plugin,
] %}
{{ path }}:
  file.absent:
    - require:
      - kaas_network: calico-kernel-absent
{% endfor %}
