#!/bin/sh
# Runs in the guest that builds an image. The disk $1 holds a tar archive with this, and what it is to do; the disk vmplan-result
# takes how far it is: a line "running STEP", "failed CODE STEP" or "done", and the end of what the step said.
steps=$1
work=/run/vmplan-build
log=$work/log
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive
umask 022
cd /
: >$log
result=$(ls /dev/disk/by-id/*vmplan-result | head -n 1)

report() { # LINE
	{
		echo "vmplan-build $1"
		tail -n 40 $log | tail -c 16000
		head -c 65536 /dev/zero
	} | head -c 65536 >$work/report
	dd if=$work/report of="$result" bs=65536 conv=fsync,notrunc 2>/dev/null
}

# off switches the guest off at once: what still runs would write to what was sealed. The file systems are whole, as they are
# made read-only first.
off() { # LINE
	trap - EXIT
	report "$1"
	rm -rf $work
	sync
	echo s >/proc/sysrq-trigger
	echo u >/proc/sysrq-trigger
	for try in 1 2 3 4 5 6 7 8 9 10; do
		grep -q '^/dev/[^ ]* [^ ]* [^ ]* rw' /proc/mounts || break
		sleep 1
	done
	echo o >/proc/sysrq-trigger
	sleep 10
	poweroff -f
}
trap 'off "failed $? $now"' EXIT

step() { # NAME COMMAND…
	now=$1
	shift
	: >$log
	report "running $now"
	"$@" >>$log 2>&1 || { code=$?; off "failed $code $now"; }
}

copy_files() { tar -xOf "$steps" files.tar | tar -xpf - -C /; }

run() { # MEMBER of the archive
	tar -xOf "$steps" "$1" >$work/command
	sh -e $work/command </dev/null
}

remove() { rm -rf "$@"; } # what a pattern does not match is no mistake

seal_machine_id() {
	[ ! -e /etc/machine-id ] || : >/etc/machine-id
	[ -L /var/lib/dbus/machine-id ] || remove /var/lib/dbus/machine-id
	remove /var/lib/systemd/credential.secret
}
seal_ssh_host_keys() { remove /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub /etc/dropbear/dropbear_*_host_key; }
seal_cloud_init() {
	# It has them open as long as this runs; what is removed then keeps its space.
	for file in /var/log/cloud-init*.log; do [ ! -e "$file" ] || : >"$file"; done
	! command -v cloud-init >/dev/null || cloud-init clean --logs
	remove /var/lib/cloud/instance /var/lib/cloud/instances /var/lib/cloud/data /var/lib/cloud/sem /var/log/cloud-init*.log
	# What it wrote about the network cards of this guest.
	remove /etc/netplan/50-cloud-init.yaml /etc/network/interfaces.d/50-cloud-init* /etc/systemd/network/10-cloud-init-* \
		/etc/NetworkManager/system-connections/cloud-init-*
}
seal_logs() {
	# The journal likewise: from now on it is kept in memory. Versions that cannot do that give the space back at the next boot.
	! command -v journalctl >/dev/null || journalctl --relinquish-var || true
	remove /var/log/journal/*
	find /var/log -type f \( -name '*.gz' -o -name '*.xz' -o -name '*.zst' -o -name '*.old' -o -name '*.[0-9]' \) -exec rm -f {} +
	find /var/log -type f -exec sh -c 'for file; do : >"$file"; done' sh {} +
}
seal_history() {
	for home in /root /home/*; do
		remove "$home"/.*_history "$home"/.lesshst "$home"/.viminfo "$home"/.wget-hsts
	done
}
seal_leases() {
	remove /var/lib/dhcp/*lease* /var/lib/dhclient/*lease* /var/lib/dhcpcd/*lease* /var/lib/NetworkManager/*lease* /var/lib/systemd/network/*lease*
}
seal_random_seed() {
	remove /var/lib/systemd/random-seed /var/lib/urandom/random-seed /var/lib/random-seed /boot/efi/loader/random-seed /boot/loader/random-seed /efi/loader/random-seed
}
seal_udev() { remove /etc/udev/rules.d/70-persistent-net.rules /etc/udev/rules.d/75-persistent-net-generator.rules; }
seal_packages() {
	! command -v apt-get >/dev/null || { apt-get clean && remove /var/lib/apt/lists/*; }
	! command -v dnf >/dev/null || dnf -q clean all
	! command -v zypper >/dev/null || zypper -q clean --all
	remove /var/cache/apk/* /var/cache/pacman/pkg/*
}
# The host takes back what no file uses. A file system that cannot tell is left as it is.
seal_free_space() {
	sync
	grep '^/dev/[^ ]* [^ ]* [^ ]* rw' /proc/mounts | cut -d ' ' -f 2 | while read -r mount; do fstrim "$mount" || true; done
}

