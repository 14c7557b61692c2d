package sim

import (
	"context"
	"io"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

var lacks = drivers.Lacks{
	drivers.AbilityConsole: "guests of a simulated host do nothing",
}

// Can implements drivers.Rules.
func (rules) Can(a drivers.Ability) error { return lacks.Can(a) }

// Defaults implements drivers.Rules.
func (rules) Defaults() drivers.Defaults { return Defaults() }

// Defaults is what a simulated host decides. Pools and disks are as libvirt has them: what is planned here fits there.
func Defaults() drivers.Defaults {
	return drivers.Defaults{
		HostDefaults: resource.HostDefaults{
			PoolName: "default", PoolPath: "/var/lib/libvirt/images",
			DiskFormat: "qcow2",
			OwnFolders: []string{"/var/lib/libvirt"},
		},
		SnapshotFormats: []string{"qcow2"},
		InstallUEFI:     "Put it into its facts",
		InstallTPM:      "Put one into its facts",
		LetWrite:        "change its facts",
	}
}

// Marks implements drivers.Rules.
func (rules) Marks(kind resource.Kind) bool {
	return kind == resource.KindVM || kind == resource.KindNetwork
}

// Console implements drivers.Driver.
func (d *driver) Console(context.Context, *resource.VM, io.Reader, io.Writer) error {
	return d.Can(drivers.AbilityConsole)
}
