# Roles come from the ext_pillar alone. Salt drops an ext_pillar it cannot load without a word: its marker key is asserted here.
{% if 'kaas' not in pillar %}
{{ raise('The Salt master did not run the ext_pillar `kaas`: check ext_pillar and module_dirs in its configuration (docs/operations.md)') }}
{% endif %}
base:
  '*':
    - formula.synced
{% for role in pillar.kaas.roles %}
    - roles.{{ role }}
{% endfor %}
