# What the kernel must offer before Kubernetes starts.
/etc/modules-load.d/kaas.conf:
  file.managed:
    - contents: [overlay, br_netfilter]

kernel-modules:
  kaas_kernel.modules:
    - modules: [overlay, br_netfilter]

{% for key in ['net.ipv4.ip_forward', 'net.bridge.bridge-nf-call-iptables', 'net.bridge.bridge-nf-call-ip6tables'] %}
{{ key }}:
  sysctl.present:
    - value: 1
    - config: /etc/sysctl.d/90-kaas.conf
    - require:
      - kaas_kernel: kernel-modules
{% endfor %}
