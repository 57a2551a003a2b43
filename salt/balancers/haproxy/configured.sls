{%- set kaas = pillar.kaas %}
include:
  - pki.configured
  - haproxy.running
  - keepalived.running
  - balancers.haproxy.installed

/etc/kubernetes/haproxy.conf:
  file.serialize:
    - serializer: yaml
    - mode: '0600'
    - makedirs: True
    - dataset: {{ kaas.kubeconfigs.haproxy | json }}

# A process apart from the one of the API address: whatever a Service wants, that one stays as it is.
/etc/systemd/system/kaas-balancer.service:
  file.managed:
    - contents: |
        [Unit]
        Description=haproxy for the Services of the cluster
        Documentation=man:haproxy(1)
        After=network.target
        StartLimitIntervalSec=0

        [Service]
        Type=notify
        ExecStart=/usr/local/libexec/kaas-balancer -Ws -f /etc/kaas-balancer/haproxy.cfg -p /run/kaas-balancer.pid
        ExecReload=/bin/kill -USR2 $MAINPID
        KillMode=mixed
        Restart=always
        RestartSec=1
        SuccessExitStatus=143
        # Root opens the ports and becomes the user haproxy; nothing more.
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

        [Install]
        WantedBy=multi-user.target

balancer-configured:
  kaas_balancer.configured:
    - name: /etc/kaas-balancer/haproxy.cfg
    - address: {{ kaas.balancer.haproxy.address }}
    - backends: {{ kaas.balancer.haproxy.backends | json }}
    - reserved: {{ kaas.balancer.haproxy.reserved | json }}
    - kubeconfig: /etc/kubernetes/haproxy.conf
    - unit: kaas-balancer.service
    - require:
      - sls: pki.configured
      - sls: balancers.haproxy.installed
      - file: /etc/kubernetes/haproxy.conf
      # It is by the API address that the API is asked.
      - kaas_service: haproxy.service
      - kaas_service: keepalived.service
