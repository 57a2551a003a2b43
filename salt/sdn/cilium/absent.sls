# What Cilium's pods left on the machine. Only where its CNI plug-in lies, which goes last: others use such names, too.
{% set plugin = '/opt/cni/bin/cilium-cni' %}
cilium-kernel-absent:
  kaas_network.absent:
    - links: [lxc*, cilium_*]
    - chains: [CILIUM_, OLD_CILIUM_]
    - onlyif: {{ [{'fun': 'file.file_exists', 'path': plugin}] | json }}

# Programs that are pinned here stay in the kernel.
cilium-maps-absent:
  file.tidied:
    - name: /sys/fs/bpf/tc/globals
    - matches: ['cilium_.*']
    - onlyif: {{ [{'fun': 'file.file_exists', 'path': plugin}, {'fun': 'file.directory_exists', 'path': '/sys/fs/bpf/tc/globals'}] | json }}

# A file system of its own, in which nothing may be deleted.
/run/cilium/cgroupv2:
  mount.unmounted: []

{% for path in [
  '/sys/fs/bpf/cilium',
  '/etc/NetworkManager/conf.d/kaas-cilium.conf',
  '/etc/systemd/networkd.conf.d/kaas-cilium.conf',
  '/etc/sysctl.d/99-zzz-override_cilium.conf',
  '/etc/cni/net.d/05-cilium.conflist',
  '/run/cilium',
  plugin,
] %}
{{ path }}:
  file.absent:
    - require:
      - kaas_network: cilium-kernel-absent
      - file: cilium-maps-absent
      - mount: /run/cilium/cgroupv2
{% endfor %}
