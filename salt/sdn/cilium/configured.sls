# NetworkManager and systemd-networkd, where a machine has them, must leave Cilium's interfaces, routes and rules alone.
/etc/NetworkManager/conf.d/kaas-cilium.conf:
  file.managed:
    - makedirs: True
    - contents: |
        [keyfile]
        unmanaged-devices=interface-name:cilium_*;interface-name:lxc*

/etc/systemd/networkd.conf.d/kaas-cilium.conf:
  file.managed:
    - makedirs: True
    - contents: |
        [Network]
        ManageForeignRoutes=no
        ManageForeignRoutingPolicyRules=no
