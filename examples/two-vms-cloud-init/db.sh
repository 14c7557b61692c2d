#!/bin/sh
# User data that begins with #! is run once, as root. A #cloud-config document works as well.
mkdir -p /srv/db
echo "made by cloud-init" >/srv/db/README
