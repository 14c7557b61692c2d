package drivers

// Parcel is an appliance as it travels: its files, and the disks that they speak of by name. There is nothing in it of the
// project and the machine that it comes from.
type Parcel struct {
	Files map[string][]byte // by relative path with slashes
	Disks map[string]Bits   // of one that is sent
	// DiskLocations are where the disks of one that came can be got, each a location that never moves.
	DiskLocations map[string]string
	// Location names just this parcel in the registry that it came from.
	Location string
}
