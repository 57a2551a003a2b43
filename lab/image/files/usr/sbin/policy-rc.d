#!/bin/sh
# packages never start services by themselves: Salt states do
exit 101
