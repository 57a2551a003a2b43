# A guestbook: front ends that people reach on port 30080 of every node, a back end that they find by the name `backend`, and a
# database that it finds by the name `database` (docs/demo.md). Of the two front ends, blue and green, one is live.
{%- set kaas = pillar.kaas %}
{%- set greeting = 'Hello from ' ~ kaas.cluster.name %}
{%- set families %}
            {%- if kaas.cluster.network.dual %}
            ipFamilyPolicy: PreferDualStack
            {%- endif %}
{%- endset %}
{%- set fronts = {'blue': 'frontend', 'green': 'frontend-green'} %}
{%- set live = fronts[kaas.demo.live] %}
{%- set idle = fronts['green' if kaas.demo.live == 'blue' else 'blue'] %}
{%- set config = {
  'greeting': greeting,
  'redis.conf': 'dir /data\nappendonly yes\nappendfsync always\nsave ""\nmaxmemory 48mb\nmaxmemory-policy noeviction\ninclude /secret/auth.conf\n',
} %}
{#- Made once, with the Secret; what is made in later runs goes nowhere (see `initial`). #}
{%- set password = salt['random.get_str'](40, punctuation=False, printable=False, whitespace=False) %}
{%- macro pod(name, role, image, cpu) %}
            revisionHistoryLimit: 3
            # A new pod serves before an old one leaves; an old one drains for 5 s (see demo/main.go).
            strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
            selector: {matchLabels: {app: {{ name }}}}
            template:
              metadata:
                labels: {app: {{ name }}, part: {{ role }}}
                # What the environment takes from the ConfigMap is read once: a change of it makes new pods.
                annotations: {demo.kaas.local/config: {{ greeting | sha256 }}}
              spec:
                automountServiceAccountToken: false
                enableServiceLinks: false
                terminationGracePeriodSeconds: 20
                tolerations:
                  - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 20}
                  - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 20}
                topologySpreadConstraints:
                  - topologyKey: kubernetes.io/hostname
                    maxSkew: 1
                    whenUnsatisfiable: ScheduleAnyway
                    nodeTaintsPolicy: Honor
                    matchLabelKeys: [pod-template-hash]
                    labelSelector: {matchLabels: {app: {{ name }}}}
                securityContext:
                  runAsNonRoot: true
                  runAsUser: 65532
                  runAsGroup: 65532
                  seccompProfile: {type: RuntimeDefault}
                containers:
                  - name: {{ role }}
                    image: {{ image }}
                    imagePullPolicy: IfNotPresent
                    args: [{{ role }}]
                    ports:
                      - {name: http, containerPort: 8080, protocol: TCP}
                    resources:
                      # /memory holds up to 64 MiB beside what the program needs itself
                      requests: {cpu: {{ cpu }}, memory: 24Mi}
                      limits: {memory: 128Mi}
                    livenessProbe:
                      httpGet: {path: /healthz, port: http}
                      periodSeconds: 10
                      timeoutSeconds: 3
                    readinessProbe:
                      httpGet: {path: /readyz, port: http}
                      periodSeconds: 2
                      timeoutSeconds: 2
                      failureThreshold: 2
                    securityContext:
                      allowPrivilegeEscalation: false
                      readOnlyRootFilesystem: true
                      capabilities: {drop: [ALL]}
                    env:
                      - name: POD
                        valueFrom: {fieldRef: {fieldPath: metadata.name}}
                      - name: NODE
                        valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
                      - name: GREETING
                        valueFrom: {configMapKeyRef: {name: demo, key: greeting}}
{%- endmacro %}
include:
  - rbac.deployed
{%- if kaas.demo.node == kaas.node.name %}
  - demo.configured
{%- endif %}

