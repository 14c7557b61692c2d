#!/bin/bash
# Builds the tiny guest from Debian packages: no root, no mount, no loop device, nothing installed.
#
#   build.sh packages      prints the packages that go in, with versions and checksums
#   build.sh build DIR     makes DIR/vmlinuz, DIR/initrd.gz and DIR/disk.qcow2, which boots by BIOS and UEFI
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# What runs in the guest, with the libraries it is linked to; the last line is for making the disk.
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: //p' | head -n 1)
glib=$(apt-cache pkgnames libglib2.0-0 | grep -E '^libglib2\.0-0(t64)?$' | sort | tail -n 1)
packages="${kernel:?apt knows no linux-image-cloud-amd64: is this Debian, and was apt-get update run?}
	busybox-static dropbear-bin openssh-sftp-server qemu-guest-agent
	libc6 libcrypt1 libtomcrypt1 libtommath1 libgmp10 zlib1g ${glib:?} libpcre2-8-0 libnuma1 libudev1 liburing2 libgcc-s1
	dosfstools mtools syslinux syslinux-common systemd-boot-efi"

modules="virtio_pci virtio_blk virtio_net virtio_console virtio_balloon virtio-rng virtio_scsi sr_mod sd_mod
	isofs vfat ext4 nls_ascii nls_cp437 button evdev fuse virtiofs ata_piix e1000 vmw_vsock_virtio_transport"

# download unpacks all packages into $files.
download() {
	mkdir "$work/debs" "$files"
	# As root, apt says that its own user cannot write here; it then downloads as root, which is fine.
	(cd "$work/debs" && apt-get -qq download $packages 2>"$work/apt.log") || { cat "$work/apt.log" >&2; exit 1; }
	local deb
	for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$files"; done
	# Where /bin is a link to /usr/bin, packages may have moved there.
	cp -a "$files/usr/lib/modules" "$files/lib/" 2>/dev/null || true
	find "$files/lib/modules" -name '*.ko.xz' -exec xz -d {} +
	version=$(ls "$files/lib/modules")
	cp "$files"/boot/vmlinuz-* "$out/vmlinuz"
}

find_file() { find "$files" -path "*$1" | head -n 1; }

programs() {
	mkdir -p "$root"/{bin,sbin,etc/dropbear,proc,sys,dev,run,tmp,root,home/debian,mnt,lib/x86_64-linux-gnu,lib64}
	mkdir -p "$root"/{usr/bin,usr/sbin,usr/lib/openssh,var/log,var/run,srv,state}
	cp "$(find_file /bin/busybox)" "$root/bin/busybox"
	local name
	for name in $("$root/bin/busybox" --list); do
		[ "$name" = busybox ] || ln -s busybox "$root/bin/$name"
	done
	cp "$files"/usr/sbin/{dropbear,qemu-ga} "$files/usr/bin/dropbearkey" "$root/usr/sbin/"
	cp "$files/usr/lib/openssh/sftp-server" "$root/usr/lib/openssh/"
	ln -s openssh/sftp-server "$root/usr/lib/sftp-server"
	libraries
	install -m 755 "$here/init" "$root/init"
	install -m 755 "$here/hotplug" "$here/udhcpc" "$root/etc/"
	install -m 755 "$here/shutdown" "$root/sbin/shutdown"
	install -m 755 "$here/lsblk" "$root/bin/lsblk"
	install -m 644 "$here/netplan.awk" "$root/etc/netplan.awk"
	printf 'root:x:0:0:root:/root:/bin/sh\ndebian:x:1000:1000:debian:/home/debian:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:*:19000:0:99999:7:::\ndebian:*:19000:0:99999:7:::\n' >"$root/etc/shadow"
	printf 'root:x:0:\ndebian:x:1000:\n' >"$root/etc/group"
	echo /bin/sh >"$root/etc/shells"
}

# libraries asks the guest's own loader what the programs need, and takes that from the packages.
libraries() {
	local loader program library
	loader=$(find "$files" -name ld-linux-x86-64.so.2 | head -n 1)
	cp -L "$loader" "$root/lib64/"
	for program in "$root"/usr/sbin/* "$root/usr/lib/openssh/sftp-server"; do
		"$loader" --library-path "$files/lib/x86_64-linux-gnu:$files/usr/lib/x86_64-linux-gnu" --list "$program"
	done | sed -n 's/.*=> \([^ ]*\) .*/\1/p' | sort -u | while read -r library; do
		cp -L "$library" "$root/lib/x86_64-linux-gnu/"
	done
}

