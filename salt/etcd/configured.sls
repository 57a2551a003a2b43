# etcd's unit and configuration. Whether the member forms the cluster, joins it, or joins it again is decided by the state from what the
# other members say (docs/architecture.md); the rest is the same on all members.
{%- set kaas = pillar['kaas'] %}
{%- set node = kaas.node %}
{%- set pki = '/etc/kubernetes/pki/etcd' %}
include:
  - node.accounts
  - pki.configured
  - etcd.installed

keys of etcd:
  kaas_pki.owned:
    - name: etcd
    - require:
      - user: account etcd
      - sls: pki.configured

/var/lib/etcd:
  file.directory:
    - user: etcd
    - group: etcd
    - mode: '0700'

/etc/systemd/system/etcd.service:
  file.managed:
    - mode: '0644'
    - contents: |
        [Unit]
        Description=etcd, the data store of Kubernetes
        Documentation=https://etcd.io/docs/
        After=network-online.target
        Wants=network-online.target

        [Service]
        # Ready means: it has joined the cluster. A first start waits for the other members, however long they take.
        Type=notify
        TimeoutStartSec=0
        User=etcd
        # What root put there: an etcd that still ran as root, or a restored snapshot.
        ExecStartPre=+/usr/bin/chown --recursive etcd:etcd /var/lib/etcd
        ExecStart=/usr/local/bin/etcd --config-file=/etc/etcd/etcd.yaml
        Restart=always
        RestartSec=2
        LimitNOFILE=40000
        OOMScoreAdjust=-999
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
        ReadWritePaths=/var/lib/etcd

        [Install]
        WantedBy=multi-user.target

etcd-configured:
  kaas_etcd.configured:
    - name: /etc/etcd/etcd.yaml
    - config:
        name: {{ node.name }}
        data-dir: /var/lib/etcd
        listen-peer-urls: https://{{ node.address }}:2380
        listen-client-urls: https://{{ node.address }}:2379,https://127.0.0.1:2379
        initial-advertise-peer-urls: https://{{ node.address }}:2380
        advertise-client-urls: https://{{ node.address }}:2379
        # Health and metrics without a certificate, for this machine alone.
        listen-metrics-urls: http://127.0.0.1:2381
        initial-cluster-token: {{ kaas.cluster.name }}
        strict-reconfig-check: true
        # Milliseconds. Wider than etcd's own values: a shared or busy disk must not cost an election.
        heartbeat-interval: 250
        election-timeout: 2500
        snapshot-count: 10000
        auto-compaction-mode: periodic
        auto-compaction-retention: 8h
        client-transport-security:
          client-cert-auth: true
          trusted-ca-file: {{ pki }}/ca.crt
          cert-file: {{ pki }}/server.crt
          key-file: {{ pki }}/server.key
        peer-transport-security:
          client-cert-auth: true
          trusted-ca-file: {{ pki }}/ca.crt
          cert-file: {{ pki }}/peer.crt
          key-file: {{ pki }}/peer.key
        tls-min-version: TLS1.2
        cipher-suites: {{ kaas.tls_cipher_suites | json }}
        logger: zap
        log-outputs: [stderr]
    - timeout: 120
    - require:
      - sls: etcd.installed
      - sls: pki.configured
      - file: /var/lib/etcd
