{% set kaas = pillar.kaas %}
{% set pki = '/etc/kubernetes/pki' %}
include:
  - pki.configured

/var/log/kubernetes:
  file.directory:
    - mode: '0700'

# Service-account tokens are signed with one key pair on all masters; it comes from the Salt master.
{{ pki }}/sa.key:
  file.managed:
    - contents: {{ kaas.secrets.service_account.private | json }}
    - mode: '0600'
    - makedirs: True
    - show_changes: False

{{ pki }}/sa.pub:
  file.managed:
    - contents: {{ kaas.secrets.service_account.public | json }}
    - mode: '0644'
    - makedirs: True
    - show_changes: False

{{ pki }}/csr-signer.crt:
  file.managed:
    - contents: {{ kaas.secrets.csr_signer.certificate | json }}
    - mode: '0644'
    - makedirs: True
    - show_changes: False

# Client certificates come from the cluster's CA or, for CertificateSigningRequests, from the signer that the controller-manager holds.
{{ pki }}/client-ca.crt:
  kaas_file.joined:
    - sources: [{{ pki }}/ca.crt, {{ pki }}/csr-signer.crt]
    - require:
      - sls: pki.configured
      - file: {{ pki }}/csr-signer.crt

/etc/kubernetes/authentication.yaml:
  file.serialize:
    - serializer: yaml
    - dataset:
        apiVersion: apiserver.config.k8s.io/v1
        kind: AuthenticationConfiguration
        # Load balancers and probes ask these without credentials; nothing else is anonymous.
        anonymous:
          enabled: true
          conditions: [{path: /livez}, {path: /readyz}, {path: /healthz}]

/etc/kubernetes/encryption.yaml:
  file.serialize:
    - serializer: yaml
    - mode: '0600'
    - show_changes: False
    - dataset:
        apiVersion: apiserver.config.k8s.io/v1
        kind: EncryptionConfiguration
        resources:
          - resources: [secrets]
            providers:
              # The first key writes, all read; identity reads what was written before encryption.
              - secretbox:
                  keys:
{% for key in kaas.secrets.encryption %}
                    - {name: {{ key.name | json }}, secret: {{ key.key | json }}}
{% endfor %}
              - identity: {}

/etc/kubernetes/audit-policy.yaml:
  file.serialize:
    - serializer: yaml
    - dataset:
        apiVersion: audit.k8s.io/v1
        kind: Policy
        omitStages: [RequestReceived]
        rules:
          # The chatter of the control plane itself.
          - level: None
            users: ['system:kube-proxy']
            verbs: [watch, list, get]
          - level: None
            userGroups: ['system:nodes']
            verbs: [get, watch, list]
          - level: None
            resources: [{group: coordination.k8s.io, resources: [leases]}]
          - level: None
            nonResourceURLs: ['/healthz*', '/livez*', '/readyz*', '/version', '/openapi/*', '/metrics']
          - level: None
            resources: [{group: '', resources: [events]}, {group: events.k8s.io, resources: [events]}]
          # Bodies of these hold secrets: who did what, never the content.
          - level: Metadata
            resources:
              - {group: '', resources: [secrets, configmaps, serviceaccounts/token]}
              - {group: authentication.k8s.io, resources: [tokenreviews]}
          - level: Metadata
            verbs: [get, list, watch]
          - level: Request
            verbs: [create, update, patch, delete, deletecollection]
          - level: Metadata

/etc/systemd/system/kube-apiserver.service:
  file.managed:
    - contents: |
        [Unit]
        Description=Kubernetes API server
        Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/
        Wants=network-online.target
        After=network-online.target etcd.service
        StartLimitIntervalSec=0

        # A stop first lets the load balancers see it (3 s), then refuses new requests with "try again" and closes the
        # watches after 2 s; without these two, watches from the same machine hold up the stop for a minute.
        [Service]
        Type=notify
        ExecStart=/usr/local/bin/kube-apiserver \
          --advertise-address={{ kaas.node.address }} \
          --secure-port=6443 \
          --allow-privileged=true \
          --authentication-config=/etc/kubernetes/authentication.yaml \
          --authorization-mode=Node,RBAC \
          --enable-admission-plugins=NodeRestriction \
          --encryption-provider-config=/etc/kubernetes/encryption.yaml \
          --audit-policy-file=/etc/kubernetes/audit-policy.yaml \
          --audit-log-path=/var/log/kubernetes/audit.log \
          --audit-log-maxage=30 \
          --audit-log-maxbackup=5 \
          --audit-log-maxsize=50 \
          --client-ca-file={{ pki }}/client-ca.crt \
          --tls-cert-file={{ pki }}/apiserver.crt \
          --tls-private-key-file={{ pki }}/apiserver.key \
          --tls-min-version=VersionTLS12 \
          --etcd-servers={{ kaas.etcd_endpoints | join(',') }} \
          --etcd-cafile={{ pki }}/etcd/ca.crt \
          --etcd-certfile={{ pki }}/apiserver-etcd-client.crt \
          --etcd-keyfile={{ pki }}/apiserver-etcd-client.key \
          --kubelet-certificate-authority={{ pki }}/ca.crt \
          --kubelet-client-certificate={{ pki }}/apiserver-kubelet-client.crt \
          --kubelet-client-key={{ pki }}/apiserver-kubelet-client.key \
          --kubelet-preferred-address-types=InternalIP,Hostname \
          --service-cluster-ip-range={{ kaas.cluster.network.services }} \
          --service-account-issuer=https://kubernetes.default.svc.{{ kaas.cluster.domain }} \
          --service-account-key-file={{ pki }}/sa.pub \
          --service-account-signing-key-file={{ pki }}/sa.key \
          --requestheader-client-ca-file={{ pki }}/front-proxy-ca.crt \
          --requestheader-allowed-names=front-proxy-client \
          --requestheader-extra-headers-prefix=X-Remote-Extra- \
          --requestheader-group-headers=X-Remote-Group \
          --requestheader-username-headers=X-Remote-User \
          --proxy-client-cert-file={{ pki }}/front-proxy-client.crt \
          --proxy-client-key-file={{ pki }}/front-proxy-client.key \
          --profiling=false \
          --shutdown-delay-duration=3s \
          --shutdown-send-retry-after=true \
          --goaway-chance=0.001
        Restart=always
        RestartSec=1
        TimeoutStartSec=0
        LimitNOFILE=65536
        NoNewPrivileges=yes
        CapabilityBoundingSet=
        ProtectSystem=strict
        ReadWritePaths=/var/log/kubernetes
        ProtectHome=yes
        PrivateTmp=yes
        RestrictSUIDSGID=yes
        LockPersonality=yes
        RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX

        [Install]
        WantedBy=multi-user.target
