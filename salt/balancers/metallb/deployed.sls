# MetalLB without FRR. Its webhooks are off: what they would check is checked in the cluster file already, and the certificate they
# need costs the first start of the controller about a minute.
{%- set kaas = pillar.kaas %}
{%- set settings = kaas.balancer.metallb %}
{%- set definitions = kaas.artifacts.metallb %}
{%- set rbac = 'rbac.authorization.k8s.io' %}
{%- set space = 'metallb-system' %}
{%- set selectors = [{'matchLabels': settings.nodes}] if settings.nodes else [] %}
{%- set pools = {'l2': [], 'bgp': []} %}
{%- for pool in settings.pools %}
{%- do pools[pool.get('mode', 'l2')].append(pool.name) %}
{%- endfor %}
include:
  - rbac.deployed

metallb-installed:
  kaas_artifact.installed:
    - name: metallb
    - version: {{ definitions.version | json }}
    - files: {{ definitions.files | json }}
    - bin_dir: null

metallb-deployed:
  kaas_object.applied:
    - name: metallb
    - require:
        - kaas_object: rbac-deployed
        - kaas_artifact: metallb-installed
    - files: [/opt/kaas/metallb/{{ definitions.version }}/crds.yaml]
    - objects:
        - apiVersion: v1
          kind: Namespace
          metadata:
            name: {{ space }}
            # The speaker sends ARP on the node's own network.
            labels:
              pod-security.kubernetes.io/enforce: privileged
              pod-security.kubernetes.io/audit: privileged
              pod-security.kubernetes.io/warn: privileged
{%- for name in ('controller', 'speaker') %}
        - apiVersion: v1
          kind: ServiceAccount
          metadata: {name: {{ name }}, namespace: {{ space }}}
          automountServiceAccountToken: false
{%- endfor %}
        # The controller gives addresses: it writes the status of services, and nothing else of them.
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRole
          metadata: {name: 'metallb:controller'}
          rules:
            - {apiGroups: [''], resources: [services, namespaces], verbs: [get, list, watch]}
            - {apiGroups: [''], resources: [services/status], verbs: [update]}
            - {apiGroups: [''], resources: [events], verbs: [create, patch]}
        - apiVersion: {{ rbac }}/v1
          kind: Role
          metadata: {name: controller, namespace: {{ space }}}
          rules:
            - {apiGroups: [metallb.io], resources: [ipaddresspools, communities], verbs: [get, list, watch]}
            - {apiGroups: [metallb.io], resources: [ipaddresspools/status], verbs: [update]}
            # It makes the key with which the speakers talk to each other, once.
            - {apiGroups: [''], resources: [secrets], verbs: [create]}
            - {apiGroups: [''], resources: [secrets], resourceNames: [memberlist], verbs: [list]}
            - {apiGroups: [apps], resources: [deployments], resourceNames: [controller], verbs: [get]}
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRole
          metadata: {name: 'metallb:speaker'}
          rules:
            - {apiGroups: [''], resources: [services, nodes, namespaces], verbs: [get, list, watch]}
            - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}
            - {apiGroups: [''], resources: [events], verbs: [create, patch]}
            # Its reports of who announces what; the watch is over all namespaces.
            - {apiGroups: [metallb.io], resources: [servicel2statuses, servicebgpstatuses], verbs: [get, list, watch]}
        - apiVersion: {{ rbac }}/v1
          kind: Role
          metadata: {name: speaker, namespace: {{ space }}}
          rules:
            - apiGroups: [metallb.io]
              resources: [bfdprofiles, bgpadvertisements, bgppeers, communities, ipaddresspools, l2advertisements]
              verbs: [get, list, watch]
            - {apiGroups: [metallb.io], resources: [servicel2statuses, servicebgpstatuses], verbs: [create, update, patch, delete]}
            - {apiGroups: [metallb.io], resources: [servicel2statuses/status, servicebgpstatuses/status], verbs: [update, patch]}
            - {apiGroups: [''], resources: [pods], verbs: [get, list]}
            # Passwords of BGP sessions lie in Secrets of this namespace.
            - {apiGroups: [''], resources: [secrets, configmaps], verbs: [get, list, watch]}
{%- for name in ('controller', 'speaker') %}
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRoleBinding
          metadata: {name: 'metallb:{{ name }}'}
          roleRef: {apiGroup: {{ rbac }}, kind: ClusterRole, name: 'metallb:{{ name }}'}
          subjects:
            - {kind: ServiceAccount, name: {{ name }}, namespace: {{ space }}}
        - apiVersion: {{ rbac }}/v1
          kind: RoleBinding
          metadata: {name: {{ name }}, namespace: {{ space }}}
          roleRef: {apiGroup: {{ rbac }}, kind: Role, name: {{ name }}}
          subjects:
            - {kind: ServiceAccount, name: {{ name }}, namespace: {{ space }}}
{%- endfor %}
        - apiVersion: v1
          kind: ConfigMap
          metadata: {name: excluded-interfaces, namespace: {{ space }}}
          data:
            # Links of pods and of networks among them: nobody outside asks there.
            excludel2.yaml: |
              announcedInterfacesToExclude:
                ["^lo$", "^veth", "^cni", "^flannel", "^cali", "^tunl", "^vxlan", "^cilium", "^lxc", "^kube-", "^docker", "^dummy", "^wg"]
        - apiVersion: apps/v1
          kind: Deployment
          metadata: {name: controller, namespace: {{ space }}, labels: {app: metallb, component: controller}}
          spec:
            # It has no leader election: never two at a time.
            replicas: 1
            strategy: {type: Recreate}
            selector: {matchLabels: {app: metallb, component: controller}}
            template:
              metadata: {labels: {app: metallb, component: controller}}
              spec:
                serviceAccountName: controller
                automountServiceAccountToken: true
                priorityClassName: system-cluster-critical
                nodeSelector: {kubernetes.io/os: linux}
                terminationGracePeriodSeconds: 0
                tolerations:
                  - {key: node-role.kubernetes.io/control-plane, effect: NoSchedule}
                  - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 30}
                  - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 30}
                securityContext:
                  runAsNonRoot: true
                  runAsUser: 65534
                  runAsGroup: 65534
                  seccompProfile: {type: RuntimeDefault}
                containers:
                  - name: controller
                    image: {{ kaas.images['metallb-controller'] }}
                    imagePullPolicy: IfNotPresent
                    args: [--port=7472, --log-level=info, --webhook-mode=disabled, --ml-secret-name=memberlist, --deployment=controller]
                    env:
                      - {name: METALLB_NAMESPACE, value: {{ space }}}
                    resources:
                      requests: {cpu: 10m, memory: 40Mi}
                      limits: {memory: 200Mi}
                    ports:
                      - {name: monitoring, containerPort: 7472, protocol: TCP}
                    readinessProbe:
                      httpGet: {path: /metrics, port: 7472}
                      periodSeconds: 2
                      failureThreshold: 3
                    livenessProbe:
                      httpGet: {path: /metrics, port: 7472}
                      initialDelaySeconds: 20
                      periodSeconds: 10
                      failureThreshold: 3
                    securityContext:
                      allowPrivilegeEscalation: false
                      readOnlyRootFilesystem: true
                      capabilities: {drop: [ALL]}
        - apiVersion: apps/v1
          kind: DaemonSet
          metadata: {name: speaker, namespace: {{ space }}, labels: {app: metallb, component: speaker}}
          spec:
            updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 1}}
            selector: {matchLabels: {app: metallb, component: speaker}}
            template:
              metadata: {labels: {app: metallb, component: speaker}}
              spec:
                serviceAccountName: speaker
                automountServiceAccountToken: true
                priorityClassName: system-node-critical
                hostNetwork: true
                nodeSelector: {kubernetes.io/os: linux}
                terminationGracePeriodSeconds: 2
                tolerations:
                  - {key: node-role.kubernetes.io/control-plane, effect: NoSchedule}
                securityContext:
                  seccompProfile: {type: RuntimeDefault}
                containers:
                  - name: speaker
                    image: {{ kaas.images['metallb-speaker'] }}
                    imagePullPolicy: IfNotPresent
                    args:
                      - --port=7472
                      # What it measures is for this machine alone.
                      - --host=127.0.0.1
                      - --log-level=info
                      # The speakers watch each other, so that an address moves seconds after its node is lost.
                      - --ml-labels=app=metallb,component=speaker
                      - --ml-secret-key-path=/etc/memberlist
                    env:
                      - {name: METALLB_NAMESPACE, value: {{ space }}}
                      - {name: METALLB_NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
                      - {name: METALLB_POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
                      - {name: METALLB_ML_BIND_ADDR, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
                    resources:
                      requests: {cpu: 10m, memory: 40Mi}
                      limits: {memory: 200Mi}
                    readinessProbe:
                      httpGet: {host: 127.0.0.1, path: /metrics, port: 7472}
                      periodSeconds: 2
                      failureThreshold: 3
                    livenessProbe:
                      httpGet: {host: 127.0.0.1, path: /metrics, port: 7472}
                      initialDelaySeconds: 20
                      periodSeconds: 10
                      failureThreshold: 3
                    securityContext:
                      allowPrivilegeEscalation: false
                      readOnlyRootFilesystem: true
                      capabilities: {drop: [ALL], add: [NET_RAW]}
                    volumeMounts:
                      - {name: memberlist, mountPath: /etc/memberlist, readOnly: true}
                      - {name: excluded-interfaces, mountPath: /etc/metallb, readOnly: true}
                volumes:
                  # The controller makes it at its first start.
                  - {name: memberlist, secret: {secretName: memberlist, defaultMode: 0400}}
                  - {name: excluded-interfaces, configMap: {name: excluded-interfaces}}
{%- for pool in settings.pools %}
        - apiVersion: metallb.io/v1beta1
          kind: IPAddressPool
          metadata: {name: {{ pool.name | json }}, namespace: {{ space }}}
          spec:
            addresses: {{ pool.addresses | json }}
            autoAssign: {{ pool.get('auto_assign', True) | json }}
{%- endfor %}
{%- if pools.l2 %}
        - apiVersion: metallb.io/v1beta1
          kind: L2Advertisement
          metadata: {name: l2, namespace: {{ space }}}
          spec: {ipAddressPools: {{ pools.l2 | json }}, nodeSelectors: {{ selectors | json }}}
{%- endif %}
{%- if pools.bgp %}
        - apiVersion: metallb.io/v1beta1
          kind: BGPAdvertisement
          metadata: {name: bgp, namespace: {{ space }}}
          spec: {ipAddressPools: {{ pools.bgp | json }}, nodeSelectors: {{ selectors | json }}}
{%- endif %}
{%- for peer in settings.peers %}
        - apiVersion: metallb.io/v1beta2
          kind: BGPPeer
          metadata: {name: 'peer-{{ loop.index }}', namespace: {{ space }}}
          spec:
            peerAddress: {{ peer.address | json }}
            peerASN: {{ peer.asn }}
            myASN: {{ peer.my_asn }}
            peerPort: {{ peer.get('port', 179) }}
            ebgpMultiHop: {{ peer.get('multihop', False) | json }}
            nodeSelectors: {{ selectors | json }}
{%- if 'password_secret' in peer %}
            passwordSecret: {name: {{ peer.password_secret | json }}}
{%- endif %}
{%- endfor %}
