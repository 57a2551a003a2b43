# What the users and groups of the cluster file may do. A set of its own and late in the run: a binding may be in a namespace that
# an add-on makes, and one that cannot be made must hold up nothing else.
{%- set rbac = 'rbac.authorization.k8s.io' %}
include:
  - rbac.deployed

bindings-deployed:
{%- if not pillar.kaas.rbac.bindings %}
  kaas_object.absent:
    - name: bindings
    - require:
        - kaas_object: rbac-deployed
{%- else %}
  kaas_object.applied:
    - name: bindings
    - require:
        - kaas_object: rbac-deployed
    - objects:
{%- for binding in pillar.kaas.rbac.bindings %}
        - apiVersion: {{ rbac }}/v1
{%- if 'namespace' in binding %}
          kind: RoleBinding
          metadata: {name: {{ ('kaas:' ~ binding.name) | json }}, namespace: {{ binding.namespace | json }}}
{%- else %}
          kind: ClusterRoleBinding
          metadata: {name: {{ ('kaas:' ~ binding.name) | json }}}
{%- endif %}
          roleRef: {apiGroup: {{ rbac }}, kind: ClusterRole, name: {{ binding.cluster_role | json }}}
          subjects:
{%- for user in binding.get('users', []) %}
            - {apiGroup: {{ rbac }}, kind: User, name: {{ user | json }}}
{%- endfor %}
{%- for group in binding.get('groups', []) %}
            - {apiGroup: {{ rbac }}, kind: Group, name: {{ group | json }}}
{%- endfor %}
{%- endfor %}
{%- endif %}
