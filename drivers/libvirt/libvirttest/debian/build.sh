#!/bin/bash
# Builds a Debian guest from this machine's Debian packages: systemd, cloud-init, sshd, the QEMU guest agent. Needs root; no
# mount, no loop device.
#
#   build.sh packages      prints what goes in, with versions and checksums
#   build.sh build DIR     makes DIR/disk.qcow2, which boots by BIOS, from a FAT partition; the root is the second one
set -euo pipefail

packages="systemd systemd-sysv udev dbus cloud-init openssh-server qemu-guest-agent linux-image-cloud-amd64 iproute2 sudo
	systemd-resolved cloud-guest-utils e2fsprogs"
tools="dosfstools mtools syslinux syslinux-common"

tree() {
	local codename sources=/etc/apt/sources.list.d/debian.sources
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	[ -e $sources ] || sources=/etc/apt/sources.list
	mmdebstrap --quiet --variant=minbase --mode=root --include="$(echo $packages | tr ' ' ,)" \
		--aptopt='APT::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--customize-hook='chroot "$1" systemctl -q enable systemd-networkd ssh serial-getty@ttyS0' \
		--customize-hook='printf "LABEL=root / ext4 defaults,noatime,discard 0 1\n" >"$1/etc/fstab"' \
		--customize-hook='printf "datasource_list: [NoCloud, None]\n" >"$1/etc/cloud/cloud.cfg.d/90_dpkg.cfg"' \
		--customize-hook='printf "locale: false\nssh_genkeytypes: [ed25519]\napt: {preserve_sources_list: true}\n" >"$1/etc/cloud/cloud.cfg.d/91_quick.cfg"' \
		--customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1/var/lib/dbus/machine-id"; : >"$1/etc/machine-id"' \
		--customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*' \
		"$codename" "$work/tree" "$sources" >&2
}

disk() {
	local fat=$work/fat raw=$work/raw
	export PATH=$files/sbin:$files/usr/sbin:$files/usr/bin:$PATH MTOOLSRC=/dev/null
	truncate -s 96M "$fat"
	mkfs.vfat -n BOOT "$fat" >/dev/null
	mcopy -i "$fat" "$work"/tree/boot/vmlinuz-* ::/vmlinuz
	mcopy -i "$fat" "$work"/tree/boot/initrd.img-* ::/initrd
	rm "$work"/tree/boot/initrd.img-*
	printf 'DEFAULT debian\nLABEL debian\n LINUX /vmlinuz\n INITRD /initrd\n APPEND root=LABEL=root ro console=ttyS0 quiet net.ifnames=0\n' |
		mcopy -i "$fat" - ::/syslinux.cfg
	syslinux --install "$fat"
	mke2fs -q -t ext4 -L root -d "$work/tree" -E root_owner=0:0 "$work/root" 900M
	truncate -s 1000M "$raw"
	dd if="$(find "$files" -path '*/mbr/mbr.bin' | head -n 1)" of="$raw" bs=440 count=1 conv=notrunc status=none
	# The partition table: an active one of type FAT from sector 2048 (1 MiB), 196608 sectors; one of type Linux behind it, 1843200.
	printf '\x80\x20\x21\x00\x0c\xfe\xff\xff\x00\x08\x00\x00\x00\x00\x03\x00' | dd of="$raw" bs=1 seek=446 conv=notrunc status=none
	printf '\x00\xfe\xff\xff\x83\xfe\xff\xff\x00\x08\x03\x00\x00\x20\x1c\x00' | dd of="$raw" bs=1 seek=462 conv=notrunc status=none
	printf '\x55\xaa' | dd of="$raw" bs=1 seek=510 conv=notrunc status=none
	dd if="$fat" of="$raw" bs=1M seek=1 conv=notrunc,sparse status=none
	dd if="$work/root" of="$raw" bs=1M seek=97 conv=notrunc,sparse status=none
	qemu-img convert -O qcow2 -c -o compression_type=zstd "$raw" "$out/disk.qcow2"
}

case $1 in
packages)
	apt-cache show --no-all-versions $packages $tools | grep -E '^(Package|Version|SHA256): '
	;;
build)
	out=$(mkdir -p "$2" && cd "$2" && pwd)
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	files=$work/files
	mkdir "$work/debs" "$files"
	(cd "$work/debs" && apt-get -qq download $tools 2>"$work/apt.log") || { cat "$work/apt.log" >&2; exit 1; }
	for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$files"; done
	tree
	disk
	;;
esac
