# Load balancers may look at Services, and write nothing: the deployer, which may anyway, writes their address into the status.
# Last of all: once they have the right, they take the Services as they are, and by then all that this run makes are there.
{%- set kaas = pillar.kaas %}
{%- set rbac = 'rbac.authorization.k8s.io' %}
haproxy-deployed:
  kaas_object.applied:
    - name: haproxy
    - order: last
    - objects:
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRole
          metadata: {name: haproxy}
          rules:
            - {apiGroups: [''], resources: [services], verbs: [list]}
        - apiVersion: {{ rbac }}/v1
          kind: ClusterRoleBinding
          metadata: {name: haproxy}
          roleRef: {apiGroup: {{ rbac }}, kind: ClusterRole, name: haproxy}
          subjects:
            - {kind: Group, name: haproxy}

haproxy-published:
  kaas_balancer.published:
    - name: haproxy
    - order: last
    - address: {{ kaas.balancer.haproxy.address }}
    - reserved: {{ kaas.balancer.haproxy.reserved | json }}
    - require:
      - kaas_object: haproxy-deployed
