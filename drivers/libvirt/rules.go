//go:build !nolibvirt

package libvirt

import (
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// testLacks is what libvirt's test driver cannot do: it runs no guests, and has no bits in its volumes.
var testLacks = drivers.Lacks{
	drivers.AbilityResize:      "libvirt's test driver has no bits in its volumes",
	drivers.AbilityReadVolumes: "libvirt's test driver has no bits in its volumes",
	drivers.AbilityFlatten:     "libvirt's test driver has no bits in its volumes",
	drivers.AbilityBuild:       "libvirt's test driver runs no guests, and has no bits to copy",
	drivers.AbilityLiveDevices: "libvirt's test driver runs no guests",
	drivers.AbilityConsole:     "libvirt's test driver runs no guests",
	drivers.AbilityReady:       "libvirt's test driver runs no guests; leave out ready",
	drivers.AbilityGuestFacts:  "libvirt's test driver runs no guests",
}

// Can implements drivers.Rules.
func (d *driver) Can(a drivers.Ability) error {
	if d.isTest() {
		return testLacks.Can(a)
	}
	return nil
}

// isTest tells whether the URI is of libvirt's test driver.
func (d *driver) isTest() bool {
	base, _, _ := strings.Cut(d.uri.Scheme, "+")
	return base == "test"
}

// Defaults implements drivers.Rules.
func (d *driver) Defaults() drivers.Defaults {
	snapshots := []string{"qcow2"}
	if d.isTest() {
		snapshots = []string{"qcow2", "raw"} // it looks at no disk
	}
	return drivers.Defaults{
		HostDefaults: resource.HostDefaults{
			PoolName: "default", PoolPath: "/var/lib/libvirt/images",
			DiskFormat: "qcow2",
			OwnFolders: []string{"/var/lib/libvirt"},
		},
		SnapshotFormats: snapshots,
		InstallUEFI:     "Install it there (Debian and Ubuntu: the package ovmf; Fedora: edk2-ovmf)",
		InstallTPM:      "Install swtpm there (Debian and Ubuntu: swtpm and swtpm-tools; Fedora: swtpm-tools)",
		LetWrite:        "let libvirt write there: mount the file system for writing, or give the folder to the user that libvirt's daemon runs as",
	}
}

// Marks implements drivers.Rules: libvirt keeps metadata of domains and networks, and of nothing else.
func (d *driver) Marks(kind resource.Kind) bool {
	return kind == resource.KindVM || kind == resource.KindNetwork
}
