"""Measures of the lab's cluster: bring-up against kubeadm, no-op highstate, memory and CPU at rest."""
