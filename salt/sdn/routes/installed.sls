# Nothing of its own: the kernel's tools.
routes-packages:
  pkg.installed:
    - pkgs: [iproute2, nftables]
