#!/bin/sh
# A template: vmplan fills in the address of this instance's database.
mkdir -p /etc/till
echo "${motto}" >/etc/till/motto
for try in 1 2 3 4 5; do # the second network may take a moment
	ping -c 1 ${db} >/etc/till/ping && break
done
