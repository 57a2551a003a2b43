{% set kaas = pillar.kaas %}
{% load_yaml as config %}
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: systemd
clusterDNS: [{{ kaas.cluster.network.dns }}]
clusterDomain: {{ kaas.cluster.domain }}
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: /etc/kubernetes/pki/ca.crt}
authorization: {mode: Webhook}
readOnlyPort: 0
# Both certificates come from the cluster's CA and are renewed by the highstate.
tlsCertFile: /var/lib/kubelet/pki/kubelet.crt
tlsPrivateKeyFile: /var/lib/kubelet/pki/kubelet.key
tlsMinVersion: VersionTLS12
tlsCipherSuites: {{ kaas.tls_cipher_suites | json }}
rotateCertificates: false
serverTLSBootstrap: false
seccompDefault: true
# The kernel's settings are node.prepared's business; the kubelet refuses to start with others.
protectKernelDefaults: true
makeIPTablesUtilChains: true
streamingConnectionIdleTimeout: 1h
eventRecordQPS: 50
podPidsLimit: 4096
registerWithTaints: {{ kaas.node.taints | json }}
{% endload %}

/etc/kubernetes/kubelet.yaml:
  file.serialize:
    - serializer: yaml
    - mode: '0600'
    - makedirs: True
    - dataset: {{ salt['slsutil.merge'](config, kaas.settings.kubelet, strategy='recurse') | json }}

/etc/kubernetes/kubelet.conf:
  file.serialize:
    - serializer: yaml
    - mode: '0600'
    - makedirs: True
    - dataset: {{ kaas.kubeconfigs.kubelet | json }}

/etc/systemd/system/kubelet.service:
  file.managed:
    - contents: |
        [Unit]
        Description=Kubernetes node agent
        Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/
        Wants=containerd.service
        After=network.target containerd.service
        StartLimitIntervalSec=0

        [Service]
        ExecStart=/usr/local/bin/kubelet \
          --config=/etc/kubernetes/kubelet.yaml \
          --kubeconfig=/etc/kubernetes/kubelet.conf \
          --hostname-override={{ kaas.node.name }} \
          --node-ip={{ kaas.node.addresses | join(',') }}
        KillMode=process
        Restart=always
        RestartSec=2

        [Install]
        WantedBy=multi-user.target