# kernel_modules puts the modules and what they need into the guest, with /etc/modules in the order to load them.
kernel_modules() {
	local m line
	"$root/bin/busybox" depmod -b "$files" "$version"
	mkdir -p "$root/lib/modules"
	for m in $modules; do
		line=$(grep -E "(^|/)${m//[_-]/[_-]}\.ko:" "$files/lib/modules/$version/modules.dep") || continue # built in
		echo "${line#*:}" | tr ' ' '\n' | tac
		echo "${line%%:*}"
	done | awk 'NF && !seen[$0]++' | while read -r m; do
		cp "$(find "$files/lib/modules/$version" -name "$(basename "$m")" | head -n 1)" "$root/lib/modules/"
		basename "$m"
	done >"$root/etc/modules"
}

initrd() {
	(cd "$root" && find . | ./bin/busybox cpio -o -R 0:0 -H newc 2>/dev/null | gzip -6 >"$out/initrd.gz")
}

# disk makes a disk with a FAT partition, which holds a boot loader for each firmware, and an empty ext4 one for what the guest
# keeps.
disk() {
	local fat=$work/fat ext4=$work/ext4 raw=$work/raw options="console=ttyS0 quiet panic=-1"
	export PATH=$files/sbin:$files/usr/sbin:$files/usr/bin:$PATH MTOOLSRC=/dev/null
	truncate -s 40M "$fat"
	mkfs.vfat -n BOOT "$fat" >/dev/null
	mmd -i "$fat" ::/EFI ::/EFI/BOOT ::/loader ::/loader/entries
	mcopy -i "$fat" "$out/vmlinuz" "$out/initrd.gz" ::/
	mcopy -i "$fat" "$files/usr/lib/systemd/boot/efi/systemd-bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI
	printf 'timeout 0\ndefault tiny\n' | mcopy -i "$fat" - ::/loader/loader.conf
	printf 'title tiny\nlinux /vmlinuz\ninitrd /initrd.gz\noptions %s\n' "$options" | mcopy -i "$fat" - ::/loader/entries/tiny.conf
	printf 'DEFAULT tiny\nLABEL tiny\n LINUX /vmlinuz\n INITRD /initrd.gz\n APPEND %s\n' "$options" | mcopy -i "$fat" - ::/syslinux.cfg
	syslinux --install "$fat"
	truncate -s 16M "$ext4"
	mke2fs -q -t ext4 -m 0 -L state "$ext4"
	truncate -s 58M "$raw"
	dd if="$(find_file /mbr/mbr.bin)" of="$raw" bs=440 count=1 conv=notrunc status=none
	# The partition table: active, of type EFI system, from sector 2048 (1 MiB), 81920 sectors (40 MiB).
	printf '\x80\x20\x21\x00\xef\xfe\xff\xff\x00\x08\x00\x00\x00\x40\x01\x00' | dd of="$raw" bs=1 seek=446 conv=notrunc status=none
	# And a Linux one, from sector 83968 (41 MiB), 32768 sectors (16 MiB).
	printf '\x00\xfe\xff\xff\x83\xfe\xff\xff\x00\x48\x01\x00\x00\x80\x00\x00' | dd of="$raw" bs=1 seek=462 conv=notrunc status=none
	printf '\x55\xaa' | dd of="$raw" bs=1 seek=510 conv=notrunc status=none
	dd if="$fat" of="$raw" bs=1M seek=1 conv=notrunc status=none
	dd if="$ext4" of="$raw" bs=1M seek=41 conv=notrunc status=none
	qemu-img convert -O qcow2 -c "$raw" "$out/disk.qcow2"
}

case $1 in
packages)
	apt-get download --print-uris $packages
	;;
build)
	out=$(mkdir -p "$2" && cd "$2" && pwd)
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	files=$work/files root=$work/root
	download
	programs
	kernel_modules
	initrd
	disk
	;;
esac
