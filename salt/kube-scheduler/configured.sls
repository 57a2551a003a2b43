{% set kaas = pillar.kaas %}

/etc/kubernetes/scheduler.conf:
  file.serialize:
    - serializer: yaml
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
        ExecStart=/usr/local/bin/kube-scheduler \
          --kubeconfig=/etc/kubernetes/scheduler.conf \
          --authentication-kubeconfig=/etc/kubernetes/scheduler.conf \
          --authorization-kubeconfig=/etc/kubernetes/scheduler.conf \
          --bind-address=127.0.0.1 \
          --profiling=false \
          --leader-elect=true
        Restart=always
        RestartSec=1
        NoNewPrivileges=yes
        CapabilityBoundingSet=
        ProtectSystem=strict
        ProtectHome=yes
        PrivateTmp=yes
        RestrictSUIDSGID=yes
        LockPersonality=yes
        RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX

        [Install]
        WantedBy=multi-user.target
