{%- set kaas = pillar.kaas %}
{%- set corefile %}
.:1053 {
    errors
    health {
        lameduck 5s
    }
    ready
    kubernetes {{ kaas.cluster.domain }} in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
        max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
{% endset %}
include:
  - rbac.deployed

coredns-deployed:
  kaas_object.applied:
    - name: coredns
    - require:
        - kaas_object: rbac-deployed
    - objects:
        - apiVersion: v1
          kind: ServiceAccount
          metadata: {name: coredns, namespace: kube-system}
        - apiVersion: rbac.authorization.k8s.io/v1
          kind: ClusterRole
          metadata: {name: 'system:coredns'}
          rules:
            - {apiGroups: [''], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}
            - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
        - apiVersion: rbac.authorization.k8s.io/v1
          kind: ClusterRoleBinding
          metadata: {name: 'system:coredns'}
          roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'system:coredns'}
          subjects:
            - {kind: ServiceAccount, name: coredns, namespace: kube-system}
        - apiVersion: v1
          kind: ConfigMap
          metadata: {name: coredns, namespace: kube-system}
          data:
            Corefile: {{ corefile | json }}
        - apiVersion: apps/v1
          kind: Deployment
          metadata:
            name: coredns
            namespace: kube-system
            labels: {k8s-app: kube-dns}
          spec:
            replicas: {{ 2 if kaas.nodes | length > 1 else 1 }}
            strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 1}}
            selector: {matchLabels: {k8s-app: kube-dns}}
            template:
              metadata: {labels: {k8s-app: kube-dns}}
              spec:
                serviceAccountName: coredns
                priorityClassName: system-cluster-critical
                dnsPolicy: Default
                nodeSelector: {kubernetes.io/os: linux}
                tolerations:
                  - {key: CriticalAddonsOnly, operator: Exists}
                  - {key: node-role.kubernetes.io/control-plane, effect: NoSchedule}
                  # A lost node's replica runs elsewhere after 30 s instead of 5 min.
                  - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 30}
                  - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 30}
                topologySpreadConstraints:
                  - topologyKey: kubernetes.io/hostname
                    maxSkew: 1
                    whenUnsatisfiable: ScheduleAnyway
                    labelSelector: {matchLabels: {k8s-app: kube-dns}}
                # A port above 1024 lets it run as an ordinary user without any capability; the Service maps 53 to it.
                securityContext:
                  runAsNonRoot: true
                  runAsUser: 65532
                  runAsGroup: 65532
                  seccompProfile: {type: RuntimeDefault}
                containers:
                  - name: coredns
                    image: {{ kaas.images.coredns }}
                    imagePullPolicy: IfNotPresent
                    args: [-conf, /etc/coredns/Corefile]
                    resources:
                      requests: {cpu: 50m, memory: 70Mi}
                      limits: {memory: 170Mi}
                    ports:
                      - {name: dns, containerPort: 1053, protocol: UDP}
                      - {name: dns-tcp, containerPort: 1053, protocol: TCP}
                      - {name: metrics, containerPort: 9153, protocol: TCP}
                    startupProbe:
                      httpGet: {path: /health, port: 8080}
                      periodSeconds: 1
                      failureThreshold: 120
                    livenessProbe:
                      httpGet: {path: /health, port: 8080}
                      periodSeconds: 10
                      timeoutSeconds: 5
                      failureThreshold: 5
                    readinessProbe:
                      httpGet: {path: /ready, port: 8181}
                      periodSeconds: 2
                      timeoutSeconds: 2
                      failureThreshold: 3
                    securityContext:
                      allowPrivilegeEscalation: false
                      readOnlyRootFilesystem: true
                      capabilities: {drop: [ALL]}
                    volumeMounts:
                      - {name: config, mountPath: /etc/coredns, readOnly: true}
                volumes:
                  - name: config
                    configMap: {name: coredns}
        - apiVersion: policy/v1
          kind: PodDisruptionBudget
          metadata: {name: coredns, namespace: kube-system}
          spec:
            maxUnavailable: 1
            selector: {matchLabels: {k8s-app: kube-dns}}
        - apiVersion: v1
          kind: Service
          metadata:
            name: kube-dns
            namespace: kube-system
            labels: {k8s-app: kube-dns, kubernetes.io/cluster-service: 'true', kubernetes.io/name: CoreDNS}
          spec:
            clusterIP: {{ kaas.cluster.network.dns }}
            {%- if kaas.cluster.network.dual %}
            clusterIPs: [{{ kaas.cluster.network.dns }}, {{ kaas.cluster.network.dns6 | json }}]
            ipFamilies: [IPv4, IPv6]
            ipFamilyPolicy: PreferDualStack
            {%- endif %}
            selector: {k8s-app: kube-dns}
            ports:
              - {name: dns, port: 53, targetPort: dns, protocol: UDP}
              - {name: dns-tcp, port: 53, targetPort: dns-tcp, protocol: TCP}
              - {name: metrics, port: 9153, targetPort: metrics, protocol: TCP}
