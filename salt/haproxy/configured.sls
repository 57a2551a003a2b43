{% set kaas = pillar.kaas %}
# Spreads the calls to the API address over the apiservers that say they are ready. Of all that the authority signs, only the
# certificates of apiservers have the name `kubernetes`: no other node can pass for one.
/etc/haproxy/haproxy.cfg:
  file.managed:
    - makedirs: True
    - contents: |
        global
          maxconn 8192
          user haproxy
          group haproxy
        defaults
          mode tcp
          timeout connect 2s
          timeout client 10m
          timeout server 10m
        frontend api
          bind :{{ kaas.cluster.api.port }}
          default_backend apiservers
        backend apiservers
          balance leastconn
          option httpchk GET /readyz
          http-check expect status 200
          default-server check inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
          default-server check-ssl check-sni kubernetes verify required ca-file /etc/kubernetes/pki/ca.crt
        {%- for name, address in kaas.masters.items() %}
          server {{ name }} {{ address }}:6443
        {%- endfor %}
