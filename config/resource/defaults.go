package resource

// HostDefaults is what a kind of host decides where the files say nothing. It is plain data that the host's driver gives: files
// are completed with it.
type HostDefaults struct {
	PoolName   string   // of the pool for what names none, when the files have no pool block
	PoolPath   string   // the folder of that pool, absolute
	DiskFormat string   // of disks, volumes and images
	OwnFolders []string // of the host's software: no pool's, though what is below them may be
}
