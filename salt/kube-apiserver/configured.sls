{% set kaas = pillar.kaas %}
{% set pki = '/etc/kubernetes/pki' %}
{% set plugins = ['NodeRestriction', 'DenyServiceExternalIPs'] + (['EventRateLimit'] if kaas.admission.event_rate_limit else []) %}
include:
  - node.accounts
  - pki.configured

keys of kube-apiserver:
  kaas_pki.owned:
    - name: kube-apiserver
    - require:
      - user: account kube-apiserver
      - sls: pki.configured

# Service-account tokens are signed with one key pair on all masters; it comes from the Salt master.
{{ pki }}/sa.key:
  file.managed:
    - contents: {{ kaas.secrets.service_account.private | json }}
    - user: kube-apiserver
    - group: kube-apiserver
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
        # Users of the operator's identity providers. The API server reads this file again when it changes.
        jwt: {{ kaas.authentication.jwt | json }}

/etc/kubernetes/admission.yaml:
  file.serialize:
    - serializer: yaml
    - dataset:
        apiVersion: apiserver.config.k8s.io/v1
        kind: AdmissionConfiguration
        plugins:
          # What pods may ask of the machine: the levels of a namespace without labels of its own.
          - name: PodSecurity
            configuration:
              apiVersion: pod-security.admission.config.k8s.io/v1
              kind: PodSecurityConfiguration
              defaults:
{%- for mode in ['enforce', 'audit', 'warn'] %}
                {{ mode }}: {{ kaas.admission.pod_security[mode] }}
                {{ mode }}-version: latest
{%- endfor %}
              exemptions: {namespaces: {{ kaas.admission.pod_security.exempt_namespaces | json }}}
{%- if kaas.admission.event_rate_limit %}
          - name: EventRateLimit
            configuration:
              apiVersion: eventratelimit.admission.k8s.io/v1alpha1
              kind: Configuration
              limits: {{ kaas.admission.event_rate_limit | json }}
{%- endif %}

/etc/kubernetes/encryption.yaml:
  file.serialize:
    - serializer: yaml
    - user: kube-apiserver
    - group: kube-apiserver
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
          # Bodies of these hold secrets: who did what, never the content. First, so that a node's reading is logged too.
          - level: Metadata
            resources:
              - {group: '', resources: [secrets, configmaps, serviceaccounts/token]}
              - {group: authentication.k8s.io, resources: [tokenreviews]}
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
        User=kube-apiserver
        ExecStart=/usr/local/bin/kube-apiserver \
          --advertise-address={{ kaas.node.address }} \
          --secure-port=6443 \
          --allow-privileged=true \
          --authentication-config=/etc/kubernetes/authentication.yaml \
          --authorization-mode=Node,RBAC \
          --enable-admission-plugins={{ plugins | join(',') }} \
          --admission-control-config-file=/etc/kubernetes/admission.yaml \
          --encryption-provider-config=/etc/kubernetes/encryption.yaml \
          --audit-policy-file=/etc/kubernetes/audit-policy.yaml \
          --audit-log-path=/var/log/kubernetes/audit.log \
          --audit-log-maxage=30 \
          --audit-log-maxbackup=10 \
          --audit-log-maxsize=100 \
          --client-ca-file={{ pki }}/client-ca.crt \
          --tls-cert-file={{ pki }}/apiserver.crt \
          --tls-private-key-file={{ pki }}/apiserver.key \
          --tls-min-version=VersionTLS12 \
          --tls-cipher-suites={{ kaas.tls_cipher_suites | join(',') }} \
          --etcd-servers={{ kaas.etcd_endpoints | join(',') }} \
          --etcd-cafile={{ pki }}/etcd/ca.crt \
          --etcd-certfile={{ pki }}/apiserver-etcd-client.crt \
          --etcd-keyfile={{ pki }}/apiserver-etcd-client.key \
          --kubelet-certificate-authority={{ pki }}/ca.crt \
          --kubelet-client-certificate={{ pki }}/apiserver-kubelet-client.crt \
          --kubelet-client-key={{ pki }}/apiserver-kubelet-client.key \
          --kubelet-preferred-address-types=InternalIP,Hostname \
          --service-cluster-ip-range={{ kaas.cluster.networks.services | join(',') }} \
          --service-account-issuer=https://kubernetes.default.svc.{{ kaas.cluster.domain }} \
          --service-account-key-file={{ pki }}/sa.pub \
          --service-account-signing-key-file={{ pki }}/sa.key \
          --service-account-extend-token-expiration=false \
          --requestheader-client-ca-file={{ pki }}/front-proxy-ca.crt \
          --requestheader-allowed-names=front-proxy-client \
          --requestheader-extra-headers-prefix=X-Remote-Extra- \
          --requestheader-group-headers=X-Remote-Group \
          --requestheader-username-headers=X-Remote-User \
          --proxy-client-cert-file={{ pki }}/front-proxy-client.crt \
          --proxy-client-key-file={{ pki }}/front-proxy-client.key \
          --profiling=false \
          --request-timeout=60s \
          --shutdown-delay-duration=3s \
          --shutdown-send-retry-after=true \
          --goaway-chance=0.001
        Restart=always
        RestartSec=1
        TimeoutStartSec=0
        LimitNOFILE=65536
        LogsDirectory=kubernetes
        LogsDirectoryMode=0700
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
        # The audit log keeps its owner when it is rotated.
        SystemCallFilter=@chown

        [Install]
        WantedBy=multi-user.target
