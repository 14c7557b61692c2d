# Runs as the first process of a private host, in its own mount, network and process namespaces.
# $1 is the host's folder, $2 the folder of libvirt's shared capabilities cache, $3 an
# argument more for the daemon, or nothing.
set -e
mount_own() {
	mkdir -p "$2"
	mount --bind "$1" "$2"
}
mount_own "$1/run" /run/libvirt
mount_own "$1/etc" /etc/libvirt
mount_own "$1/lib" /var/lib/libvirt
mount_own "$1/cache" /var/cache/libvirt
mount_own "$1/log" /var/log/libvirt
mount_own "$2" /var/cache/libvirt/qemu/capabilities
ip link set lo up
# So that /sys/class/net shows the interfaces of this network namespace. Without one of our own it is refused, and right already.
mount -t sysfs sysfs /sys 2>/dev/null || true
# A daemon that dies comes back, as it does under systemd.
set +e
while :; do
	libvirtd --config "$1/libvirtd.conf" --pid-file "$1/libvirtd.pid" $3
	sleep 0.1
done
