{% set kaas = pillar.kaas %}
/etc/containerd/config.toml:
  file.managed:
    - makedirs: True
    - contents: |
        version = 3
        [plugins.'io.containerd.cri.v1.images']
          snapshotter = 'overlayfs'
          [plugins.'io.containerd.cri.v1.images'.pinned_images]
            sandbox = '{{ kaas.images.pause }}'
          [plugins.'io.containerd.cri.v1.images'.registry]
            config_path = '/etc/containerd/certs.d'
        [plugins.'io.containerd.cri.v1.runtime']
        {%- for key, value in kaas.settings.containerd | dictsort %}
          {{ key }} = {{ value | json }}
        {%- endfor %}
          [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
            runtime_type = 'io.containerd.runc.v2'
            [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
              SystemdCgroup = true
          [plugins.'io.containerd.cri.v1.runtime'.cni]
            bin_dirs = ['/opt/cni/bin']
            conf_dir = '/etc/cni/net.d'

{% for host, url in kaas.registries | dictsort %}
# The mirror alone: an image that it lacks is an error, not a silent pull from somewhere else.
/etc/containerd/certs.d/{{ host }}/hosts.toml:
  file.managed:
    - makedirs: True
    - contents: |
        server = "{{ url }}"
        [host."{{ url }}"]
          capabilities = ["pull", "resolve"]
{% endfor %}

/etc/crictl.yaml:
  file.serialize:
    - serializer: yaml
    - dataset:
        runtime-endpoint: unix:///run/containerd/containerd.sock
        image-endpoint: unix:///run/containerd/containerd.sock

/etc/systemd/system/containerd.service:
  file.managed:
    - contents: |
        [Unit]
        Description=containerd container runtime
        Documentation=https://containerd.io
        After=network.target local-fs.target

        [Service]
        Type=notify
        ExecStartPre=-/sbin/modprobe overlay
        ExecStart=/usr/local/bin/containerd
        Delegate=yes
        # A restart must not end the containers.
        KillMode=process
        Restart=always
        RestartSec=5
        LimitNPROC=infinity
        LimitCORE=infinity
        LimitNOFILE=1048576
        TasksMax=infinity
        OOMScoreAdjust=-999

        [Install]
        WantedBy=multi-user.target
