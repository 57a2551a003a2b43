{% set kaas = pillar.kaas %}
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
          # kube-proxy looks for the addresses that NodePorts answer on when it starts, and then once an hour.
          notify_master "/usr/bin/systemctl --no-block try-restart kube-proxy.service"
        {%- endif %}
        }
