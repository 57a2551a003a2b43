{% set kaas = pillar.kaas %}
{% set services = kaas.balancer.get('haproxy', {}) if 'loadbalancer' in kaas.roles else {} %}
{% set interfaces = [] %}
{% for name, addresses in grains.ip4_interfaces.items() if kaas.node.address in addresses %}
{% do interfaces.append(name) %}
{% endfor %}
{% if not interfaces %}
{{ raise('nodes.' ~ kaas.node.name ~ '.address ' ~ kaas.node.address ~ ' is on no interface of this machine: correct the cluster file or the machine') }}
{% endif %}
# The API address moves to another node when this one, or its haproxy, is gone. It stays where it is when the first comes back.
/etc/keepalived/keepalived.conf:
  file.managed:
    - makedirs: True
    - contents: |
        global_defs {
          router_id {{ kaas.node.name }}
          enable_script_security
          script_user root
        }
        vrrp_script haproxy {
          script "/usr/bin/killall -0 haproxy"
          interval 1
          fall 2
          rise 1
        }
        vrrp_instance api {
          state BACKUP
          nopreempt
          interface {{ interfaces[0] }}
          virtual_router_id {{ kaas.virtual_router_id }}
          priority {{ 200 - (kaas.api_holders.keys() | list).index(kaas.node.name) }}
          advert_int 1
          unicast_src_ip {{ kaas.node.address }}
          unicast_peer {
        {%- for name, address in kaas.api_holders.items() if name != kaas.node.name %}
            {{ address }}
        {%- endfor %}
          }
          virtual_ipaddress {
            {{ kaas.cluster.api.address }}/{{ kaas.cluster.network.nodes.split('/')[1] }}
          }
          track_script {
            haproxy
          }
        {%- if 'kube-proxy' in kaas.artifacts %}
          # kube-proxy looks for the addresses that NodePorts answer on when it starts, and then once an hour: it is ended, and
          # systemd starts it again. To ask systemd for that would take more rights than keepalived has.
          notify_master "/usr/bin/killall kube-proxy"
        {%- endif %}
        }
        {%- if services and not services.shared %}
        # The address of Services moves with the haproxy that leads to them.
        vrrp_script balancer {
          script "/usr/bin/killall -0 kaas-balancer"
          interval 1
          fall 2
          rise 1
        }
        vrrp_instance services {
          state BACKUP
          nopreempt
          interface {{ interfaces[0] }}
          virtual_router_id {{ services.virtual_router_id }}
          priority {{ 200 - (kaas.api_holders.keys() | list).index(kaas.node.name) }}
          advert_int 1
          unicast_src_ip {{ kaas.node.address }}
          unicast_peer {
        {%- for name, address in kaas.api_holders.items() if name != kaas.node.name %}
            {{ address }}
        {%- endfor %}
          }
          virtual_ipaddress {
            {{ services.address }}/{{ kaas.cluster.network.nodes.split('/')[1] }}
          }
          track_script {
            balancer
          }
        }
        {%- endif %}

/etc/systemd/system/keepalived.service.d/kaas.conf:
  file.managed:
    - makedirs: True
    - contents: |
        [Service]
        # Root, to move an address and to look for haproxy, which runs as another user.
        UMask=0077
        NoNewPrivileges=yes
        CapabilityBoundingSet=CAP_KILL CAP_NET_ADMIN CAP_NET_BROADCAST CAP_NET_RAW CAP_SETGID CAP_SETUID
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
        ProtectKernelTunables=yes
        ProtectSystem=strict
        ReadWritePaths=/run
        RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_UNIX
        RestrictNamespaces=yes
        RestrictRealtime=yes
        RestrictSUIDSGID=yes
        SystemCallArchitectures=native
        SystemCallErrorNumber=EPERM
        SystemCallFilter=@system-service
