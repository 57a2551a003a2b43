{%- set rbac = 'rbac.authorization.k8s.io' %}
include:
  - rbac.deployed

metrics-server-deployed:
  kaas_object.applied:
    - name: metrics-server
    - require:
        - kaas_object: rbac-deployed
    - objects:
        - apiVersion: v1
          kind: ServiceAccount
          metadata: {name: metrics-server, namespace: kube-system}
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRole
          metadata: {name: 'system:metrics-server'}
          rules:
            - {apiGroups: [''], resources: [nodes/metrics], verbs: [get]}
            - {apiGroups: [''], resources: [pods, nodes], verbs: [get, list, watch]}
        # Whoever may view a namespace may also see what its pods use.
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRole
          metadata:
            name: 'system:aggregated-metrics-reader'
            labels:
              rbac.authorization.k8s.io/aggregate-to-view: 'true'
              rbac.authorization.k8s.io/aggregate-to-edit: 'true'
              rbac.authorization.k8s.io/aggregate-to-admin: 'true'
          rules:
            - {apiGroups: [metrics.k8s.io], resources: [pods, nodes], verbs: [get, list, watch]}
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRoleBinding
          metadata: {name: 'system:metrics-server'}
          roleRef: {apiGroup: {{ rbac }}, kind: ClusterRole, name: 'system:metrics-server'}
          subjects:
            - {kind: ServiceAccount, name: metrics-server, namespace: kube-system}
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRoleBinding
          metadata: {name: 'metrics-server:system:auth-delegator'}
          roleRef: {apiGroup: {{ rbac }}, kind: ClusterRole, name: 'system:auth-delegator'}
          subjects:
            - {kind: ServiceAccount, name: metrics-server, namespace: kube-system}
        - apiVersion: {{ rbac }}/v1
          kind: RoleBinding
          metadata: {name: metrics-server-auth-reader, namespace: kube-system}
          roleRef: {apiGroup: {{ rbac }}, kind: Role, name: extension-apiserver-authentication-reader}
          subjects:
            - {kind: ServiceAccount, name: metrics-server, namespace: kube-system}
        - apiVersion: apps/v1
          kind: Deployment
          metadata:
            name: metrics-server
            namespace: kube-system
            labels: {k8s-app: metrics-server}
          spec:
            replicas: 1
            strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
            selector: {matchLabels: {k8s-app: metrics-server}}
            template:
              metadata: {labels: {k8s-app: metrics-server}}
              spec:
                serviceAccountName: metrics-server
                priorityClassName: system-cluster-critical
                nodeSelector: {kubernetes.io/os: linux}
                tolerations:
                  - {key: CriticalAddonsOnly, operator: Exists}
                  - {key: node-role.kubernetes.io/control-plane, effect: NoSchedule}
                  - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 30}
                  - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 30}
                securityContext:
                  runAsNonRoot: true
                  runAsUser: 65532
                  runAsGroup: 65532
                  seccompProfile: {type: RuntimeDefault}
                containers:
                  - name: metrics-server
                    image: {{ pillar.kaas.images['metrics-server'] }}
                    imagePullPolicy: IfNotPresent
                    args:
                      - --cert-dir=/tmp
                      - --secure-port=10250
                      - --kubelet-preferred-address-types=InternalIP
                      - --kubelet-use-node-status-port
                      # Must be longer than its 10 s time-out for a kubelet.
                      - --metric-resolution=15s
                      # The kubelets' serving certificates come from the cluster's CA, which every pod has here.
                      - --kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt
                    resources:
                      requests: {cpu: 50m, memory: 60Mi}
                      limits: {memory: 200Mi}
                    ports:
                      - {name: https, containerPort: 10250, protocol: TCP}
                    livenessProbe:
                      httpGet: {path: /livez, port: https, scheme: HTTPS}
                      periodSeconds: 10
                      failureThreshold: 3
                      initialDelaySeconds: 20
                    readinessProbe:
                      httpGet: {path: /readyz, port: https, scheme: HTTPS}
                      periodSeconds: 2
                      failureThreshold: 3
                    securityContext:
                      allowPrivilegeEscalation: false
                      readOnlyRootFilesystem: true
                      capabilities: {drop: [ALL]}
                    volumeMounts:
                      - {name: tmp, mountPath: /tmp}
                volumes:
                  - name: tmp
                    emptyDir: {}
        - apiVersion: v1
          kind: Service
          metadata: {name: metrics-server, namespace: kube-system, labels: {k8s-app: metrics-server}}
          spec:
            selector: {k8s-app: metrics-server}
            ports:
              - {name: https, port: 443, targetPort: https, protocol: TCP}
        # It makes its serving certificate itself at each start, so the API server has nothing to check it with. The
        # way there is the cluster's own network; metrics-server does verify the API server (front-proxy certificate).
        - apiVersion: apiregistration.k8s.io/v1
          kind: APIService
          metadata: {name: v1beta1.metrics.k8s.io, labels: {k8s-app: metrics-server}}
          spec:
            group: metrics.k8s.io
            version: v1beta1
            groupPriorityMinimum: 100
            versionPriority: 100
            insecureSkipTLSVerify: true
            service: {name: metrics-server, namespace: kube-system}
