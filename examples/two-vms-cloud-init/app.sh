#!/bin/sh
# A template: vmplan fills in the address.
mkdir -p /etc/app
echo "database = ${db}" >/etc/app/config
ping -c 1 ${db} >/etc/app/ping