demo-deployed:
  kaas_object.applied:
    - name: demo
    - require:
        - kaas_object: rbac-deployed
{%- if kaas.demo.node == kaas.node.name %}
        - file: /var/lib/kaas/demo
{%- endif %}
    - objects:
        - apiVersion: v1
          kind: Namespace
          metadata:
            name: demo
            labels: {pod-security.kubernetes.io/enforce: restricted}
        - apiVersion: v1
          kind: ConfigMap
          metadata: {name: demo, namespace: demo}
          data: {{ config | json }}
        # Its password stands under `initial`.
        - apiVersion: v1
          kind: Secret
          metadata: {name: database, namespace: demo}
          type: Opaque

        # -- database
        - apiVersion: storage.k8s.io/v1
          kind: StorageClass
          metadata: {name: demo-local}
          provisioner: kubernetes.io/no-provisioner
          volumeBindingMode: WaitForFirstConsumer
        # On the disk of one worker (demo/configured.sls makes the folder), kept for this one claim.
        - apiVersion: v1
          kind: PersistentVolume
          metadata: {name: demo-database}
          spec:
            capacity: {storage: 1Gi}
            accessModes: [ReadWriteOnce]
            persistentVolumeReclaimPolicy: Retain
            storageClassName: demo-local
            volumeMode: Filesystem
            local: {path: /var/lib/kaas/demo}
            claimRef: {apiVersion: v1, kind: PersistentVolumeClaim, namespace: demo, name: data-database-0}
            nodeAffinity:
              required:
                nodeSelectorTerms:
                  - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [{{ kaas.demo.node }}]}]
        - apiVersion: v1
          kind: Service
          metadata: {name: database, namespace: demo, labels: {app: database}}
          spec:
            type: ClusterIP
            selector: {app: database}
            ports:
              - {name: redis, port: 6379, targetPort: redis, protocol: TCP}
        - apiVersion: apps/v1
          kind: StatefulSet
          metadata: {name: database, namespace: demo, labels: {app: database}}
          spec:
            replicas: 1
            serviceName: database
            revisionHistoryLimit: 3
            selector: {matchLabels: {app: database}}
            template:
              metadata:
                labels: {app: database, part: database}
                annotations: {demo.kaas.local/config: {{ config['redis.conf'] | sha256 }}}
              spec:
                automountServiceAccountToken: false
                enableServiceLinks: false
                terminationGracePeriodSeconds: 10
                # It can run nowhere else than beside its data: it stays where it is until its node is back.
                tolerations:
                  - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute}
                  - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute}
                securityContext:
                  runAsNonRoot: true
                  runAsUser: 65532
                  runAsGroup: 65532
                  seccompProfile: {type: RuntimeDefault}
                containers:
                  - name: redis
                    image: {{ kaas.images.redis }}
                    imagePullPolicy: IfNotPresent
                    args: [/config/redis.conf]
                    ports:
                      - {name: redis, containerPort: 6379, protocol: TCP}
                    resources:
                      requests: {cpu: 10m, memory: 16Mi}
                      limits: {memory: 128Mi}
                    livenessProbe:
                      tcpSocket: {port: redis}
                      periodSeconds: 10
                      timeoutSeconds: 3
                    readinessProbe:
                      tcpSocket: {port: redis}
                      periodSeconds: 1
                      timeoutSeconds: 2
                    securityContext:
                      allowPrivilegeEscalation: false
                      readOnlyRootFilesystem: true
                      capabilities: {drop: [ALL]}
                    volumeMounts:
                      - {name: data, mountPath: /data}
                      - {name: config, mountPath: /config, readOnly: true}
                      - {name: secret, mountPath: /secret, readOnly: true}
                volumes:
                  - name: config
                    configMap: {name: demo, items: [{key: redis.conf, path: redis.conf}]}
                  - name: secret
                    secret: {secretName: database, items: [{key: auth.conf, path: auth.conf}]}
            volumeClaimTemplates:
              - metadata: {name: data}
                spec:
                  accessModes: [ReadWriteOnce]
                  storageClassName: demo-local
                  resources: {requests: {storage: 1Gi}}

        # -- back end
        - apiVersion: apps/v1
          kind: Deployment
          metadata: {name: backend, namespace: demo, labels: {app: backend}}
          spec:
            replicas: 2
            {{- pod('backend', 'backend', kaas.images.demo, '10m') }}
                      - {name: DATABASE, value: 'database:6379'}
                      - {name: PASSWORD_FILE, value: /secret/password}
                    volumeMounts:
                      - {name: secret, mountPath: /secret, readOnly: true}
                volumes:
                  - name: secret
                    secret: {secretName: database, items: [{key: password, path: password}]}
        - apiVersion: v1
          kind: Service
          metadata: {name: backend, namespace: demo, labels: {app: backend}}
          spec:
            type: ClusterIP
            {{- families }}
            selector: {app: backend}
            ports:
              - {name: http, port: 80, targetPort: http, protocol: TCP}
        - apiVersion: policy/v1
          kind: PodDisruptionBudget
          metadata: {name: backend, namespace: demo}
          spec:
            minAvailable: 1
            selector: {matchLabels: {app: backend}}

        # -- front ends
{%- for colour, name in fronts.items() %}
        - apiVersion: apps/v1
          kind: Deployment
          metadata: {name: {{ name }}, namespace: demo, labels: {app: {{ name }}}}
          spec:
            {{- pod(name, 'frontend', kaas.images['demo' if colour == 'blue' else 'demo-next'], '50m') }}
                      - {name: COLOUR, value: {{ colour }}}
        - apiVersion: policy/v1
          kind: PodDisruptionBudget
          metadata: {name: {{ name }}, namespace: demo}
          spec:
            minAvailable: 1
            selector: {matchLabels: {app: {{ name }}}}
        - apiVersion: autoscaling/v2
          kind: HorizontalPodAutoscaler
          metadata: {name: {{ name }}, namespace: demo}
          spec:
            scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ name }}}
            minReplicas: 2
            maxReplicas: 6
            metrics:
              - type: Resource
                resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
              - type: Resource
                resource: {name: memory, target: {type: AverageValue, averageValue: 48Mi}}
            behavior:
              scaleUp: {stabilizationWindowSeconds: 0}
              scaleDown: {stabilizationWindowSeconds: 60}
{%- endfor %}
        # Whichever of the two is live. A change of the selector is the switch: new connections go to the other one at once.
        - apiVersion: v1
          kind: Service
          metadata: {name: frontend, namespace: demo, labels: {app: frontend}}
          spec:
            type: {{ 'LoadBalancer' if kaas.balancer.plugin is defined else 'NodePort' }}
            {{- families }}
            selector: {app: {{ live }}}
            ports:
              - {name: http, port: 80, targetPort: http, nodePort: 30080, protocol: TCP}
        # The other one, to look at it before people do; from inside the cluster only.
        - apiVersion: v1
          kind: Service
          metadata: {name: frontend-preview, namespace: demo, labels: {app: frontend}}
          spec:
            type: ClusterIP
            selector: {app: {{ idle }}}
            ports:
              - {name: http, port: 80, targetPort: http, protocol: TCP}

        # -- who may talk to whom, where the network enforces it: people -> front ends -> back end -> database, and all ask DNS
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: default-deny, namespace: demo}
          spec:
            podSelector: {}
            policyTypes: [Ingress, Egress]
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: dns, namespace: demo}
          spec:
            podSelector: {matchExpressions: [{key: part, operator: In, values: [frontend, backend]}]}
            policyTypes: [Egress]
            egress:
              - to:
                  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
                    podSelector: {matchLabels: {k8s-app: kube-dns}}
                # 1053 is where CoreDNS listens in its pod
                ports:
                  - {port: 53, protocol: UDP}
                  - {port: 53, protocol: TCP}
                  - {port: 1053, protocol: UDP}
                  - {port: 1053, protocol: TCP}
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: frontend, namespace: demo}
          spec:
            podSelector: {matchLabels: {part: frontend}}
            policyTypes: [Ingress, Egress]
            ingress:
              - ports: [{port: 8080, protocol: TCP}]
            egress:
              - to: [{podSelector: {matchLabels: {part: backend}}}]
                ports: [{port: 8080, protocol: TCP}]
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: backend, namespace: demo}
          spec:
            podSelector: {matchLabels: {part: backend}}
            policyTypes: [Ingress, Egress]
            ingress:
              - from: [{podSelector: {matchLabels: {part: frontend}}}]
                ports: [{port: 8080, protocol: TCP}]
            egress:
              - to: [{podSelector: {matchLabels: {part: database}}}]
                ports: [{port: 6379, protocol: TCP}]
        - apiVersion: networking.k8s.io/v1
          kind: NetworkPolicy
          metadata: {name: database, namespace: demo}
          spec:
            podSelector: {matchLabels: {part: database}}
            policyTypes: [Ingress]
            ingress:
              - from: [{podSelector: {matchLabels: {part: backend}}}]
                ports: [{port: 6379, protocol: TCP}]
    # What others own from then on: the autoscaler the number of front ends, the cluster the password. Only new objects get it.
    - initial:
{%- for name in fronts.values() %}
        - apiVersion: apps/v1
          kind: Deployment
          metadata: {name: {{ name }}, namespace: demo}
          spec: {replicas: 2}
{%- endfor %}
        - apiVersion: v1
          kind: Secret
          metadata: {name: database, namespace: demo}
          stringData:
            password: {{ password }}
            auth.conf: requirepass {{ password }}
