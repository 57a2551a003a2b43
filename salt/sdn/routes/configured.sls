{% from 'cni-plugins/bridge.jinja' import conflist %}
{% set kaas = pillar.kaas %}
# Connections out of the cluster come from the node's own address; inside, pods keep theirs.
/etc/kaas-routes/rules.nft:
  file.managed:
    - makedirs: True
    - contents: |
{%- for pods in kaas.cluster.networks.pods %}
        {%- set family, multicast = [('ip', '224.0.0.0/4'), ('ip6', 'ff00::/8')][loop.index0] %}
        # Made and deleted, so that loading this again replaces the table in one step.
        table {{ family }} kaas-routes
        delete table {{ family }} kaas-routes
        table {{ family }} kaas-routes {
          chain postrouting {
            type nat hook postrouting priority srcnat; policy accept;
            {{ family }} saddr {{ pods }} {{ family }} daddr != {{ pods }} {{ family }} daddr != {{ multicast }} masquerade fully-random
          }
        }
{%- endfor %}

# For `ip -batch`, at boot; while the machine runs, kaas_network.routes keeps them.
/etc/kaas-routes/routes:
  file.managed:
    - makedirs: True
    - contents: |
        # network of a node's pods, its address
{%- for network, gateway in kaas.node.routes.items() %}
        route replace {{ network }} via {{ gateway }} proto 75
{%- endfor %}

/etc/systemd/system/kaas-routes.service:
  file.managed:
    - contents: |
        [Unit]
        Description=Routes to the pods of other nodes
        After=network-online.target
        Wants=network-online.target
        Before=kubelet.service
        StartLimitIntervalSec=0

        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ExecStart=/usr/sbin/nft -f /etc/kaas-routes/rules.nft
        ExecStart=/usr/sbin/ip -batch /etc/kaas-routes/routes
        # While the interface is not up yet.
        Restart=on-failure
        RestartSec=1
        UMask=0077
        NoNewPrivileges=yes
        CapabilityBoundingSet=CAP_NET_ADMIN
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
        RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
        RestrictNamespaces=yes
        RestrictRealtime=yes
        RestrictSUIDSGID=yes
        SystemCallArchitectures=native
        SystemCallErrorNumber=EPERM
        SystemCallFilter=@system-service

        [Install]
        WantedBy=multi-user.target

# Nothing is added to packets: pods have the MTU of the machine's interface.
/etc/cni/net.d/10-kaas.conflist:
  kaas_network.bridged:
    - config: {{ conflist(0, kaas.node.pods, kaas.cluster.networks.pods) | indent(8) }}
    - address: {{ kaas.node.address }}
    - mtu: {{ kaas.cluster.network.pod_mtu | json }}
