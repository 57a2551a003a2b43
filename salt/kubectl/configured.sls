# Root's tools on a master: kubectl, and kubeadm's two administrators. super-admin.conf is outside RBAC: for repair, and for the first binding.
include:
  - kubectl.installed

{% for user in ['admin', 'super-admin'] %}
/etc/kubernetes/{{ user }}.conf:
  file.serialize:
    - serializer: yaml
    - mode: '0600'
    - makedirs: True
    - dataset: {{ pillar.kaas.kubeconfigs[user] | json }}
{% endfor %}
