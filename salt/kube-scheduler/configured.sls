{% set kaas = pillar.kaas %}

include:
  - node.accounts
  - pki.configured

keys of kube-scheduler:
  kaas_pki.owned:
    - name: kube-scheduler
    - require:
      - user: account kube-scheduler
      - sls: pki.configured

/etc/kubernetes/scheduler.conf:
  file.serialize:
    - serializer: yaml
    - user: kube-scheduler
    - group: kube-scheduler
    - mode: '0600'
    - dataset: {{ kaas.kubeconfigs.scheduler | json }}

/etc/systemd/system/kube-scheduler.service:
  file.managed:
    - contents: |
        [Unit]
        Description=Kubernetes scheduler
        Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kube-scheduler/
        After=network.target kube-apiserver.service
        StartLimitIntervalSec=0

        [Service]
        User=kube-scheduler
        ExecStart=/usr/local/bin/kube-scheduler \
          --kubeconfig=/etc/kubernetes/scheduler.conf \
          --authentication-kubeconfig=/etc/kubernetes/scheduler.conf \
          --authorization-kubeconfig=/etc/kubernetes/scheduler.conf \
          --bind-address=127.0.0.1 \
          --tls-min-version=VersionTLS12 \
          --tls-cipher-suites={{ kaas.tls_cipher_suites | join(',') }} \
          --profiling=false \
          --leader-elect=true
        Restart=always
        RestartSec=1
        UMask=0077
        NoNewPrivileges=yes
        CapabilityBoundingSet=
        LockPersonality=yes
        MemoryDenyWriteExecute=yes
        PrivateDevices=yes
        PrivateTmp=yes
        PrivateUsers=yes
        ProtectClock=yes
        ProtectControlGroups=yes
        ProtectHome=yes
        ProtectHostname=yes
        ProtectKernelLogs=yes
        ProtectKernelModules=yes
        ProtectKernelTunables=yes
        ProtectProc=invisible
        ProtectSystem=strict
        RemoveIPC=yes
        RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
        RestrictNamespaces=yes
        RestrictRealtime=yes
        RestrictSUIDSGID=yes
        SystemCallArchitectures=native
        SystemCallErrorNumber=EPERM
        SystemCallFilter=@system-service
        SystemCallFilter=~@privileged @resources

        [Install]
        WantedBy=multi-user.target
