# Traefik and the definitions of the Gateway API in one set. Its pods are as restricted as Pod Security has it; they listen on 80 and 443
# themselves, because a Gateway's listeners name the ports on which Traefik listens.
{%- set kaas = pillar.kaas %}
{%- set settings = kaas.gateway.traefik %}
{%- set rbac = 'rbac.authorization.k8s.io' %}
{%- set gateway = 'gateway.networking.k8s.io' %}
{%- set definitions = kaas.artifacts['gateway-api'] %}
{%- set balanced = 'plugin' in kaas.balancer %}
{%- set service = settings.get('service', 'LoadBalancer' if balanced else 'NodePort') %}
{%- set certificate = settings.get('certificate') %}
{%- set store = {'certFile': '/etc/traefik/dynamic/tls.crt', 'keyFile': '/etc/traefik/dynamic/tls.key'} %}
include:
  - rbac.deployed

gateway-api-installed:
  kaas_artifact.installed:
    - name: gateway-api
    - version: {{ definitions.version | json }}
    - files: {{ definitions.files | json }}
    - bin_dir: null

traefik-deployed:
  kaas_object.applied:
    - name: traefik
    - require:
        - kaas_object: rbac-deployed
        - kaas_artifact: gateway-api-installed
    - files: [/opt/kaas/gateway-api/{{ definitions.version }}/crds.yaml]
    - objects:
        - apiVersion: v1
          kind: Namespace
          metadata:
            name: traefik
            labels: {pod-security.kubernetes.io/enforce: restricted}
        - apiVersion: v1
          kind: ServiceAccount
          metadata: {name: traefik, namespace: traefik}
          automountServiceAccountToken: false
        # It leads requests of any namespace to services of any namespace and answers with their certificates, so it reads all of these.
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRole
          metadata: {name: traefik}
          rules:
            - {apiGroups: [''], resources: [services, secrets, configmaps, nodes], verbs: [get, list, watch]}
            - {apiGroups: [''], resources: [namespaces], verbs: [list, watch]}
            - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
            - {apiGroups: [networking.k8s.io], resources: [ingresses, ingressclasses], verbs: [get, list, watch]}
            - {apiGroups: [networking.k8s.io], resources: [ingresses/status], verbs: [update]}
            - apiGroups: [{{ gateway }}]
              resources: [gatewayclasses, gateways, httproutes, grpcroutes, tlsroutes, referencegrants, backendtlspolicies]
              verbs: [get, list, watch]
            - apiGroups: [{{ gateway }}]
              resources:
                - gatewayclasses/status
                - gateways/status
                - httproutes/status
                - grpcroutes/status
                - tlsroutes/status
                - backendtlspolicies/status
              verbs: [update]
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRoleBinding
          metadata: {name: traefik}
          roleRef: {apiGroup: {{ rbac }}, kind: ClusterRole, name: traefik}
          subjects:
            - {kind: ServiceAccount, name: traefik, namespace: traefik}
        - apiVersion: v1
          kind: ConfigMap
          metadata: {name: traefik, namespace: traefik}
          data:
            tls.yaml: {{ {'tls': {'stores': {'default': {'defaultCertificate': store}}} if certificate else {}} | json | json }}
        - apiVersion: apps/v1
          kind: Deployment
          metadata: {name: traefik, namespace: traefik, labels: {app: traefik}}
          spec:
            replicas: {{ settings.get('replicas', 2 if kaas.nodes | length > 1 else 1) }}
            revisionHistoryLimit: 3
            strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
            selector: {matchLabels: {app: traefik}}
            template:
              metadata: {labels: {app: traefik}}
              spec:
                serviceAccountName: traefik
                automountServiceAccountToken: true
                enableServiceLinks: false
                priorityClassName: system-cluster-critical
                # Longer than what an ending Traefik takes: 10 s in which new requests still come, 30 s for those that are under way.
                terminationGracePeriodSeconds: 60
                tolerations:
                  - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 20}
                  - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 20}
                topologySpreadConstraints:
                  - topologyKey: kubernetes.io/hostname
                    maxSkew: 1
                    whenUnsatisfiable: ScheduleAnyway
                    nodeTaintsPolicy: Honor
                    matchLabelKeys: [pod-template-hash]
                    labelSelector: {matchLabels: {app: traefik}}
                securityContext:
                  runAsNonRoot: true
                  runAsUser: 65532
                  runAsGroup: 65532
                  fsGroup: 65532
                  seccompProfile: {type: RuntimeDefault}
                  # Ports 80 and 443 of the pod without any capability.
                  sysctls:
                    - {name: net.ipv4.ip_unprivileged_port_start, value: '0'}
                containers:
                  - name: traefik
                    image: {{ kaas.images.traefik }}
                    imagePullPolicy: IfNotPresent
                    args:
                      - --global.checknewversion=false
                      - --global.sendanonymoususage=false
                      - --log.level=INFO
                      - --ping=true
                      - --ping.entrypoint=ping
                      - --entrypoints.ping.address=:8082
                      - --entrypoints.web.address=:80
                      - --entrypoints.websecure.address=:443
                      - --entrypoints.websecure.http.tls=true
{%- for name in ['ping', 'web', 'websecure'] %}
                      - --entrypoints.{{ name }}.transport.lifecycle.requestacceptgracetimeout=10s
                      - --entrypoints.{{ name }}.transport.lifecycle.gracetimeout=30s
{%- endfor %}
                      # X_Forwarded_For would be taken for X-Forwarded-For behind it: dropped, as nginx does.
                      - --entrypoints.web.http.aliasheadersstrategy=delete
                      - --entrypoints.websecure.http.aliasheadersstrategy=delete
                      - --providers.kubernetesingress=true
                      - --providers.kubernetesingress.ingressclass=traefik
                      - --providers.kubernetesingress.strictprefixmatching=true
                      - --providers.kubernetesingress.ingressendpoint.publishedservice=traefik/traefik
                      - --providers.kubernetesgateway=true
                      - --providers.kubernetesgateway.statusaddress.service.namespace=traefik
                      - --providers.kubernetesgateway.statusaddress.service.name=traefik
                      - --providers.file.directory=/etc/traefik/dynamic
                      - --providers.file.watch=true
                    ports:
                      - {name: http, containerPort: 80, protocol: TCP}
                      - {name: https, containerPort: 443, protocol: TCP}
                      - {name: ping, containerPort: 8082, protocol: TCP}
                    resources:
                      requests: {cpu: 50m, memory: 64Mi}
                      limits: {memory: 512Mi}
                    livenessProbe:
                      httpGet: {path: /ping, port: ping}
                      periodSeconds: 10
                      timeoutSeconds: 3
                    # Its answer says that it listens, not that it has read all routes: hence the delay.
                    readinessProbe:
                      httpGet: {path: /ping, port: ping}
                      initialDelaySeconds: 5
                      periodSeconds: 2
                      timeoutSeconds: 2
                      failureThreshold: 2
                    securityContext:
                      allowPrivilegeEscalation: false
                      readOnlyRootFilesystem: true
                      capabilities: {drop: [ALL]}
                    volumeMounts:
                      - {name: dynamic, mountPath: /etc/traefik/dynamic, readOnly: true}
                volumes:
                  # One folder for both: a renewed certificate changes what Traefik watches.
                  - name: dynamic
                    projected:
                      sources:
                        - configMap: {name: traefik}
{%- if certificate %}
                        - secret:
                            name: {{ certificate }}
                            optional: true
                            items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
{%- endif %}
        - apiVersion: policy/v1
          kind: PodDisruptionBudget
          metadata: {name: traefik, namespace: traefik}
          spec:
            maxUnavailable: 1
            selector: {matchLabels: {app: traefik}}
        - apiVersion: v1
          kind: Service
          metadata: {name: traefik, namespace: traefik, labels: {app: traefik}}
          spec:
            type: {{ service }}
            externalTrafficPolicy: {{ settings.external_traffic_policy }}
            selector: {app: traefik}
            ports:
{%- for name, port in [('http', 80), ('https', 443)] %}
              - name: {{ name }}
                port: {{ port }}
                targetPort: {{ name }}
                protocol: TCP
{%- if service == 'NodePort' %}
                nodePort: {{ settings.node_ports[name] }}
{%- endif %}
{%- endfor %}
        - apiVersion: networking.k8s.io/v1
          kind: IngressClass
          metadata:
            name: traefik
            annotations: {ingressclass.kubernetes.io/is-default-class: '{{ settings.default_class | lower }}'}
          spec: {controller: traefik.io/ingress-controller}
        - apiVersion: {{ gateway }}/v1
          kind: GatewayClass
          metadata: {name: traefik}
          spec: {controllerName: traefik.io/gateway-controller}
{%- if settings.gateway %}
        - apiVersion: {{ gateway }}/v1
          kind: Gateway
          metadata: {name: default, namespace: traefik}
          spec:
            gatewayClassName: traefik
            listeners:
              - name: http
                port: 80
                protocol: HTTP
                allowedRoutes: {namespaces: {from: All}}
{%- if certificate %}
              - name: https
                port: 443
                protocol: HTTPS
                tls: {mode: Terminate, certificateRefs: [{kind: Secret, name: {{ certificate }}}]}
                allowedRoutes: {namespaces: {from: All}}
{%- endif %}
{%- endif %}
