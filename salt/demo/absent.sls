# The entries of the guestbook too: apply demo.undeployed on the deployer first, then this on the worker of the database.
/var/lib/kaas/demo:
  file.absent
