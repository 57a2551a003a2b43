# The folder of the database on the one worker that has it: a local volume needs a folder that is there, and a user who may write.
/var/lib/kaas/demo:
  file.directory:
    - user: 65532
    - group: 65532
    - mode: '0700'
    - makedirs: True
