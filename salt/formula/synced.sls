# Custom modules must be there before the first state that is one of ours, also under test=True, and also where the minion does not sync by itself.
# Their hash is kept beside them: asking one of our own functions first would make Salt's loader remember it as missing for the whole run.
{% set stamp = opts.extension_modules ~ '/kaas-formula' %}
{% if pillar.kaas.formula and not (salt['file.file_exists'](stamp) and salt['file.read'](stamp) == pillar.kaas.formula) %}
{# Only the kinds that the formula has: sync_all asks the master about eighteen. #}
{% do salt['saltutil.sync_utils'](refresh=False) %}
{% do salt['saltutil.sync_modules'](refresh=False) %}
{% do salt['saltutil.sync_states'](refresh=True) %}
{% endif %}

formula-synced:
  kaas_formula.current:
    - digest: {{ pillar.kaas.formula | json }}
    - stamp: {{ stamp }}
    - cluster_warnings: {{ pillar.kaas.get('warnings', []) | json }}
    - order: first
    - failhard: True
