{% set kaas = pillar.kaas %}
{% set pki = '/etc/kubernetes/pki' %}

/etc/kubernetes/controller-manager.conf:
  file.serialize:
    - serializer: yaml
    - mode: '0600'
    - dataset: {{ kaas.kubeconfigs['controller-manager'] | json }}

# Signs CertificateSigningRequests; the cluster's own CA key never leaves the CA minion.
{{ pki }}/csr-signer.key:
  file.managed:
    - contents: {{ kaas.secrets.csr_signer.key | json }}
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
        ExecStart=/usr/local/bin/kube-controller-manager \
          --kubeconfig=/etc/kubernetes/controller-manager.conf \
          --authentication-kubeconfig=/etc/kubernetes/controller-manager.conf \
          --authorization-kubeconfig=/etc/kubernetes/controller-manager.conf \
          --bind-address=127.0.0.1 \
          --cluster-name={{ kaas.cluster.name }} \
          --allocate-node-cidrs=true \
          --cluster-cidr={{ kaas.cluster.network.pods }} \
          --service-cluster-ip-range={{ kaas.cluster.network.services }} \
          --cluster-signing-cert-file={{ pki }}/csr-signer.crt \
          --cluster-signing-key-file={{ pki }}/csr-signer.key \
          --cluster-signing-duration=720h \
          --client-ca-file={{ pki }}/ca.crt \
          --root-ca-file={{ pki }}/ca.crt \
          --requestheader-client-ca-file={{ pki }}/front-proxy-ca.crt \
          --service-account-private-key-file={{ pki }}/sa.key \
          --use-service-account-credentials=true \
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
