# What the machine must offer before Kubernetes starts. One that does not is left as it is: its highstate ends here.
{% set kaas = pillar.kaas %}
{% for reason, modules in kaas.kernel.items() %}
{{ ('kernel-modules for ' ~ reason) | json }}:
  kaas_kernel.modules:
    - modules: {{ modules | json }}
    - reason: {{ reason | json }}
    - failhard: True
{% endfor %}

network of {{ kaas.node.name }}:
  kaas_network.fits:
    - node: {{ kaas.node.name }}
    - address: {{ kaas.node.address }}
    - mtu: {{ kaas.cluster.network.mtu | json }}
    - pods: {{ kaas.node.pods | json }}
    - failhard: True

pods of {{ kaas.node.name }}:
  kaas_pods.of_network:
    - chosen: {{ kaas.cluster.network.plugin }}
    - conflists: {{ kaas.conflists | json }}
    - failhard: True
{% if kaas.linux %}

kernel of {{ kaas.node.name }}:
  kaas_kernel.at_least:
    - version: {{ kaas.linux | json }}
    - reason: 'network.plugin: {{ kaas.cluster.network.plugin }}'
    - failhard: True
{% endif %}

/etc/modules-load.d/kaas.conf:
  file.managed:
    - contents: {{ kaas.kernel.values() | sum(start=[]) | json }}

{% set settings = {
  'net.ipv4.ip_forward': 1,
  'net.bridge.bridge-nf-call-iptables': 1,
  'net.bridge.bridge-nf-call-ip6tables': 1,
} %}
{% if pillar.kaas.cluster.network.dual %}
# kube-proxy takes `all.disable_ipv6` for the machine's word on IPv6, and is silent about its services then; the interfaces that come with the
# pods are made by `default`.
{% do settings.update({
  'net.ipv6.conf.all.forwarding': 1,
  'net.ipv6.conf.all.disable_ipv6': 0,
  'net.ipv6.conf.default.disable_ipv6': 0,
}) %}
{% endif %}
{% if 'kubelet' in pillar.kaas.artifacts and pillar.kaas.settings.kubelet.get('protectKernelDefaults', True) %}
# A kubelet that protects the kernel's settings does not start with others than these.
{% do settings.update({
  'kernel.keys.root_maxbytes': 25000000,
  'kernel.keys.root_maxkeys': 1000000,
  'kernel.panic': 10,
  'kernel.panic_on_oops': 1,
  'vm.overcommit_memory': 1,
  'vm.panic_on_oom': 0,
}) %}
{% endif %}
{% for key, value in settings.items() %}
{{ key }}:
  sysctl.present:
    - value: {{ value }}
    - config: /etc/sysctl.d/90-kaas.conf
    - require:
      - kaas_kernel: kernel-modules for containers
{% endfor %}
