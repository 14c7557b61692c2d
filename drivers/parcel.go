package drivers

// Parcel is an appliance as it travels: its files, and the disks that they speak of by name. There is nothing in it of the
// project and the machine that it comes from.
type Parcel struct {
	Files map[string][]byte // by relative path with slashes
	Disks map[string]Bits   // of one that is sent, the bits; of one that came, the location in Resolved
	// Location names just this parcel in the registry that it came from.
	Location string
}
