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

/etc/systemd/system/haproxy.service.d/kaas.conf:
  file.managed:
    - makedirs: True
    - contents: |
        [Service]
        # Root opens the port and becomes the user haproxy; nothing more.
        UMask=0077
        NoNewPrivileges=yes
        CapabilityBoundingSet=CAP_KILL CAP_NET_BIND_SERVICE CAP_SETGID CAP_SETUID
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
        RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
        RestrictNamespaces=yes
        RestrictRealtime=yes
        RestrictSUIDSGID=yes
        SystemCallArchitectures=native
        SystemCallErrorNumber=EPERM
        SystemCallFilter=@system-service
