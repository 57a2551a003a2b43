# Labels and taints of the Node objects. A kubelet may not give itself a node-role label (NodeRestriction), and it sets
# taints only when it registers; so the deployer keeps both as the pillar says.
include:
  - kubelet.running

nodes-deployed:
  kaas_object.node_labels:
    - nodes: {{ pillar.kaas.nodes | json }}
    - timeout: 300
    # The other nodes come when they come; without a kubelet here there is nothing to wait for.
    - require:
        - kaas_service: kubelet.service

# Pods are not moved once they are placed: where only the first node is ready, all would land there. A node that is
# down for good must not hold up the others, so this wait only delays.
nodes-ready:
  kaas_object.ready:
    - wait:
{%- for name in pillar.kaas.nodes %}
        - {kind: Node, name: {{ name | json }}, condition: Ready}
{%- endfor %}
    - timeout: 30
    - optional: True
    - require:
        - kaas_object: nodes-deployed
