# NetworkManager, where a machine has it, must leave the pods' interfaces alone.
/etc/NetworkManager/conf.d/kaas-calico.conf:
  file.managed:
    - makedirs: True
    - contents: |
        [keyfile]
        unmanaged-devices=interface-name:cali*;interface-name:tunl*;interface-name:vxlan.calico;interface-name:wireguard.cali
