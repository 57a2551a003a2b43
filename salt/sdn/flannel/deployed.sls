# Every flanneld may look at all nodes (group `flannel`), but write the lease of its own node only (user `flannel:NODE`).
{%- set rbac = 'rbac.authorization.k8s.io' %}
include:
  - rbac.deployed

flannel-deployed:
  kaas_object.applied:
    - name: flannel
    - require:
        - kaas_object: rbac-deployed
    - objects:
{%- for name in pillar.kaas.nodes %}
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRole
          metadata: {name: 'flannel:{{ name }}'}
          rules:
            - {apiGroups: [''], resources: [nodes/status], resourceNames: [{{ name | json }}], verbs: [patch]}
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRoleBinding
          metadata: {name: 'flannel:{{ name }}'}
          roleRef: {apiGroup: {{ rbac }}, kind: ClusterRole, name: 'flannel:{{ name }}'}
          subjects:
            - {apiGroup: {{ rbac }}, kind: User, name: 'flannel:{{ name }}'}
{%- endfor %}
        # Last, because the first start of a flanneld waits until it may list nodes: by then all rights are there.
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRole
          metadata: {name: flannel}
          rules:
            - {apiGroups: [''], resources: [pods], verbs: [get]}
            - {apiGroups: [''], resources: [nodes], verbs: [get, list, watch]}
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRoleBinding
          metadata: {name: flannel}
          roleRef: {apiGroup: {{ rbac }}, kind: ClusterRole, name: flannel}
          subjects:
            - {apiGroup: {{ rbac }}, kind: Group, name: flannel}
