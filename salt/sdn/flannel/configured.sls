{% from 'cni-plugins/bridge.jinja' import conflist %}
{% set kaas = pillar.kaas %}
{% set network = kaas.cluster.network %}
{% set dual = network.dual %}
{% set subnets = ['${FLANNEL_SUBNET%.*}.0/${FLANNEL_SUBNET#*/}', '${FLANNEL_IPV6_SUBNET%::1/*}::/${FLANNEL_IPV6_SUBNET#*/}'] %}
{% set networks = ['$FLANNEL_NETWORK', '$FLANNEL_IPV6_NETWORK'] %}
{% set families = kaas.cluster.networks.pods | length %}
/etc/flannel/net-conf.json:
  file.serialize:
    - serializer: json
    - makedirs: True
    - dataset:
        Network: {{ kaas.cluster.network.pods }}
        {%- if dual %}
        EnableIPv6: true
        IPv6Network: {{ kaas.cluster.networks.pods[1] | json }}
        {%- endif %}
        EnableNFTables: true
        Backend: {{ dict({'Type': network.flannel.backend}, **({'MTU': network.mtu} if network.mtu else {})) | json }}

/etc/kubernetes/flannel.conf:
  file.serialize:
    - serializer: yaml
    - mode: '0600'
    - makedirs: True
    - dataset: {{ kaas.kubeconfigs.flannel | json }}

# flanneld still looks for the iptables command when it uses nftables.
flannel-packages:
  pkg.installed:
    - pkgs: [iptables, nftables]

/etc/systemd/system/flanneld.service:
  file.managed:
    - contents: |
        [Unit]
        Description=flannel pod network
        Documentation=https://github.com/flannel-io/flannel
        After=network.target
        StartLimitIntervalSec=0

        [Service]
        Environment=NODE_NAME={{ kaas.node.name }}
        ExecStart=/usr/local/bin/flanneld \
          --kube-subnet-mgr \
          --kubeconfig-file=/etc/kubernetes/flannel.conf \
          --net-config-path=/etc/flannel/net-conf.json \
          --iface={{ kaas.node.address }} \
          {%- if dual %}
          --public-ipv6={{ kaas.node.addresses[1] }} \
          {%- endif %}
          --ip-masq \
          --healthz-ip=127.0.0.1 \
          --healthz-port=8471
        # flanneld ends while the Node object is not there yet.
        Restart=always
        RestartSec=1
        # As root, because it changes the machine's network; with the rights for that, and no others.
        UMask=0077
        NoNewPrivileges=yes
        CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW
        LockPersonality=yes
        MemoryDenyWriteExecute=yes
        PrivateDevices=yes
        PrivateTmp=yes
        ProtectClock=yes
        ProtectControlGroups=yes
        ProtectHome=yes
        ProtectHostname=yes
        ProtectKernelLogs=yes
        ProtectKernelModules=yes
        ProtectSystem=strict
        ReadWritePaths=/run
        RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
        RestrictNamespaces=yes
        RestrictRealtime=yes
        RestrictSUIDSGID=yes
        SystemCallArchitectures=native
        SystemCallErrorNumber=EPERM
        SystemCallFilter=@system-service

        [Install]
        WantedBy=multi-user.target

# The bridge configuration that flannel's CNI plug-in would make at each pod, written once per lease. It is made elsewhere and copied:
# containerd reads whatever it sees in the folder, and a file that is moved in (created, never written there) goes unnoticed.
/usr/local/libexec/kaas-flannel-cni:
  file.managed:
    - mode: '0755'
    - makedirs: True
    - contents: |
        #!/bin/sh
        set -eu
        umask 077
        . /run/flannel/subnet.env
        mkdir -p /etc/cni/net.d
        cat > /run/flannel/conflist <<EOF
        {{ conflist(network.pod_mtu or '$FLANNEL_MTU', subnets[:families], networks[:families]) | indent(8) }}
        EOF
        cmp -s /run/flannel/conflist /etc/cni/net.d/10-kaas.conflist || cp /run/flannel/conflist /etc/cni/net.d/10-kaas.conflist
        chmod 0600 /etc/cni/net.d/10-kaas.conflist

/etc/systemd/system/flannel-cni.service:
  file.managed:
    - contents: |
        [Unit]
        Description=CNI configuration from the flannel lease
        [Service]
        Type=oneshot
        ExecStart=/usr/local/libexec/kaas-flannel-cni

/etc/systemd/system/flannel-cni.path:
  file.managed:
    - contents: |
        [Unit]
        Description=Watch the flannel lease
        [Path]
        PathChanged=/run/flannel/subnet.env
        Unit=flannel-cni.service
        [Install]
        WantedBy=multi-user.target
