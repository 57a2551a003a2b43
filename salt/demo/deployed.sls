# A front end that people reach on port 30080 of every node, and a back end that it finds by the name `backend`.
{%- set kaas = pillar.kaas %}
{%- set greeting = 'Hello from ' ~ kaas.cluster.name %}
{%- set families %}
            {%- if kaas.cluster.network.dual %}
            ipFamilyPolicy: PreferDualStack
            {%- endif %}
{%- endset %}
{%- macro pod(role, cpu) %}
            revisionHistoryLimit: 3
            # A new pod serves before an old one leaves; an old one drains for 5 s (see demo/main.go).
            strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
            selector: {matchLabels: {app: {{ role }}}}
            template:
              metadata:
                labels: {app: {{ role }}}
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
                    labelSelector: {matchLabels: {app: {{ role }}}}
                securityContext:
                  runAsNonRoot: true
                  runAsUser: 65532
                  runAsGroup: 65532
                  seccompProfile: {type: RuntimeDefault}
                containers:
                  - name: {{ role }}
                    image: {{ kaas.images.demo }}
                    imagePullPolicy: IfNotPresent
                    args: [{{ role }}]
                    env:
                      - name: POD
                        valueFrom: {fieldRef: {fieldPath: metadata.name}}
                      - name: NODE
                        valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
                      - name: GREETING
                        valueFrom: {configMapKeyRef: {name: demo, key: greeting}}
                    ports:
                      - {name: http, containerPort: 8080, protocol: TCP}
                    resources:
                      requests: {cpu: {{ cpu }}, memory: 16Mi}
                      limits: {memory: 64Mi}
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
{%- endmacro %}
include:
  - rbac.deployed

demo-deployed:
  kaas_object.applied:
    - name: demo
    - require:
        - kaas_object: rbac-deployed
    - objects:
        - apiVersion: v1
          kind: Namespace
          metadata:
            name: demo
            labels: {pod-security.kubernetes.io/enforce: restricted}
        - apiVersion: v1
          kind: ConfigMap
          metadata: {name: demo, namespace: demo}
          data: {greeting: {{ greeting | json }}}
        - apiVersion: apps/v1
          kind: Deployment
          metadata: {name: backend, namespace: demo, labels: {app: backend}}
          spec:
            replicas: 2
            {{- pod('backend', '10m') }}
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
        - apiVersion: apps/v1
          kind: Deployment
          metadata: {name: frontend, namespace: demo, labels: {app: frontend}}
          spec:
            {{- pod('frontend', '50m') }}
        - apiVersion: v1
          kind: Service
          metadata: {name: frontend, namespace: demo, labels: {app: frontend}}
          spec:
            type: NodePort
            {{- families }}
            selector: {app: frontend}
            ports:
              - {name: http, port: 80, targetPort: http, nodePort: 30080, protocol: TCP}
        - apiVersion: policy/v1
          kind: PodDisruptionBudget
          metadata: {name: frontend, namespace: demo}
          spec:
            minAvailable: 2
            selector: {matchLabels: {app: frontend}}
        - apiVersion: autoscaling/v2
          kind: HorizontalPodAutoscaler
          metadata: {name: frontend, namespace: demo}
          spec:
            scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: frontend}
            minReplicas: 3
            maxReplicas: 6
            metrics:
              - type: Resource
                resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
            behavior:
              scaleUp: {stabilizationWindowSeconds: 0}
              scaleDown: {stabilizationWindowSeconds: 60}
    # The autoscaler owns the number of replicas; only a new Deployment starts with it.
    - initial:
        - apiVersion: apps/v1
          kind: Deployment
          metadata: {name: frontend, namespace: demo}
          spec: {replicas: 3}
