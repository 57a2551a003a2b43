# psmisc brings killall, with which keepalived looks for haproxy.
keepalived:
  pkg.installed:
    - pkgs: [keepalived, psmisc]
