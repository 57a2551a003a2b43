# This node's keys and certificates, and the authorities' certificates that it held. Whole folders: the pillar of a node that has left the
# cluster file lists none.
{% for path in ['/etc/kubernetes/pki', '/var/lib/kubelet/pki'] %}
{{ path }}:
  file.absent
{% endfor %}
