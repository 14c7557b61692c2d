#!/bin/sh
# A template: vmplan fills in the address. The database's vm is there already, as this one refers to it.
mkdir -p /etc/app
echo "database = ${db}" >/etc/app/config
ping -c 1 ${db} >/etc/app/ping
