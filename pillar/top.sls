# KaaS data reaches the nodes through ext_pillar `kaas` alone, which reads clusters/<name>.sls itself with the authenticated minion id
# (docs/architecture.md says why). This file is yours: assign your own pillar here. Keys under `kaas` are overwritten.
base: {}
