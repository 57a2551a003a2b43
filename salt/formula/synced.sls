# Custom modules must be there before the first state that is one of ours, also under test=True, and also where the minion does not sync by itself.
{% if pillar.kaas.formula and ('kaas_formula.digest' not in salt or salt['kaas_formula.digest']() != pillar.kaas.formula) %}
{% do salt['saltutil.sync_all'](refresh=True) %}
{% endif %}

formula-synced:
  kaas_formula.current:
    - digest: {{ pillar.kaas.formula | json }}
    - order: first
    - failhard: True
