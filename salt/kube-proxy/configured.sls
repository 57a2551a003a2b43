{% set kaas = pillar.kaas %}
{% load_yaml as config %}
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: {{ kaas.cluster.network.proxy }}
clusterCIDR: {{ kaas.cluster.networks.pods | join(',') | json }}
hostnameOverride: {{ kaas.node.name }}
clientConnection: {kubeconfig: /etc/kubernetes/kube-proxy.conf}
metricsBindAddress: 127.0.0.1:10249
# By network and not `primary`: NodePorts answer on the API address too, which moves between nodes.
nodePortAddresses: {{ kaas.cluster.networks.nodes | json }}
{% endload %}

/etc/kubernetes/kube-proxy.yaml:
  file.serialize:
    - serializer: yaml
    - mode: '0600'
    - makedirs: True
    - dataset: {{ salt['slsutil.merge'](config, kaas.settings.kube_proxy, strategy='recurse') | json }}

/etc/kubernetes/kube-proxy.conf:
  file.serialize:
    - serializer: yaml
    - mode: '0600'
    - makedirs: True
    - dataset: {{ kaas.kubeconfigs['kube-proxy'] | json }}

/etc/systemd/system/kube-proxy.service:
  file.managed:
    - contents: |
        [Unit]
        Description=Kubernetes service proxy
        Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/
        After=network.target
        StartLimitIntervalSec=0

        [Service]
        ExecStart=/usr/local/bin/kube-proxy --config=/etc/kubernetes/kube-proxy.yaml
        Restart=always
        RestartSec=2
        # As root, because it changes the machine's network; with the rights for that, and no others.
        UMask=0077
        NoNewPrivileges=yes
        CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_RESOURCE
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
        ProtectSystem=strict
        ReadWritePaths=/run
        RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
        RestrictNamespaces=yes
        RestrictRealtime=yes
        RestrictSUIDSGID=yes
        SystemCallArchitectures=native
        SystemCallErrorNumber=EPERM
        SystemCallFilter=@system-service

        [Install]
        WantedBy=multi-user.target
