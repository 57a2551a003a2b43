{% set kaas = pillar.kaas %}
{% set pki = '/etc/kubernetes/pki' %}

include:
  - node.accounts
  - pki.configured

keys of kube-controller-manager:
  kaas_pki.owned:
    - name: kube-controller-manager
    - require:
      - user: account kube-controller-manager
      - sls: pki.configured

/etc/kubernetes/controller-manager.conf:
  file.serialize:
    - serializer: yaml
    - user: kube-controller-manager
    - group: kube-controller-manager
    - mode: '0600'
    - dataset: {{ kaas.kubeconfigs['controller-manager'] | json }}

# Signs CertificateSigningRequests; the cluster's own CA key never leaves the CA minion.
{{ pki }}/csr-signer.key:
  file.managed:
    - contents: {{ kaas.secrets.csr_signer.key | json }}
    - user: kube-controller-manager
    - group: kube-controller-manager
    - mode: '0600'
    - makedirs: True
    - show_changes: False

/etc/systemd/system/kube-controller-manager.service:
  file.managed:
    - contents: |
        [Unit]
        Description=Kubernetes controller manager
        Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/
        After=network.target kube-apiserver.service
        StartLimitIntervalSec=0

        [Service]
        User=kube-controller-manager
        # That key is the API server's; systemd hands over a copy in memory (%d is its folder).
        LoadCredential=sa.key:{{ pki }}/sa.key
        ExecStart=/usr/local/bin/kube-controller-manager \
          --kubeconfig=/etc/kubernetes/controller-manager.conf \
          --authentication-kubeconfig=/etc/kubernetes/controller-manager.conf \
          --authorization-kubeconfig=/etc/kubernetes/controller-manager.conf \
          --bind-address=127.0.0.1 \
          --cluster-name={{ kaas.cluster.name }} \
          --allocate-node-cidrs={{ kaas.cluster.network.allocated | lower }} \
          --cluster-cidr={{ kaas.cluster.networks.pods | join(',') }} \
          --service-cluster-ip-range={{ kaas.cluster.networks.services | join(',') }} \
          --cluster-signing-cert-file={{ pki }}/csr-signer.crt \
          --cluster-signing-key-file={{ pki }}/csr-signer.key \
          --cluster-signing-duration=720h \
          --client-ca-file={{ pki }}/ca.crt \
          --root-ca-file={{ pki }}/ca.crt \
          --requestheader-client-ca-file={{ pki }}/front-proxy-ca.crt \
          --service-account-private-key-file=%d/sa.key \
          --use-service-account-credentials=true \
          --terminated-pod-gc-threshold=1000 \
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
